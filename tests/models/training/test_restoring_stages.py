"""Codebook, restorer and enlarger: what they are trained on, and that they learn."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.data.clip_pool import BLOCK, ClipPool
from models.data.clips import Moves, draw_clips
from models.data.degradation import Spoiling, draw_spoiling, spoil
from models.data.portrait_crops import People
from models.families.mini import MINI
from models.families.upscale_config import FoldedEnlargerConfig, RestorerConfig, SkipConfig
from models.image.resample import resize_lanczos
from models.restoration import temporal_skip
from models.restoration.folded_enlarger import FoldedEnlarger
from models.restoration.restorer import TemporalRestorer
from models.training.measures import flicker, gradient_similarity, moved, optical_flow, psnr
from models.training.run import begin, take_step, train
from models.training.settings import BadSettings, Settings, read_settings
from models.weights.synthetic import fill

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIGS = Path(__file__).parents[3] / "models" / "training" / "configs"
VAE = Path(__file__).parents[3] / "models" / "shipped" / "mini" / "vae.safetensors"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def people() -> People:
    return People.of("train", 6, CPU)


@pytest.fixture(scope="module")
def moves() -> Moves:
    return Moves.of(0, 2)


def key(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(people: People, moves: Moves, seed: int, frames: int = 3, side: int = 48) -> Tensor:
    return draw_clips(people, moves, 2, frames, side, torch.tensor([128, 128]), key(seed))


def steady(number: int, **given: float) -> Spoiling:
    none = {field.name: 0.0 for field in fields(Spoiling)} | {"shrink": 1.0}
    return Spoiling(**{name: torch.full((number,), value) for name, value in (none | given).items()})


class TestData:
    def test_a_clip_is_one_person_who_moves_a_little(self, people: People, moves: Moves) -> None:
        drawn = clips(people, moves, 0, frames=6)
        assert drawn.shape == (2, 6, 3, 48, 48)
        step = (drawn[:, 1:] - drawn[:, :-1]).abs().mean()
        assert 1e-5 < step < 0.3 * (drawn[0] - drawn[1]).abs().mean()
        assert torch.equal(drawn, clips(people, moves, 0, frames=6))
        assert not torch.equal(drawn, clips(people, moves, 1, frames=6))

    def test_of_several_squares_the_one_with_most_in_it_is_drawn(self, people: People, moves: Moves) -> None:
        def detail(choice: int) -> float:
            sizes = torch.full((12,), 1024)
            drawn = draw_clips(people, moves, 12, 1, 32, sizes, key(0), choice)
            return float(drawn.diff(dim=-1).abs().mean())

        assert detail(8) > 1.3 * detail(1)

    def test_a_pool_is_drawn_once_and_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        asked: list[int] = []

        def draw(number: int, generator: torch.Generator) -> Tensor:
            asked.append(number)
            return torch.rand(number, 2, 3, generator=generator)

        one = ClipPool(tmp_path, 2 * BLOCK, {"a": 1}, draw)
        assert asked == [BLOCK, BLOCK]
        first = one.some(5, key(0))
        assert first.shape == (5, 2, 3)
        assert first.dtype == torch.uint8
        (one.folder / "00001.npy").unlink()
        again = ClipPool(tmp_path, 2 * BLOCK, {"a": 1}, draw)
        assert len(asked) == 3
        assert torch.equal(again.some(5, key(0)), first)
        assert ClipPool(tmp_path, 1, {"a": 2}, draw).folder != one.folder


class TestSpoiling:
    def test_nothing_asked_leaves_a_clip_as_it_is(self, people: People, moves: Moves) -> None:
        clip = clips(people, moves, 0)
        assert torch.equal(spoil(clip, steady(2), key(0)), clip)

    @pytest.mark.parametrize("kind", ["blur", "noise", "speckle", "flicker", "blocks"])
    def test_every_kind_does_what_it_says(self, people: People, moves: Moves, kind: str) -> None:
        clip = clips(people, moves, 0)
        mild, strong = ((spoil(clip, steady(2, **{kind: s}), key(0)) - clip).abs().mean() for s in (0.05, 0.3))
        assert strong > mild or kind == "blur"
        blurred = spoil(clip, steady(2, blur=1.5), key(0))
        assert blurred.diff(dim=-1).abs().mean() < 0.9 * clip.diff(dim=-1).abs().mean()

    def test_a_clip_that_was_small_lost_its_detail(self, people: People, moves: Moves) -> None:
        clip = clips(people, moves, 0)
        assert spoil(clip, steady(2, shrink=3.0), key(0)).diff(dim=-1).abs().mean() < clip.diff(dim=-1).abs().mean()

    def test_strength_is_one_draw_a_clip_and_values_are_drawn_for_every_frame(self) -> None:
        flat = torch.full((2, 4, 3, 32, 32), 0.5)
        how = replace(steady(2), noise=torch.tensor([0.02, 0.06]), flicker=torch.tensor([0.0, 0.03]))
        found = spoil(flat, how, key(0))
        spread = found.std((2, 3, 4))
        assert (spread[0] / 0.02 - 1).abs().max() < 0.1
        assert spread[1].min() > 2 * spread[0].max()
        assert not torch.equal(found[0, 0], found[0, 1])
        levels = found.mean((2, 3, 4))
        assert levels[0].std() < 0.002
        assert levels[1].std() > 0.005

    def test_the_same_generator_spoils_alike(self, people: People, moves: Moves) -> None:
        clip = clips(people, moves, 0)
        one, two = (spoil(clip, draw_spoiling(2, generator), generator) for generator in (key(4), key(4)))
        assert torch.equal(one, two)
        other = key(5)
        assert not torch.equal(one, spoil(clip, draw_spoiling(2, other), other))


class TestMeasures:
    def test_a_blurred_clip_is_worse_and_a_trembling_one_flickers(self, people: People, moves: Moves) -> None:
        clip = clips(people, moves, 3, frames=4, side=96)[0]
        blurred = spoil(clip[None], steady(1, blur=1.5), key(0))[0]
        assert psnr(clip, clip) == 100
        assert psnr(blurred, clip) < 45
        assert gradient_similarity(clip, clip) == pytest.approx(1, abs=1e-4)
        assert gradient_similarity(blurred, clip) < 0.995
        trembling = spoil(clip[None], steady(1, flicker=0.02), key(0))[0]
        assert flicker(clip, clip) < 0.2 * flicker(trembling, clip)

    def test_flow_finds_what_moved(self, people: People, moves: Moves) -> None:
        picture = clips(people, moves, 3, frames=1, side=96)[0, 0]
        shifted = picture.roll(3, -1)
        back = moved(picture, optical_flow(shifted, picture))
        inner = (slice(None), slice(12, -12), slice(12, -12))
        assert (back - shifted)[inner].abs().mean() < 0.3 * (picture - shifted)[inner].abs().mean()


class TestNetworks:
    def test_a_local_restorer_gives_a_crop_what_it_gives_the_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Away from the crop's edge, and at the same noise: that is why it may be trained on crops."""
        monkeypatch.setattr(temporal_skip, "noise", lambda keys, windows: keys.new_full((windows,), 0.1))
        net = fill(TemporalRestorer(MINI.restorer)).eval()
        assert MINI.restorer.local
        window = torch.rand(1, 2, 3, 512, 512, generator=key(0)) * 2 - 1
        with torch.inference_mode():
            whole = net(window, 0.7, adain=False)
            crop = net(window[..., :448, :448], 0.7, adain=False)
        assert torch.allclose(crop.frames[..., :128, :128], whole.frames[..., :128, :128], atol=1e-3)
        assert not torch.allclose(crop.frames[..., 400:, 400:], whole.frames[..., 400:448, 400:448], atol=1e-3)
        with pytest.raises(ValueError, match="expected 512 x 512"):
            TemporalRestorer(replace(MINI.restorer, spatial=True))(window[..., :64, :64])

    def test_still_frames_are_averaged_and_moving_ones_keep_to_themselves(self) -> None:
        net = TemporalRestorer(MINI.restorer).eval()
        assert net.skip is not None
        still = torch.zeros(1, 8, 3, 64, 64) + torch.linspace(-1, 1, 64)
        noisy = still + 0.02 * torch.randn(still.shape, generator=key(0))
        with torch.inference_mode():
            mean = net.skip.align(noisy)
            cut = still.clone()
            cut[:, 4:] *= -1
            kept = net.skip.align(cut)
        assert (mean - still).std() < 0.6 * (noisy - still).std()
        assert (kept - cut).abs().mean() < 0.02

    def test_streaming_gives_what_the_whole_call_gives(self) -> None:
        net = fill(TemporalRestorer(MINI.restorer)).eval()
        window = torch.rand(3, 3, 64, 64, generator=key(0)) * 2 - 1
        with torch.inference_mode():
            whole = net(window[None], 0.7, adain=False).frames[0]
            assert not torch.allclose(net(window[None, :1], 0.7, adain=False).frames[0], whole[:1], atol=1e-3)
            kept = torch.stack(list(net.restore(window, 0.7, adain=False, keep=slice(1, 3))))
        assert torch.allclose(kept, whole[1:], atol=1e-4)

    def test_an_untrained_enlarger_is_lanczos(self) -> None:
        picture = torch.rand(1, 3, 20, 24, generator=key(0))
        with torch.inference_mode():
            found = FoldedEnlarger(FoldedEnlargerConfig(8, 1)).eval()(picture)
        assert torch.allclose(found, resize_lanczos(picture, (40, 48)), atol=1e-6)

    def test_a_skip_needs_pixels(self) -> None:
        with pytest.raises(ValueError, match="skip needs pixels"):
            RestorerConfig(fuse_at=(), input="latents", skip=SkipConfig())


