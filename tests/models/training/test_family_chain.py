"""The chain's stages of another family: a tiny network with every quirk of `hallo2`, from its own files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.data import takes
from models.data.drawn_takes import Drawing, draw_take, draw_under_every_prompt
from models.data.speech import Corpus
from models.diffusion.sampler import scheduler
from models.families.registry import FAMILIES
from models.training.family_chain import Velocity, weight_of_sample
from models.training.run import begin, take_step, train
from models.training.settings import BadSettings, Settings
from models.weights.synthetic_tree import write_tree
from tests.support.tiny_hallo2 import TINY, TINY_FAMILY
from tests.support.training_speech import corpus


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(FAMILIES, "tiny", TINY_FAMILY)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family")
    drawing = Drawing(corpus(folder / "speech"), "train", 64, 19, 1)
    take = draw_take(0, drawing)
    takes.write(replace(take, embedding=torch.arange(512.0) / 512, prompt="a sad face"), folder / "takes")
    write_tree(folder / "weights", TINY_FAMILY, text=True)
    return folder


def settings(data: Path, out: Path, stage: str, **options: Any) -> Settings:
    given = {"family": "tiny", "weights": str(data / "weights"), "takes": str(data / "takes")}
    given |= {"checks": str(data / "takes"), "check_steps": 1}
    batch, frames = (4, 2) if stage == "chain1" else (1, 16)
    return Settings(
        stage, str(out), steps=1, batch=batch, warmup=1, log_every=1, options=given | {"frames": frames} | options
    )


@pytest.mark.slow
def test_both_stages_train_and_leave_files(data: Path, tmp_path: Path) -> None:
    train(settings(data, tmp_path / "one", "chain1"))
    run = train(settings(data, tmp_path / "two", "chain2", start=str(tmp_path / "one/weights")))
    assert run.step == 1
    first, second = (load_file(tmp_path / name / "weights/chain.safetensors") for name in ("one", "two"))
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_only_text_is_trained(data: Path, tmp_path: Path) -> None:
    run = begin(settings(data, tmp_path, "chain2", only_text=True, prompt_dropout=0.0))
    network: Any = run.stage.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parts = take_step(run)
    assert torch.isfinite(parts["loss"])
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(before[name], tensor)}
    assert moved
    assert all(name.startswith("text.") for name in moved)


def test_prompts_are_learned_from_moments_under_every_one(data: Path, tmp_path: Path) -> None:
    drawing = Drawing(Corpus(data / "speech", ()), "train", 64, 2, 1)
    for take in draw_under_every_prompt(7, drawing):
        takes.write(replace(take, prompt=take.name.rpartition("-")[2]), tmp_path / "pairs")
    options = {"only_text": True, "pairs": str(tmp_path / "pairs"), "paired": 1.0, "paired_people": 1}
    parts = take_step(begin(settings(data, tmp_path / "run", "chain2", **options)))
    assert torch.isfinite(parts["loss"])
    assert float(parts["prompts_missed"]) > 0


def test_a_batch_is_what_the_family_takes(data: Path, tmp_path: Path) -> None:
    stage: Any = begin(settings(data, tmp_path, "chain2", drop_rate=0.0, motion_noise=0.0)).stage
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    projection = TINY.chain.audio_projection
    assert batch["latents"].shape == (1, 16, 4, 8, 8)
    assert batch["audio"].shape == (1, 16, projection.window, projection.layers, projection.feature_width)
    assert torch.allclose(batch["face_embedding"][0], torch.arange(512.0) / 512)
    assert batch["prompt"].shape == (1, TINY.text.embedding_width)  # type: ignore[union-attr]
    # Pixels lose patches, and the face keeps them.
    examples = stage.pool.examples(stage.pool.draw(1, 16, torch.Generator().manual_seed(0)), torch.Generator())
    given = examples.motion, examples.reference, torch.Generator().manual_seed(1)
    kept = stage._carried(*given, torch.ones_like(examples.region))
    plain = stage._carried(examples.motion, examples.reference, torch.Generator().manual_seed(2), None)
    assert torch.equal(kept, plain)
    stage.options = replace(stage.options, drop_rate=0.9)
    protected = stage._carried(*given, torch.ones_like(examples.region))
    dropped = stage._carried(*given, torch.zeros_like(examples.region))
    assert torch.equal(protected, plain)
    assert not torch.equal(dropped, plain)


def test_guidance_s_other_half_is_trained(data: Path, tmp_path: Path) -> None:
    """As a render has it: whatever is said and wherever the face is, its prediction is the same.

    Whose face it is does reach it, by the published pairing of motion frames and image tokens.
    """
    given = {"unconditional": 1.0, "start_dropout": 0.0}
    stage: Any = begin(settings(data, tmp_path, "chain2", **given)).stage
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    assert bool(batch["unconditional"])
    other = batch | {name: torch.randn_like(batch[name]) for name in ("audio", "region")}
    with torch.no_grad():
        one, two = (stage._predicted(stage.network, some) for some in (batch, other))
        seen = stage._predicted(stage.network, {k: v for k, v in other.items() if k != "unconditional"})
    assert torch.equal(one, two)
    assert not torch.equal(one, seen)


def test_what_is_left_out_of_a_batch(data: Path, tmp_path: Path) -> None:
    given = {"unconditional": 0.0, "audio_dropout": 1.0, "start_dropout": 1.0, "noise_offset": 0.0}
    stage: Any = begin(settings(data, tmp_path, "chain2", **given)).stage
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    assert "unconditional" not in batch
    assert not batch["audio"].any()
    assert not batch["motion"].any()
    stage.options = replace(stage.options, audio_dropout=0.0, start_dropout=0.0)
    whole = stage.batch(0, torch.Generator().manual_seed(0))
    assert whole["audio"].any()
    assert whole["motion"].any()
    assert torch.equal(whole["noisy"], batch["noisy"])  # nothing else is drawn anew


def test_stage_2_trains_motion_modules_alone_as_published(data: Path, tmp_path: Path) -> None:
    run = begin(settings(data, tmp_path, "chain2", unconditional=0.0))
    network: Any = run.stage.network
    learning = {name for name, value in network.chain.named_parameters() if value.requires_grad}
    assert learning
    assert all(".motion_modules." in name for name in learning)
    everything: Any = begin(settings(data, tmp_path / "all", "chain2", trainable="all")).stage
    assert all(value.requires_grad for value in everything.network.chain.parameters())
    first: Any = begin(settings(data, tmp_path / "first", "chain1")).stage
    assert all(value.requires_grad for value in first.network.chain.parameters())


def test_a_site_computed_again_gives_the_same_gradients(data: Path, tmp_path: Path) -> None:
    stage: Any = begin(settings(data, tmp_path, "chain2", unconditional=0.0)).stage
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    found = []
    for again in (True, False):
        stage.network.chain.denoising_unet.checkpointed = again
        stage.network.zero_grad()
        stage.loss(batch)[0].backward()
        found.append([p.grad.clone() for p in stage.network.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1]) > 0
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_the_noisiest_steps_are_learned() -> None:
    """Sampling starts there. Velocity's weight is min(SNR + 1, 5) / (SNR + 1), as published."""
    velocity = Velocity.of(TINY.sampler, torch.device("cpu"))
    times = torch.tensor([999, 749, 499, 249, 100])
    ratio = velocity.scales(times)[2].flatten()
    weight = weight_of_sample(ratio) / (ratio + 1)
    assert weight[:3].tolist() == pytest.approx([1, 1, 1])
    assert weight[3] == pytest.approx(1, abs=0.1)
    assert weight[4] < 0.75


def test_velocity_gives_the_sample_back() -> None:
    """Against diffusers' own noise and velocity."""
    schedule = scheduler(TINY.sampler)
    sample, noise = torch.randn(2, 1, 3, 4, 4), torch.randn(2, 1, 3, 4, 4)
    times = torch.tensor([20, 900])
    noisy = schedule.add_noise(sample, noise, times)
    velocity = schedule.get_velocity(sample, noise, times)
    found = Velocity.of(TINY.sampler, torch.device("cpu"))(velocity, noisy, noisy, times)
    torch.testing.assert_close(found, sample, atol=1e-4, rtol=1e-4)


def test_mistakes(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="family is 'other': expected one of"):
        begin(settings(data, tmp_path, "chain1", family="other"))
    with pytest.raises(BadSettings, match=r"lacks \['weights'\]"):
        begin(settings(data, tmp_path, "chain1", weights=""))
    with pytest.raises(BadSettings, match=r"which holds no file of vae"):
        begin(settings(data, tmp_path, "chain1", weights=str(data / "takes")))
