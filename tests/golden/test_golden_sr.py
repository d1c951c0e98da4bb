"""The high-resolution and portrait networks against numbers recorded from the published implementation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from models.faces.detection import anchors, detect
from models.faces.parsenet import FaceParser
from models.faces.paste import parsed_mask, paste
from models.faces.retinaface import FaceDetector
from models.families.upscale_config import EnlargerConfig, RestorerConfig
from models.image.alignment import TEMPLATE, crop_face, landmark_matrix, published_inverse
from models.image.masks import Box, expand_region, motion_masks, rectangle, region_mask, regions_from_mesh
from models.restoration.background import Enlarger
from models.restoration.restorer import TemporalRestorer
from tests.golden.cases import CASES, arrays, bgr, blocks, entries, error, filled, given, rgb, state
from tests.golden.published_loops import enhance_published
from tests.golden.tolerances_sr import SR

Record = Callable[[str, object], None]

NETWORKS = {
    "names_net_g": lambda: TemporalRestorer(RestorerConfig()),
    "names_rrdbnet_x2": lambda: Enlarger(EnlargerConfig()),
    "names_retinaface_resnet50": FaceDetector,
    "names_parsenet": FaceParser,
}
MARGIN = 1e-3  # where the two best codes lie closer, either may win
SMALL_HEAD = 0.02  # detections were recorded with the heads' weights this much smaller


def check(record: Record, case: str, got: object, want: np.ndarray) -> None:
    found = error(got, want)
    record(case, found)
    assert found <= SR[case], f"{case}: {found} is more than {SR[case]}"


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("names", NETWORKS)
def test_golden_names_shapes_and_order(names: str) -> None:
    with torch.device("meta"):
        net = NETWORKS[names]()
    assert state(net) == entries(names)


@pytest.fixture(scope="module")
def restorer() -> TemporalRestorer:
    return filled(lambda: TemporalRestorer(RestorerConfig()))


def smooth_frames(case: str, frames: int) -> torch.Tensor:
    """The case's input [1, frames, 3, 512, 512]: a smooth random field."""
    field = given(case, "frames", (1, frames, 3, 16, 16))[0] * 0.5
    return F.interpolate(field, size=(512, 512), mode="bicubic", align_corners=False).clamp(-1, 1)[None]


def stride16(frames: torch.Tensor) -> torch.Tensor:
    return frames[..., ::16, ::16]


@pytest.mark.slow
@pytest.mark.parametrize(("fidelity", "name"), [(1.0, "w1.0"), (0.5, "w0.5"), (0.0, "w0_noadain")])
def test_golden_codeformer(restorer: TemporalRestorer, fidelity: float, name: str, record_property: Record) -> None:
    want = arrays("codeformer")
    window = smooth_frames("codeformer", 4)
    assert np.array_equal(stride16(window).numpy(), want["input_stride16"])
    codes = torch.from_numpy(want["codes"].astype(np.int64))[None]
    # The recorded codes are put in, so that a draw between two codes cannot hide behind the picture.
    out = restorer(window, fidelity, adain=fidelity > 0, codes=codes)
    check(record_property, "codeformer_logits", out.logits[0, :, :8, ::16], want["logits_first8tokens_stride16"])
    chosen = out.logits[0].argmax(-1).numpy()
    clear = want["margin_top1_top2"] > MARGIN
    assert np.array_equal(chosen[clear], want["codes"][clear])
    assert clear.mean() > 0.99
    check(record_property, f"codeformer_{name}", stride16(out.frames), want[f"{name}_out_stride16"])


@pytest.mark.slow
def test_golden_codeformer_one_frame(restorer: TemporalRestorer, record_property: Record) -> None:
    want = arrays("codeformer")
    out = restorer(smooth_frames("codeformer_one", 1), 1.0)
    assert np.array_equal(out.codes[0].numpy(), want["one_frame_codes"])
    check(record_property, "codeformer_one_frame", stride16(out.frames), want["one_frame_out_stride16"])
    # The streaming form that a render uses gives the same picture.
    streamed = torch.stack(list(restorer.restore(smooth_frames("codeformer_one", 1)[0], 1.0)))
    assert torch.allclose(streamed, out.frames[0], atol=1e-5)


@pytest.fixture(scope="module")
def enlarger() -> Enlarger:
    return filled(lambda: Enlarger(EnlargerConfig()))


def test_golden_rrdbnet_x2(enlarger: Enlarger, record_property: Record) -> None:
    image = (0.5 + 0.5 * given("rrdbnet", "image", (1, 3, 64, 64))).clamp(0, 1)
    check(record_property, "rrdbnet_x2", enlarger(image), arrays("rrdbnet_x2")["output"])


@pytest.mark.parametrize(
    ("name", "scale", "tile", "pad"),
    [("whole_x2", 2, 0, 0), ("tiles32_pad8_x2", 2, 32, 8), ("tiles32_pad8_x4", 4, 32, 8)],
)
def test_golden_rrdbnet_photo(name: str, scale: int, tile: int, pad: int, record_property: Record) -> None:
    want = arrays("rrdbnet_x2")
    net = filled(lambda: Enlarger(EnlargerConfig()))
    net.conv_last.weight.mul_(0.015)
    net.conv_last.bias.mul_(0.015).add_(0.3)
    out = enhance_published(net, rgb(want["photo_bgr"]), scale, tile, pad)
    check(record_property, "rrdbnet_level", bgr(out), want[name])