def small(stage: str, out: Path, **options: object) -> Settings:
    sizes = {"side": 32, "identities": 4} | ({"pictures": [64]} if stage == "enlarger" else {"frames": 3})
    if stage != "enlarger":
        sizes |= {"network": {"width": 8, "code_width": 8, "codes": 16}}
    return Settings(
        stage=stage, out=str(out), steps=4, batch=2, warmup=1, checkpoint_every=100, sample_every=100, log_every=1,
        options=sizes | options,
    )  # fmt: skip


@pytest.mark.parametrize("stage", ["codebook", "restorer", "enlarger"])
def test_a_step_is_a_function_of_its_number(stage: str, tmp_path: Path) -> None:
    """The same run twice, the second in two parts, from a pool and not."""
    for pool in (0, 2):
        options = {"pool": pool, "pool_folder": str(tmp_path / "pools")}
        runs = [begin(small(stage, tmp_path / f"{name}-{pool}", **options)) for name in ("a", "b")]
        losses = [[float(take_step(run)["loss"]) for _ in range(2)] for run in runs]
        assert losses[0] == losses[1]


def test_the_restorer_begins_with_the_codebook_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    train(small("codebook", tmp_path / "book"))
    file = tmp_path / "book" / "weights" / "codebook.safetensors"
    run = begin(small("restorer", tmp_path / "restorer", codebook=str(file)))
    network = run.stage.network
    assert isinstance(network, TemporalRestorer)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert torch.equal(before["quantize.embedding.weight"], run.stage._teacher.quantize.embedding.weight)  # type: ignore[attr-defined]
    for _ in range(3):
        take_step(run)
    after = network.state_dict()
    fixed = ("quantize.", "generator.")
    assert all(torch.equal(before[name], after[name]) == name.startswith(fixed) for name in before if ".bias" in name)


