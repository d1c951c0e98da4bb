"""The high-resolution stage at tiny width: sizes, seams, colours, missing faces, and what may depend on what."""

import resource
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.faces.detection import anchors, choose_faces, landmarks_in, smooth_landmarks
from models.faces.parsenet import FaceParser
from models.faces.retinaface import RawFaces
from models.families.upscale_config import CodebookConfig, EnlargerConfig, ParserConfig, RestorerConfig, UpscaleConfig
from models.image.masks import Box
from models.image.resample import resize_lanczos
from models.restoration.background import Enlarger, double, enlarge, passes_needed
from models.restoration.codebook import CodebookAutoencoder
from models.restoration.restorer import TemporalRestorer
from models.restoration.upscale import Upscaler, square_around
from models.weights.synthetic import fill

BOOK = CodebookConfig(
    side=64, unshuffle=2, width=8, multipliers=(1, 2), attention_at=(16,), code_width=8, codes=32, groups=4
)
RESTORER = RestorerConfig(BOOK, dim=16, heads=2, layers=2, fuse_at=(32,))
FACE_BOX = Box(20, 16, 44, 44)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def restorer() -> TemporalRestorer:
    return fill(TemporalRestorer(RESTORER)).eval()  # type: ignore[return-value]


@pytest.fixture
def enlarger() -> Enlarger:
    """Tiny, and with outputs that lie in 0..1, so that nothing is hidden by clamping."""
    net = fill(Enlarger(EnlargerConfig(width=8, growth=4, blocks=2))).eval()
    with torch.no_grad():
        net.conv_last.weight.mul_(0.02)
        net.conv_last.bias.fill_(0.4)
    return net  # type: ignore[return-value]


def photo(frames: int, side: int = 64) -> Tensor:
    """Smooth random frames [frames, 3, side, side] in 0..1, well inside the range."""
    coarse = torch.rand(frames, 3, 8, 8, generator=torch.Generator().manual_seed(7))
    return nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").mul(0.4).add(0.3).clamp(0, 1)


def upscaler(restorer: TemporalRestorer, enlarger: Enlarger | None = None, **changes: Any) -> Upscaler:
    return Upscaler(UpscaleConfig(**{"crop": "box", "tile": 0, **changes}), restorer, enlarger)


class TestEnlarging:
    @pytest.mark.parametrize(
        ("side", "target", "passes"), [(64, 128, 1), (128, 208, 1), (64, 256, 2), (64, 48, 0), (64, 272, 3)]
    )
    def test_real_passes_then_one_resize(self, enlarger: Enlarger, side: int, target: int, passes: int) -> None:
        seen = []
        enlarger.register_forward_hook(lambda net, args, out: seen.append(tuple(out.shape[-2:])))
        out = enlarge(photo(1, side), (target, target), enlarger, "x2", tile=0)
        assert out.shape == (1, 3, target, target)
        assert passes == passes_needed(side, target)
        assert seen == [(side << n, side << n) for n in range(1, passes + 1)]

    def test_any_size(self, enlarger: Enlarger) -> None:
        assert enlarge(photo(1)[..., :33, :45], (70, 96), enlarger, "x2").shape == (1, 3, 70, 96)

    def test_lanczos_needs_no_network_and_keeps_a_flat_picture(self) -> None:
        out = enlarge(torch.full((1, 3, 40, 40), 0.25), (100, 72), None, "lanczos")
        assert out.shape == (1, 3, 100, 72)
        assert torch.allclose(out, torch.tensor(0.25), atol=1e-6)

    def test_x2_without_network_says_what_to_do(self) -> None:
        with pytest.raises(ValueError, match="background: lanczos"):
            enlarge(photo(1), (128, 128), None, "x2")

    def test_tiles_have_no_seams(self, enlarger: Enlarger) -> None:
        """With a margin as wide as the network sees, tiles and the whole image are the same."""
        image = photo(1, 96)
        whole = double(enlarger, image, 0)
        assert torch.allclose(double(enlarger, image, tile=32, pad=80), whole, atol=1e-5)
        narrow = double(enlarger, image, tile=32, pad=16)
        assert (narrow - whole).abs().max() < 0.05 * whole.std()
        none = double(enlarger, image, tile=32, pad=0)
        assert (none - whole).abs().max() > 10 * (narrow - whole).abs().max()


