"""The training loop: it learns, stops when asked, and goes on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from models.training import checkpoint
from models.training.autoencoder import TrainingStage, _move
from models.training.run import begin, main, rate_at, save, take_step, train
from models.training.settings import BadSettings, Settings, read_settings
from models.training.stage import STAGES

CONFIGS = Path(__file__).parents[3] / "models" / "training" / "configs"


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def tiny(out: Path, **given: object) -> Settings:
    settings = Settings(
        stage="autoencoder",
        out=str(out),
        steps=6,
        batch=2,
        warmup=2,
        checkpoint_every=100,
        sample_every=100,
        log_every=1,
        options={
            "side": 32,
            "picture": 64,
            "identities": 4,
            "vae": {"channels": [8, 8], "groups": 4, "latent_channels": 4, "layers": 1},
        },
    )
    return replace(settings, **given)  # type: ignore[arg-type]


def test_a_run_that_stopped_ends_like_one_that_did_not(tmp_path: Path) -> None:
    whole = train(tiny(tmp_path / "whole"))
    first = train(tiny(tmp_path / "parts"), minutes=0)
    assert first.step == 1
    second = begin(tiny(tmp_path / "parts"))
    assert second.step == 1
    for _ in range(2):
        take_step(second)
    save(second)
    last = train(tiny(tmp_path / "parts"))
    assert last.step == whole.step == 6
    for part in ("network", "mean", "optimiser"):
        one, other = (
            load_file(tmp_path / name / "step-00000006" / f"{part}.safetensors") for name in ("whole", "parts")
        )
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_finished_run_does_nothing_more_and_leaves_what_was_promised(tmp_path: Path) -> None:
    train(tiny(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["scores"].keys() == {"psnr", "psnr_fine", "psnr_20_trips"}
    assert Image.open(tmp_path / "samples" / "step-00000006.png").size == (4 * 64, 2 * 64)
    weights = load_file(tmp_path / "weights" / "vae.safetensors")
    stage = begin(tiny(tmp_path)).stage
    assert isinstance(stage, TrainingStage)
    assert weights.keys() == stage.network.model.state_dict().keys()  # type: ignore[union-attr]
    before = (tmp_path / "curve.jsonl").read_text()
    assert train(tiny(tmp_path)).step == 6
    assert (tmp_path / "curve.jsonl").read_text() == before


def test_a_checkpoint_half_written_does_not_count(tmp_path: Path) -> None:
    run = train(tiny(tmp_path), minutes=0)
    (tmp_path / "step-00000004").mkdir()
    (tmp_path / "step-00000004" / "network.safetensors").write_bytes(b"half")
    with (tmp_path / "curve.jsonl").open("a") as curve:
        curve.write('{"step": 4, "loss": 1}\n{"st')
    found = checkpoint.facts(tmp_path)
    assert found is not None
    assert found["step"] == run.step == 1
    assert train(tiny(tmp_path)).step == 6
    steps = [json.loads(line)["step"] for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6, 6]
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000006"]


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    train(tiny(tmp_path / "one"), minutes=0)
    with pytest.raises(BadSettings, match="seed"):
        begin(tiny(tmp_path / "one", seed=1))
    one, other = (begin(tiny(tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 1)))
    assert float(take_step(one)["loss"]) != float(take_step(other)["loss"])


def test_moved_latents_belong_to_the_moved_picture(tmp_path: Path) -> None:
    ramp = torch.arange(8.0).expand(2, 1, 8, 8)
    moved = _move(ramp, torch.tensor([[0.0, 0.0], [0.0, 0.5]]))
    assert torch.allclose(moved[0], ramp[0], atol=1e-5)
    assert torch.allclose(moved[1, ..., :7], ramp[1, ..., :7] + 0.5, atol=1e-5)
    settings = tiny(tmp_path, options=tiny(tmp_path).options | {"equivariance": 1.0})
    batch = begin(settings).stage.batch(0, torch.Generator().manual_seed(0))
    factor = 4
    for row, offset in enumerate((batch["offsets"] * factor).round().long().tolist()):
        down, across = offset
        kept = batch["pixels"][row, :, down:, across:]
        assert torch.equal(batch["wanted"][row, :, : 32 - down, : 32 - across], kept)
        assert batch["weight"][row, :, 32 - down :].sum() == 0 or down == 0


def test_the_rate_rises_and_falls_to_nothing(tmp_path: Path) -> None:
    settings = tiny(tmp_path, steps=100, warmup=10)
    rates = [rate_at(step, settings) for step in range(101)]
    assert rates[0] < rates[5] < rates[10] == settings.learning_rate
    assert rates[100] == pytest.approx(0)


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_reads(config: Path) -> None:
    assert read_settings(config).stage in STAGES


def test_mistakes_in_a_configuration_are_named(tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    for text, named in (
        ("stage: autoencoder\nout: x\nsteps: 5\nbatch: 1\nspeed: 3\n", "speed"),
        ("stage: autoencoder\nout: x\nsteps: 0\nbatch: 1\n", "steps is 0"),
        ("stage: autoencoder\nout: x\nsteps: 5\nbatch: 1\nlearning_rate: 1e-3\n", "1.0e-3"),
        ("stage: nothing\nout: x\nsteps: 5\nbatch: 1\n", "'nothing'"),
        ("stage: autoencoder\nout: x\nsteps: 5\nbatch: 1\noptions: {size: 3}\n", "size"),
        ("[", "bad.yaml"),
    ):
        config.write_text(text)
        result = CliRunner().invoke(main, [str(config), "--out", str(tmp_path / "out")])
        assert result.exit_code == 2
        assert named in result.output
        assert "Traceback" not in result.output


@pytest.mark.slow
def test_the_loss_of_a_tiny_run_falls(tmp_path: Path) -> None:
    settings = read_settings(CONFIGS / "autoencoder_tiny.yaml", out=str(tmp_path))
    train(settings)
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    losses = [line["l1"] for line in lines if "l1" in line]
    assert losses[-1] < 0.75 * losses[0]
    assert lines[-1]["scores"]["psnr"] > 14