def test_both_designs_of_figure_4_are_given_the_same(tmp_path: Path) -> None:
    options = {"autoencoder": str(VAE), "side": 64}
    stages = {}
    for design in ("pixels", "latents"):
        run = begin(small("restorer", tmp_path / design, design=design, **options))
        assert torch.isfinite(take_step(run)["loss"])
        stages[design] = run.stage
    pixels, latents = (stage.batch(0, key(1))["given"] for stage in stages.values())
    assert latents.shape == (2, 3, 8, 4, 4)
    torch.testing.assert_close(stages["latents"]._shown(latents), pixels)  # type: ignore[attr-defined]
    scores = [stage.score(stage.network) for stage in stages.values()]
    assert scores[0]["psnr_input"] == pytest.approx(scores[1]["psnr_input"])


def test_a_design_is_refused_that_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="design is 'voxels'"):
        begin(small("restorer", tmp_path, design="voxels"))
    with pytest.raises(BadSettings, match="autoencoder's file"):
        begin(small("restorer", tmp_path, design="latents"))


def test_some_clips_are_spoiled_as_little_as_a_chain_does() -> None:
    how = draw_spoiling(400, key(0))
    little = (how.noise == 0) & (how.speckle == 0) & (how.flicker == 0) & (how.blocks == 0) & (how.shrink == 1)
    assert 0.35 < little.float().mean() < 0.5
    assert how.tremble[little & (how.tremble > 0)].median() < 0.05 < how.tremble[~little & (how.tremble > 0)].median()


def test_a_missing_codebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="nowhere"):
        begin(small("restorer", tmp_path, codebook="nowhere/codebook.safetensors"))
    with pytest.raises(BadSettings, match="colour"):
        begin(small("enlarger", tmp_path, colour=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "part", "share"),
    [("codebook", "loss", 0.5), ("restorer", "entropy", 0.8), ("enlarger", "gradient", 0.999)],
)
def test_the_loss_of_a_tiny_run_falls(stage: str, part: str, share: float, tmp_path: Path) -> None:
    """On one and the same batch: other batches are harder or easier by more than a tiny run learns."""
    settings = read_settings(CONFIGS / f"{stage}_tiny.yaml", out=str(tmp_path))
    before = _lost(settings, part)
    train(settings)
    after = _lost(settings, part)
    assert after < share * before
    assert (tmp_path / "weights" / f"{stage}.safetensors").exists()


@torch.no_grad()
def _lost(settings: Settings, part: str) -> float:
    """By the network as its last checkpoint has it, or as it begins."""
    stage = begin(settings).stage
    loss, parts = stage.loss(stage.batch(0, key(99)))
    return float({"loss": loss, **parts}[part])