class TestRestorer:
    def test_streaming_gives_what_the_whole_call_gives(self, restorer: TemporalRestorer) -> None:
        window = photo(5) * 2 - 1
        whole = restorer(window[None], 0.7).frames[0]
        for group in (1, 2, 4):
            streamed = torch.stack(list(restorer.restore(window, 0.7, group=group)))
            assert torch.allclose(streamed, whole, atol=1e-5)
        kept = torch.stack(list(restorer.restore(window, 0.7, keep=slice(2, 4))))
        assert torch.allclose(kept, whole[2:4], atol=1e-5)

    def test_frames_see_each_other_but_not_their_order(self, restorer: TemporalRestorer) -> None:
        window = (photo(4) * 2 - 1)[None]
        logits = restorer(window).logits
        turned = restorer(window.flip(1)).logits.flip(1)
        assert torch.allclose(logits, turned, atol=1e-4)
        changed = window.clone()
        changed[:, 3] *= -1
        assert not torch.allclose(restorer(changed).logits[:, 0], logits[:, 0], atol=1e-4)

    def test_fidelity_zero_runs_no_fusion(self, restorer: TemporalRestorer) -> None:
        window = (photo(1) * 2 - 1)[None]
        plain = restorer(window, 0.0).frames
        with torch.no_grad():
            for parameter in restorer.fuse_convs_dict.parameters():
                parameter.fill_(float("nan"))
        assert torch.equal(restorer(window, 0.0).frames, plain)
        assert restorer(window, 0.1).frames.isnan().any()

    def test_reads_latents_instead_of_pixels(self) -> None:
        """The other design of the paper's Figure 4: no encoder levels above the latents, fusion only up to them."""
        config = RestorerConfig(BOOK, 16, 2, 1, fuse_at=(16, 32), input="latents", latent_channels=4, latent_side=16)
        assert config.fused_sizes == (16,)
        net = fill(TemporalRestorer(config)).eval()
        out = net(torch.randn(1, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0)), 1.0)
        assert out.frames.shape == (1, 3, 3, 64, 64)
        assert out.codes.shape == (1, 3, 256)

    def test_wrong_sizes_are_refused(self, restorer: TemporalRestorer) -> None:
        with pytest.raises(ValueError, match="expected 64 x 64"):
            restorer(torch.zeros(1, 1, 3, 32, 32))
        with pytest.raises(ValueError, match=r"fuse_at has \[24\]"):
            RestorerConfig(BOOK, fuse_at=(24,))
        with pytest.raises(ValueError, match="latents are 64 wide"):
            RestorerConfig(BOOK, fuse_at=(), input="latents")
        with pytest.raises(ValueError, match="no multiple of 64"):
            CodebookConfig(side=100, unshuffle=2)

    def test_codebook_passes_gradients_to_the_encoder(self) -> None:
        with torch.inference_mode(False), torch.enable_grad():
            net = fill(CodebookAutoencoder(BOOK))
            images = photo(2).clone() * 2 - 1
            drawn, quantised = net(images)
            assert drawn.shape == images.shape
            (drawn.square().mean() + quantised.loss).backward()
            assert net.encoder.blocks[0].weight.grad.abs().sum() > 0
            assert net.quantize.embedding.weight.grad.abs().sum() > 0


