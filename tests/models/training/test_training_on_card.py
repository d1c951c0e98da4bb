"""A step of the chain's training on a pretended card: it runs there, and the processor hardly waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.data import take_pool, takes
from models.data.drawn_takes import Drawing, draw_take
from models.families.registry import FAMILIES
from models.training.run import Run, begin, take_step
from models.training.settings import Settings
from models.training.shift_fit import fitted_once
from models.weights.synthetic_tree import write_tree
from tests.support.card_paths import MINI_WEIGHTS
from tests.support.pretended_device import Card, pretended
from tests.support.tiny_hallo2 import TINY_FAMILY
from tests.support.training_speech import corpus

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

A_STEP = 2  # waits: what is looked at of the gradient


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    monkeypatch.setitem(FAMILIES, "tiny", TINY_FAMILY)
    with pretended() as found:
        yield found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    take = draw_take(0, Drawing(corpus(folder / "speech"), "train", 64, 19, 1))
    takes.write(replace(take, embedding=torch.arange(512.0) / 512, prompt="a sad face"), folder / "takes")
    write_tree(folder / "weights", TINY_FAMILY, text=True)
    return folder


def begun(data: Path, out: Path, family: str, stage: str) -> Run:
    options: dict[str, Any] = {"takes": str(data / "takes"), "checks": str(data / "takes")}
    if family == "tiny":
        options |= {"family": "tiny", "weights": str(data / "weights"), "check_steps": 1}
    else:
        options |= {"vae": f"{MINI_WEIGHTS}/vae.safetensors", "start": MINI_WEIGHTS}
    batch, frames = (2, 2) if stage == "chain1" else (1, 16)
    given = options | {"frames": frames}
    return begin(Settings(stage, str(out), steps=2, batch=batch, warmup=1, log_every=1, device="cuda", options=given))


@pytest.mark.parametrize(("family", "stage"), [("tiny", "chain1"), ("tiny", "chain2"), ("mini", "chain2")])
def test_a_step_hardly_waits(card: Card, data: Path, tmp_path: Path, family: str, stage: str) -> None:
    run = begun(data, tmp_path, family, stage)
    network: Any = run.stage.network
    run.stage.batch(1, torch.Generator().manual_seed(0))  # prompts are embedded once a run
    before = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    card.forget()
    parts = take_step(run)
    assert card.waits <= A_STEP, card.blocking
    assert all(tensor.device.type == "cuda" for tensor in network.parameters())
    assert torch.isfinite(parts["loss"]).all()
    assert any(not torch.equal(before[name], tensor.cpu()) for name, tensor in network.state_dict().items())


def test_a_batch_that_is_sent_the_plain_way_would_be_found(
    card: Card, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(data, tmp_path, "tiny", "chain1")
    monkeypatch.setattr(take_pool, "sent", lambda given, device: given.to(device))
    card.forget()
    run.stage.batch(0, torch.Generator().manual_seed(0))
    assert card.waits > A_STEP


def test_kernels_that_a_card_fitted_are_read_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch keeps with a tensor where it lay, and a machine without that device cannot open it."""
    from models.training import shift_fit

    kernels = torch.arange(4.0, device="cuda")
    monkeypatch.setattr(shift_fit, "fitted", lambda vae, pictures, generator: kernels)

    class Decoder:
        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            return latents

    path = tmp_path / "shift.pt"
    fitted_once(path, Decoder(), torch.zeros(1, 4, 2, 2))  # type: ignore[arg-type]
    assert torch.equal(torch.load(path, weights_only=True), kernels.cpu())