def test_golden_parsenet(record_property: Record) -> None:
    want = arrays("parsenet")
    net = filled(FaceParser)
    image = given("parsenet", "image", (1, 3, 64, 64)).clamp(-1, 1)
    check(record_property, "parsenet", net(image), want["mask_logits"])
    check(record_property, "parsenet", net.out_img_conv(net.features(image)), want["image"])


def test_golden_retinaface_raw(record_property: Record) -> None:
    want = arrays("retinaface")
    raw = filled(FaceDetector)(given("retinaface", "image", (1, 3, 96, 128)))
    check(record_property, "retinaface_raw", raw.boxes, want["loc"])
    check(record_property, "retinaface_raw", raw.scores, want["conf"])
    check(record_property, "retinaface_raw", raw.landmarks, want["landmarks"])
    check(record_property, "retinaface_anchors", anchors(96, 128), want["priors"])


@pytest.mark.parametrize("score", [0.75, 0.79])
def test_golden_retinaface_detections(score: float, record_property: Record) -> None:
    want = arrays("retinaface")
    net = filled(FaceDetector)
    for head in (*net.ClassHead, *net.BboxHead, *net.LandmarkHead):
        head.conv1x1.weight.mul_(SMALL_HEAD)
    faces = detect(net, rgb(want["photo_bgr"]) / 255, score)
    rows = torch.cat([faces.boxes, faces.scores[:, None], faces.landmarks.flatten(1)], dim=1)
    check(record_property, "retinaface_detections", rows[:400], want[f"detections_{score}"])


def test_golden_align(record_property: Record) -> None:
    want = arrays("align_paste")
    assert np.allclose(TEMPLATE, CASES["align_paste"]["meta"]["template_512"])
    matrices = torch.stack([landmark_matrix(points) for points in torch.from_numpy(want["landmarks"])])
    check(record_property, "align_affine", matrices, want["affine"])
    photo = rgb(want["photo_bgr"]) / 255
    crops = [crop_face(photo, matrix, 512) for matrix in torch.from_numpy(want["affine"])]
    levels = np.stack([bgr((crop * 255).round())[::8, ::8] for crop in crops])
    check(record_property, "align_crop_level", levels, want["cropped_stride8"])


@pytest.mark.parametrize("tag", ["up1", "up2", "up2_faceup", pytest.param("up4_faceup", marks=pytest.mark.slow)])
def test_golden_paste(tag: str, record_property: Record) -> None:
    want = arrays("align_paste")
    scale, enlarged = int(tag[2]), tag.endswith("faceup")
    stride = next(run["stride"] for run in CASES["align_paste"]["meta"]["runs"] if run.get("tag") == tag)
    picture = blocks(rgb(want["photo_bgr"]) / 255, scale)
    face = blocks(rgb(want["restored_bgr"]) / 255, scale if enlarged else 1)
    parsed = parsed_mask(torch.from_numpy(want["labels"]).long())
    for k, affine in enumerate(torch.from_numpy(want["affine"])):
        back = published_inverse(affine, scale, enlarged)
        check(record_property, "align_inverse", back, want[f"inverse_affine_after_{tag}"][k])
        pasted = paste(picture, face, back, scale, parsed)
        levels = bgr((pasted * 255 + 1e-3).to(torch.uint8))[::stride, ::stride]
        check(record_property, "paste_level", levels, want[f"pasted_{tag}_stride"][k])


def test_golden_masks(record_property: Record) -> None:
    want, meta = arrays("masks"), CASES["masks"]["meta"]
    height, width = meta["source_size_hw"]
    face, lip = regions_from_mesh(want["landmarks"], height, width)
    assert [face.x0, face.x1, face.y0, face.y1] == meta["face_box_x0x1y0y1"]
    assert [lip.x0, lip.x1, lip.y0, lip.y1] == meta["lip_box_x0x1y0y1"]
    check(record_property, "masks", rectangle(face, height, width), want["png_face_mask"])
    check(record_property, "masks", rectangle(lip, height, width), want["png_lip_mask"])
    region = region_mask(face, height, width, meta["size"])
    check(record_property, "masks", region[:, ::8, ::8], want["region_stride8"])
    masks = motion_masks(face, lip, height, width)
    for name, levels in zip(("full", "face", "lip"), masks, strict=True):
        for level, mask in enumerate(levels):
            check(record_property, "masks", mask, want[f"{name}_{level}"])


@pytest.mark.parametrize("row", CASES["expand_region"]["meta"]["rows"])
def test_golden_expand_region(row: dict) -> None:
    x0, x1, y0, y1 = row["region_x0x1y0y1"]
    box = expand_region(Box(x0, y0, x1, y1), row["ratio"], row["image_h"], row["image_w"])
    assert [box.x0, box.x1, box.y0, box.y1] == row["result"]


def test_golden_detector_layout_is_row_by_row() -> None:
    """Anchor k of cell (y, x) is row (y * width + x) * 2 + k: what the joined outputs of the heads rely on."""
    cells = rearrange(anchors(32, 64)[: 4 * 8 * 2], "(y x k) v -> y x k v", y=4, x=8)
    assert torch.allclose(cells[1, 2, 0], torch.tensor([20 / 64, 12 / 32, 16 / 64, 16 / 32]))
    assert torch.allclose(cells[1, 2, 1], torch.tensor([20 / 64, 12 / 32, 32 / 64, 32 / 32]))
