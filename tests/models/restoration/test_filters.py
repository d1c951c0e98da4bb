"""Filters as banded matrix products, and the enlarger's cheaper forms, against the plain formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.faces.paste import find_place
from models.families.upscale_config import CodebookConfig, EnlargerConfig, RestorerConfig, UpscaleConfig
from models.image.colour import keep_colour
from models.image.masks import Box
from models.image.resample import enlarge_lanczos4, resize_lanczos
from models.image.taps import filter_axis, runs_of_taps
from models.image.warp import gaussian_blur, warp
from models.restoration import background, upscale
from models.restoration.background import DenseBlock, Enlarger
from models.restoration.restorer import TemporalRestorer
from models.restoration.upscale import Upscaler
from models.weights.synthetic import fill


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def test_taps_of_the_same_input_add_up() -> None:
    index, weight = torch.tensor([[0, 0, 2], [0, 1, 2]]), torch.tensor([[0.5, 1, 2], [0.25, 3, 4]])
    runs = runs_of_taps(index, weight, torch.device("cpu"))
    x = torch.tensor([[1.0, 10, 100]])
    assert filter_axis(x, -1, runs).tolist() == [[0.75, 31, 600]]
    assert filter_axis(x.T, -2, runs).tolist() == [[0.75], [31], [600]]


@pytest.mark.parametrize("target", [(150, 40), (31, 200), (77, 90)])
def test_lanczos_is_the_sum_over_taps(target: tuple[int, int]) -> None:
    def line(x: Tensor, size: int, lobes: int, widen: bool) -> Tensor:
        scale = x.shape[-1] / size
        stretch = max(scale, 1.0) if widen else 1.0
        out = []
        for j in range(size):
            centre = (j + 0.5) * scale - 0.5
            taps = range(int(centre - lobes * stretch) - 2, int(centre + lobes * stretch) + 3)
            away = (torch.tensor(taps, dtype=torch.float64) - centre) / stretch
            weight = torch.sinc(away) * torch.sinc(away / lobes) * (away.abs() < lobes)
            values = x[..., [min(max(t, 0), x.shape[-1] - 1) for t in taps]]
            out.append((values * weight).sum(-1) / weight.sum())
        return torch.stack(out, -1)

    image = noise(2, 3, 77, 90)
    for resize, lobes, widen in ((resize_lanczos, 3, True), (enlarge_lanczos4, 4, False)):
        rows = line(image.double().mT, target[0], lobes, widen).mT if target[0] != 77 else image.double()
        want = line(rows, target[1], lobes, widen) if target[1] != 90 else rows
        assert torch.allclose(resize(image, target).double(), want, atol=2e-6)


@pytest.mark.parametrize(("size", "side"), [(5, 20), (101, 150), (41, 12)])
def test_blur_is_a_convolution_of_the_mirrored_mask(size: int, side: int) -> None:
    mask, x = noise(side, side + 3), torch.arange(size) - size // 2
    kernel = torch.exp(-x.double().square() / (2 * 4.0**2))
    want = mask[None].double()
    for _ in range(2):  # rows, then columns
        places = [abs(p) % (2 * (want.shape[-1] - 1)) for p in range(-(size // 2), want.shape[-1] + size // 2)]
        places = [min(p, 2 * (want.shape[-1] - 1) - p) for p in places]
        want = F.conv2d(want[:, None][..., places], (kernel / kernel.sum()).view(1, 1, 1, -1))[:, 0].mT
    assert torch.allclose(gaussian_blur(mask, size, 4.0).double(), want[0], atol=1e-6)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, (0.0, 0.0)), (1.0, (3.37, -5.6)), (2.3, (-20.1, 9.9)), (0.4, (11.0, 7.5))]
)
def test_an_upright_warp_is_the_general_one(
    scale: float, shift: tuple[float, float], filled: bool, extended: bool
) -> None:
    matrix = torch.tensor([[scale, 0, shift[0]], [0, scale * 1.1, shift[1]]], dtype=torch.float64)
    turned = matrix.clone()
    turned[0, 1] = 1e-13  # too little to move anything, enough for the general way
    colours = (0.2, 0.5, 0.9) if filled else None
    upright = warp(noise(3, 50, 64), matrix, (90, 70), colours, extended)
    assert torch.allclose(upright, warp(noise(3, 50, 64), turned, (90, 70), colours, extended), atol=1e-6)


@pytest.mark.parametrize("size", [(160, 96), (50, 33), (12, 20)])
def test_colour_is_moved_by_cells_and_interpolation(size: tuple[int, int]) -> None:
    image, reference = noise(2, 3, *size), noise(2, 3, 40, 48) * 0.5
    grid = (16, 16)
    missing = F.adaptive_avg_pool2d(reference, grid) - F.adaptive_avg_pool2d(image, grid)
    want = image + F.interpolate(missing, size=size, mode="bilinear", align_corners=False)
    assert torch.allclose(keep_colour(image, reference), want.clamp(0, 1), atol=1e-6)


def test_a_narrow_dense_block_is_the_wide_ones_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    block = fill(DenseBlock(8, 4)).eval()
    x = noise(2, 8, 20, 24)
    narrow = block(x)
    monkeypatch.setattr(background, "NARROW", 0)
    plain = block(x)
    assert (plain - x).abs().max() > 1e-3
    assert torch.allclose(narrow, plain, atol=1e-6)


def test_doubling_in_stripes_is_two_plain_enlargements(monkeypatch: pytest.MonkeyPatch) -> None:
    net = fill(Enlarger(EnlargerConfig(width=8, growth=4, blocks=1))).eval()
    image = noise(2, 3, 40, 28)
    x = net.conv_first(F.pixel_unshuffle(image, 2))
    x = x + net.conv_body(net.body(x))
    for conv in (net.conv_up1, net.conv_up2):
        x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), 0.2)
    want = net.conv_last(F.leaky_relu(net.conv_hr(x), 0.2))
    for rows in (64, 16, 7):
        monkeypatch.setattr(background, "STRIPE", rows)
        assert torch.allclose(net(image), want, atol=1e-5 * float(want.abs().max()))


def test_a_fixed_boxs_soft_edge_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    book = CodebookConfig(64, 2, 8, (1, 2), attention_at=(), code_width=8, codes=32, groups=4)
    restorer = fill(TemporalRestorer(RestorerConfig(book, 16, 2, 1, fuse_at=()))).eval()
    stage = Upscaler(UpscaleConfig(crop="box", tile=0), restorer)
    made: list[Tensor] = []

    def counted(matrix: Tensor, *rest: object) -> object:
        made.append(matrix)
        return find_place(matrix, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(upscale, "find_place", counted)
    frames = noise(3, 3, 64, 64)
    boxes = (Box(20, 16, 44, 44), Box(20, 16, 44, 44), Box(8, 16, 32, 44), Box(20, 16, 44, 44))
    pictures = [stage(frames, 96, 1.0, "lanczos", box)[0] for box in boxes]
    assert len(made) == 3  # once for each change of the box, whatever the number of frames
    fresh = [Upscaler(stage.config, restorer)(frames, 96, 1.0, "lanczos", box)[0] for box in boxes]
    assert all(torch.equal(kept, new) for kept, new in zip(pictures, fresh, strict=True))


@pytest.mark.parametrize(("box", "passes"), [(Box(8, 8, 56, 56), 0), (Box(20, 16, 44, 44), 3)])
def test_a_background_that_nobody_sees_is_not_made(box: Box, passes: int) -> None:
    book = CodebookConfig(64, 2, 8, (1, 2), attention_at=(), code_width=8, codes=32, groups=4)
    restorer = fill(TemporalRestorer(RestorerConfig(book, 16, 2, 1, fuse_at=()))).eval()
    net = fill(Enlarger(EnlargerConfig(width=8, growth=4, blocks=1))).eval()
    seen: list[int] = []
    net.register_forward_hook(lambda *given: seen.append(1))
    stage = Upscaler(UpscaleConfig(crop="box", tile=0, enlarge_face=False), restorer, net)
    pictures, _ = stage(noise(3, 3, 64, 64), 128, 1.0, "x2", box)
    assert len(seen) == passes
    assert pictures.mean() > 0.1