class StandInDetector(nn.Module):
    """Finds a face in a frame whose first pixel is bright, where the middle of the frame is."""

    def forward(self, images: Tensor) -> RawFaces:
        count = len(anchors(*images.shape[-2:]))
        scores = torch.zeros(1, count, 2)
        if images[0, :, 0, 0].mean() > 0:
            scores[0, count // 2, 1] = 1.0
        points = 20 * torch.tensor([-3.0, -3, 3, -3, 0, 0, -2, 3, 2, 3])
        return RawFaces(torch.zeros(1, count, 4), scores, points.expand(1, count, 10))


class TestWindow:
    def test_a_frames_background_does_not_depend_on_the_window(
        self, restorer: TemporalRestorer, enlarger: Enlarger
    ) -> None:
        frames = photo(16)
        frames[:, :, 0, 0] = 0  # no faces
        for group in (1, 3):
            stage = Upscaler(UpscaleConfig(tile=0, group=group), restorer, enlarger, detector=StandInDetector())
            one, found = stage(frames[:10], 128)
            two, _ = stage(frames[4:], 128)
            assert found == [False] * 10
            assert torch.equal(one[4:], two[:6])

    def test_the_same_call_gives_the_same_bits(self, restorer: TemporalRestorer, enlarger: Enlarger) -> None:
        stage = upscaler(restorer, enlarger)
        assert torch.equal(stage(photo(3), 128, 1.0, "x2", FACE_BOX)[0], stage(photo(3), 128, 1.0, "x2", FACE_BOX)[0])

    def test_kept_frames_are_those_of_the_whole_window(self, restorer: TemporalRestorer, enlarger: Enlarger) -> None:
        stage = upscaler(restorer, enlarger)
        whole, _ = stage(photo(6), 96, 1.0, "x2", FACE_BOX)
        kept = list(stage.frames(photo(6), 96, 1.0, "x2", FACE_BOX, keep=slice(2, 6)))
        assert torch.equal(torch.stack([frame.picture for frame in kept]), whole[2:])

    def test_a_frame_without_a_face_falls_back_and_is_flagged(
        self, restorer: TemporalRestorer, enlarger: Enlarger
    ) -> None:
        frames = photo(4)
        frames[:, :, 0, 0] = 1.0
        frames[1:3, :, 0, 0] = 0.0
        stage = Upscaler(UpscaleConfig(tile=0), restorer, enlarger, StandInDetector())
        pictures, found = stage(frames, 128)
        assert found == [True, False, False, True]
        background = Upscaler(UpscaleConfig(tile=0), restorer, enlarger, StandInDetector())
        dark = frames.clone()
        dark[:, :, 0, 0] = 0.0
        plain, none = background(dark, 128)
        assert none == [False] * 4
        assert torch.equal(pictures[1:3], plain[1:3])
        assert (pictures[0] - plain[0]).abs()[:, 40:88, 40:88].max() > 0.01

    def test_faces_found_before_are_not_looked_for_again(self, restorer: TemporalRestorer) -> None:
        frames = photo(3)
        frames[:2, :, 0, 0] = 1.0
        frames[2, :, 0, 0] = 0.0
        stage = Upscaler(UpscaleConfig(), restorer, None, StandInDetector())
        found = stage.find_faces(frames)
        assert [len(faces) for faces in landmarks_in(found)] == [1, 1, 0]
        looked, _ = stage(frames, 96, background="lanczos")
        stage.detector = None
        kept = list(stage.frames(frames, 96, background="lanczos", found=found))
        assert torch.equal(torch.stack([frame.picture for frame in kept]), looked)

    def test_a_window_without_any_face_is_no_error(self, restorer: TemporalRestorer) -> None:
        frames = torch.zeros(2, 3, 64, 64)
        stage = Upscaler(UpscaleConfig(), restorer, None, StandInDetector())
        assert stage(frames, 96, background="lanczos")[1] == [False, False]

    @pytest.mark.parametrize("crop", ["box", "whole"])
    @pytest.mark.parametrize("background", ["x2", "lanczos"])
    @pytest.mark.parametrize("resolution", [48, 128, 208])
    def test_sizes(
        self, restorer: TemporalRestorer, enlarger: Enlarger, crop: str, background: str, resolution: int
    ) -> None:
        pictures, found = upscaler(restorer, enlarger, crop=crop)(photo(2), resolution, 1.0, background, FACE_BOX)
        assert pictures.shape == (2, 3, resolution, resolution)
        assert found == [True, True]
        assert pictures.min() >= 0
        assert pictures.max() <= 1

    def test_only_the_face_box_is_restored(self, restorer: TemporalRestorer, enlarger: Enlarger) -> None:
        with_face, _ = upscaler(restorer, enlarger)(photo(2), 128, 1.0, "x2", FACE_BOX)
        other = fill(TemporalRestorer(RESTORER), prefix="other.").eval()
        without, _ = upscaler(other, enlarger)(photo(2), 128, 1.0, "x2", FACE_BOX)
        changed = (with_face - without).abs().amax((0, 1)) > 1e-6
        x0, y0, x1, y1 = (round(2 * v) for v in square_around(FACE_BOX, 1.5, (64, 64)))
        assert changed[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8].float().mean() > 0.9
        changed[y0:y1, x0:x1] = False
        assert not changed.any()

    @pytest.mark.parametrize("crop", ["box", "whole"])
    def test_colours_are_those_of_the_input(self, restorer: TemporalRestorer, enlarger: Enlarger, crop: str) -> None:
        frames = photo(2)
        kept, _ = upscaler(restorer, enlarger, crop=crop)(frames, 128, 1.0, "x2", FACE_BOX)
        shift = (kept.mean((2, 3)) - frames.mean((2, 3))).abs().max()
        plain, _ = upscaler(restorer, enlarger, crop=crop, keep_colour=False)(frames, 128, 1.0, "x2", FACE_BOX)
        assert shift < 2 / 255
        assert (plain.mean((2, 3)) - frames.mean((2, 3))).abs().max() > 5 * shift

    def test_latents_are_needed_by_a_restorer_that_reads_them(self) -> None:
        config = RestorerConfig(BOOK, 16, 2, 1, fuse_at=(), input="latents", latent_channels=4, latent_side=16)
        net = fill(TemporalRestorer(config)).eval()
        with pytest.raises(ValueError, match="'whole'"):
            Upscaler(UpscaleConfig(crop="box"), net)
        stage = Upscaler(UpscaleConfig(crop="whole"), net)
        with pytest.raises(ValueError, match="pass the window's latents"):
            stage(photo(2), 128, background="lanczos")
        pictures, _ = stage(photo(2), 128, background="lanczos", latents=torch.zeros(2, 4, 16, 16))
        assert pictures.shape == (2, 3, 128, 128)

    def test_missing_parts_are_named(self, restorer: TemporalRestorer) -> None:
        with pytest.raises(ValueError, match="no face detector"):
            Upscaler(UpscaleConfig(), restorer)
        with pytest.raises(ValueError, match="no face box"):
            upscaler(restorer)(photo(1), 128, background="lanczos")

    def test_a_parser_narrows_what_is_pasted(self, enlarger: Enlarger) -> None:
        book = CodebookConfig(
            side=128, unshuffle=4, width=8, multipliers=(1, 2), attention_at=(), code_width=8, codes=32, groups=4
        )
        restorer = fill(TemporalRestorer(RestorerConfig(book, 16, 2, 1, fuse_at=()))).eval()
        parser = fill(FaceParser(ParserConfig(width=4, widest=8, downs=2, depth=1))).eval()
        with torch.no_grad():
            parser.out_mask_conv.conv2d.bias[0] = 1e6  # all background: nothing of the face is pasted
        background = UpscaleConfig(crop="box", keep_colour=False, tile=0)
        nothing, _ = Upscaler(background, restorer, enlarger, None, parser)(photo(1), 128, 1.0, "x2", FACE_BOX)
        assert torch.allclose(nothing, enlarge(photo(1), (128, 128), enlarger, "x2"), atol=1e-5)


class TestLandmarks:
    def test_published_choice_takes_the_last_found_so_far(self) -> None:
        a, b = torch.full((5, 2), 1.0), torch.full((5, 2), 2.0)
        none = torch.zeros(0, 5, 2)
        chosen = choose_faces([none, torch.stack([a, b]), none], "published")
        assert chosen[0] is None
        assert torch.equal(chosen[1], b)
        assert torch.equal(chosen[2], b)

    def test_default_choice_takes_the_largest_and_leaves_gaps(self) -> None:
        small = torch.tensor([[0.0, 0], [4, 0], [2, 2], [0, 4], [4, 4]])
        chosen = choose_faces([torch.stack([small, small * 3]), torch.zeros(0, 5, 2)], "largest")
        assert torch.equal(chosen[0], small * 3)
        assert chosen[1] is None

    def test_smoothing_stays_in_the_window_and_keeps_gaps(self) -> None:
        still = torch.arange(10.0).view(5, 2)
        moved: list[Tensor | None] = [still, still + 3, None, still]
        smooth = smooth_landmarks(moved, 1.0)
        assert smooth[2] is None
        assert 0 < float((smooth[0] - still).mean()) < 1.5
        assert 1.5 < float((smooth[1] - still).mean()) < 3
        assert smooth_landmarks(moved, 0)[1] is moved[1]


def peak_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
def test_a_window_at_4096_in_bounded_memory(record_property: Callable[[str, object], None]) -> None:
    """512 to 4096: three real passes in tiles, the restored face pasted in, one picture at a time."""
    book = CodebookConfig(512, 8, 8, (1, 2), attention_at=(), code_width=8, codes=32, groups=4)
    restorer = fill(TemporalRestorer(RestorerConfig(book, 16, 2, 1, fuse_at=(64,)))).eval()
    enlarger = fill(Enlarger(EnlargerConfig(width=4, growth=2, blocks=1))).eval()
    with torch.no_grad():
        enlarger.conv_last.weight.mul_(0.02)
        enlarger.conv_last.bias.fill_(0.4)
    frames, face = photo(16, 512), Box(160, 120, 340, 360)
    stage = Upscaler(UpscaleConfig(crop="box", tile=256), restorer, enlarger)
    before = peak_bytes()
    written = []
    for frame in stage.frames(frames, 4096, 1.0, "x2", face, keep=slice(10, 16)):
        assert frame.picture.shape == (3, 4096, 4096)
        written.append(peak_bytes())
    assert len(written) == 6
    record_property("gigabytes beside the window", (written[-1] - before) / 1e9)
    assert written[-1] - before < 4e9
    assert written[-1] - written[1] < 0.5e9  # the number of frames does not matter

    tiled = enlarge(frames[:1], (4096, 4096), enlarger, "x2", tile=256, pad=40)
    whole = enlarge(frames[:1], (4096, 4096), enlarger, "x2", tile=0)
    seam = float((tiled - whole).abs().max())
    record_property("largest difference between tiles and the whole image", seam)
    assert seam < 1e-4


@pytest.mark.parametrize(("most", "calls"), [(None, 2), (1, 1)])
def test_the_x2_network_enlarges_as_often_as_it_may(
    restorer: TemporalRestorer, enlarger: Enlarger, most: int | None, calls: int
) -> None:
    """Once, and a plain filter from there on, is what the published script does at any size."""
    seen: list[int] = []
    hook = enlarger.register_forward_hook(lambda net, given, made: seen.append(given[0].shape[-1]))
    stage = Upscaler(UpscaleConfig(tile=0, keep_colour=False), restorer, enlarger, StandInDetector())
    stage.most_passes = most
    frames = photo(1)
    frames[:, :, 0, 0] = 0.0  # nobody in it
    pictures, _ = stage(frames, 256)
    hook.remove()
    assert seen == [64, 128][:calls]
    if most:
        once = double(enlarger, frames).clamp(0, 1)
        assert torch.equal(pictures[0], resize_lanczos(once, (256, 256)).clamp(0, 1)[0])
