"""The chain's stages of training: they run on takes, go on from each other, and leave the family's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.autoencoder.vae import Vae
from models.data import takes
from models.data.drawn_takes import Drawing, draw_take, draw_under_every_prompt
from models.data.speech import Corpus
from models.diffusion.correction import Corrector, beside
from models.diffusion.latent_shift import LatentShift
from models.drawn.expressions import EXPRESSIONS, HEAD_POSES
from models.families.mini import MINI
from models.families.registry import FAMILIES
from models.training.denoising import TrainingStage, _between_prompts, _joined
from models.training.run import begin, take_step, train
from models.training.settings import BadSettings, Settings
from models.weights.loading import inspect
from tests.support.training_speech import corpus

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    speech = corpus(folder / "speech")
    for split, number in (("train", 2), ("validation", 1)):
        drawing = Drawing(speech, split, 64, 19, 1)  # type: ignore[arg-type]
        for one in range(number):
            takes.write(draw_take(one, drawing), folder / split)
    torch.manual_seed(0)
    vae = Vae(replace(MINI.vae, shrink=1))
    vae.start_rough()
    save_file(vae.model.state_dict(), folder / "vae.safetensors")
    return folder


@pytest.fixture(scope="module")
def pairs(data: Path) -> Path:
    """Two people, each at one moment under every prompt."""
    drawing = Drawing(Corpus(data / "speech", ()), "train", 64, 3, 2)
    for one in (5, 6):
        for take in draw_under_every_prompt(one, drawing):
            takes.write(take, data / "pairs")
    return data / "pairs"


def settings(data: Path, out: Path, stage: str, **options: Any) -> Settings:
    batch, frames = (4, 2) if stage == "chain1" else (1, 16)
    given = {"takes": str(data / "train"), "checks": str(data / "validation"), "vae": str(data / "vae.safetensors")}
    return Settings(
        stage, str(out), steps=2, batch=batch, warmup=1, log_every=1, options=given | {"frames": frames} | options
    )


@pytest.mark.slow
def test_the_second_stage_goes_on_from_the_first(data: Path, tmp_path: Path) -> None:
    train(settings(data, tmp_path / "one", "chain1"))
    files = {file.path: file for file in FAMILIES["mini"].tree}
    for name in ("chain.safetensors", "text.safetensors"):
        assert inspect(tmp_path / "one/weights" / name, files[name], MINI).tensors > 10
    second = begin(settings(data, tmp_path / "two", "chain2", start=str(tmp_path / "one/weights")))
    first = load_file(tmp_path / "one/weights/chain.safetensors")
    held = second.stage.network.chain.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(held[name], tensor) for name, tensor in first.items())
    before = {name: tensor.clone() for name, tensor in held.items()}
    for _ in range(3):
        take_step(second)
    moved = {name for name, tensor in held.items() if not torch.equal(before[name], tensor)}
    assert any("motion_modules" in name for name in moved)
    assert any("audio_modules" in name for name in moved)
    assert (tmp_path / "one/samples/step-00000002.png").stat().st_size > 0


def test_motion_frames_lose_patches_and_get_noise(data: Path, tmp_path: Path) -> None:
    stage: Any = begin(settings(data, tmp_path / "run", "chain2", drop_rate=0.5, motion_noise=0.0)).stage
    motion = torch.ones(1, 2, 8, 32, 32)
    portrait = torch.full((1, 8, 32, 32), 3.0)
    carried = stage._carried(motion, portrait, torch.Generator().manual_seed(0))
    assert set(carried.unique().tolist()) == {1.0, 3.0}, "the portrait shows through"
    assert carried.mean() == pytest.approx(2, abs=0.12)
    noisy: Any = begin(settings(data, tmp_path / "noisy", "chain2", drop_rate=0.0, motion_noise=0.2)).stage
    change = noisy._carried(motion, portrait, torch.Generator().manual_seed(0)) - motion
    assert change.std() == pytest.approx(0.2, rel=0.05)


def test_what_is_not_there_is_said_before_anything_starts(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"vae is .*gone.* which is not there: docs/training"):
        begin(settings(data, tmp_path, "chain1", vae=str(data / "gone")))


def test_an_untrained_correction_is_the_linear_estimate() -> None:
    """With nothing given and clean latents, the estimate is the latents; with pure noise, a mix of what was known."""
    corrector = Corrector.of(MINI.sampler)
    generator = torch.Generator().manual_seed(0)
    portrait, last, clean, turned = (torch.randn(1, 8, 4, 4, generator=generator) for _ in range(4))
    known = beside(portrait, last, LatentShift(8))
    assert known.shape == (1, 18, 4, 4)
    given = torch.cat([torch.zeros(1, 1, 10, 4, 4), turned[:, None]], dim=2)
    nearly = corrector(given, clean[:, None], known, torch.tensor([0]))
    assert (nearly[:, 0] - clean).abs().max() < 0.1
    noise = torch.randn(1, 1, 8, 4, 4, generator=generator)
    guess = corrector(given, noise, known, torch.tensor([999]))
    share = torch.sigmoid(torch.tensor(2.0))
    torch.testing.assert_close(guess[:, 0], turned + share * (last - turned))
    given[:, :, 9] = -100  # sure of what was known: neither noise nor anything drawn comes through
    given[:, :, :8] = 1
    sure = corrector(given, noise, known, torch.tensor([500]))
    assert (sure[:, 0] - guess[:, 0]).abs().max() < 0.02


def test_an_untrained_denoiser_gives_the_portrait_as_the_last_frame_has_it(data: Path, tmp_path: Path) -> None:
    stage: Any = begin(settings(data, tmp_path, "chain2", frames=16)).stage
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    given, known = stage._given(stage.network, batch)
    shift = stage.network.chain.denoising_unet.shift
    assert shift.kernels.abs().max() > 0
    wanted = shift(batch["reference"], known[:, None, -2:])
    torch.testing.assert_close(given[:, :, 10:-2], wanted.expand(-1, 16, -1, -1, -1))


def test_motion_frames_may_be_the_networks_own(data: Path, tmp_path: Path) -> None:
    """Of another network other motion frames; true ones are of the takes alone."""

    def motions(own: float) -> list[torch.Tensor]:
        run = begin(settings(data, tmp_path / str(own), "chain2", own=own, frames=8, drop_rate=0.0, motion_noise=0.0))
        stage: Any = run.stage
        found = []
        for bias in (0.0, 1.0):
            torch.nn.init.constant_(stage.network.chain.denoising_unet.conv_out.bias, bias)
            found.append(stage.batch(0, torch.Generator().manual_seed(0))["motion"])
        return found

    same, other = motions(0.0)
    assert torch.equal(same, other)
    same, other = motions(1.0)
    assert (same - other).abs().mean() > 0.05


def test_what_was_drawn_wrong_is_taken_back_frame_by_frame() -> None:
    """No jump where clips meet, and nothing left of it at the end."""
    true = torch.randn(2, 8, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    instead_of = true[:, 0] - 0.1
    assert torch.equal(_joined(true, instead_of, instead_of), true)
    joined = _joined(true, instead_of + 1, instead_of)
    assert torch.allclose((joined - true).mean((0, 2, 3, 4)), torch.arange(7, -1, -1) / 8, atol=1e-6)


def test_a_moment_is_drawn_under_every_prompt_and_nothing_else_differs(pairs: Path) -> None:
    drawn = list(takes.read_all(pairs))[: len(EXPRESSIONS) + len(HEAD_POSES)]
    assert len({take.prompt for take in drawn}) == len(drawn)
    assert len({take.name.rpartition("-")[0] for take in drawn}) == 1
    for take in drawn[1:]:
        assert torch.equal(take.speech, drawn[0].speech)
        assert torch.equal(take.portraits, drawn[0].portraits)
        assert not torch.equal(take.frames, drawn[0].frames)


def test_batches_under_every_prompt_differ_in_prompt_and_frames_alone(data: Path, pairs: Path, tmp_path: Path) -> None:
    given = settings(data, tmp_path / "run", "chain2", pairs=str(pairs), paired=1.0)
    stage = TrainingStage(given, torch.device("cpu"))
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    alike = len(EXPRESSIONS) + len(HEAD_POSES)
    assert int(batch["alike"]) == alike
    assert len(batch["latents"]) == 2 * alike
    assert batch["prompted"].all()
    for name in ("reference", "region", "audio", "timestep", "lips_0", "last"):
        for person in batch[name].split(alike):
            assert torch.equal(person, person[:1].expand_as(person)), name
    assert len(batch["prompt"][:alike].unique(dim=0)) == alike
    _, found_by = stage.loss(batch)
    assert float(found_by["prompts_missed"].detach()) == pytest.approx(1, abs=0.1)  # untrained, all get the same


def test_between_prompts_only_what_the_prompt_changes_counts() -> None:
    torch.manual_seed(0)
    wanted, weight = torch.randn(4, 1, 3, 2, 2), torch.ones(4, 1, 1, 2, 2)
    wrong = torch.randn(2, 1, 3, 2, 2).repeat_interleave(2, 0)  # the same for both prompts of a person
    assert float(_between_prompts(wanted + wrong, wanted, weight, 2)) == pytest.approx(0, abs=1e-10)
    assert float(_between_prompts(wrong, wanted, weight, 2)) == pytest.approx(1)
    swapped = wanted.view(2, 2, 1, 3, 2, 2).flip(1).flatten(0, 1)
    assert float(_between_prompts(swapped, wanted, weight, 2)) == pytest.approx(4)


def test_a_small_change_counts_as_a_large_one() -> None:
    torch.manual_seed(0)
    large, small = 10 * torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    wanted, weight = torch.stack([large, -large, small, -small]), torch.ones(4, 1, 1, 2, 2)
    for left_out in (slice(0, 2), slice(2, 4)):
        shown = wanted.clone()
        shown[left_out] = 0
        assert float(_between_prompts(shown, wanted, weight, 4)) == pytest.approx(0.5)
