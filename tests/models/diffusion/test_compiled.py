"""The compiled denoiser: the same clip, settled before anything counts on it, and a fallback that says so."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from models.diffusion.clip import ChainNetworks, run_clip
from models.execution.compiled import CompiledStep, told
from models.execution.stepping import Stepping, copied
from models.families.config import Sampling
from models.families.protocol import ClipOptions
from tests.models.diffusion.test_chain import TINY, make_clip, noise, synthetic

torch.set_num_threads(1)

CPU = torch.device("cpu")
ONE_LEVEL = dataclasses.replace(
    TINY, unet=dataclasses.replace(TINY.unet, channels=(16,), attention=(True,), heads=2, groups=4)
)
COMPILED = ClipOptions(steps=2, guidance_scale=2.0, base_size=64, compiled=True)


def clips(backend: str, sampling: Sampling) -> tuple[Tensor, Tensor]:
    networks = synthetic(ChainNetworks, ONE_LEVEL)
    clip, start = make_clip(ONE_LEVEL, (1,), frames=2), noise(ONE_LEVEL, (1,), frames=2)
    step = CompiledStep(networks.denoising_unet, backend)
    with torch.inference_mode():
        plain = run_clip(networks, clip, start, sampling)
        return plain, run_clip(networks, clip, start, sampling, denoise=step)


@pytest.mark.slow
def test_a_step_is_one_graph_and_the_same_sums() -> None:
    """Traced and run as it stands: a step that does not make one graph is an error."""
    plain, traced = clips("eager", Sampling(steps=4, guidance_scale=2.0, guided_share=0.5, deep_every=2))
    torch.testing.assert_close(traced, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_compiled_step_gives_the_same_clip() -> None:
    plain, compiled = clips("inductor", Sampling(steps=2, guidance_scale=2.0))
    torch.testing.assert_close(compiled, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_graphs_are_not_made_anew_for_every_clip() -> None:
    networks = synthetic(ChainNetworks, ONE_LEVEL)
    made: list[int] = []

    def counted(graph: Any, inputs: Any) -> Any:
        made.append(1)
        return graph.forward

    torch._dynamo.reset()
    step = CompiledStep(networks.denoising_unet, counted)
    with torch.inference_mode():
        for seed in (1, 2, 3):
            clip, start = make_clip(ONE_LEVEL, (seed,), frames=2), noise(ONE_LEVEL, (seed,), frames=2)
            run_clip(networks, clip, start, Sampling(steps=2, guidance_scale=2.0), denoise=step)
    assert len(made) == 1


def test_where_compiling_fails_the_step_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler")

    step = CompiledStep(lambda x: x + 1, broken)
    step.settle(lambda: step(torch.ones(1)))
    assert float(step(torch.ones(1))) == 2
    assert step.note is not None
    assert "compile: on: this machine cannot" in caplog.text
    assert "no compiler" in caplog.text


def test_too_little_memory_is_not_the_compilers_affair() -> None:
    def full() -> None:
        raise torch.OutOfMemoryError("all gone")

    step = CompiledStep(lambda x: x, "eager")
    with pytest.raises(torch.OutOfMemoryError):
        step.settle(full)
    assert step.note is None


def test_what_was_settled_is_in_the_numerics_class(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = synthetic(ChainNetworks, ONE_LEVEL)
    stepping, trials = Stepping(networks.denoising_unet, CPU), []

    def settle(options: ClipOptions) -> dict[str, Any]:
        return stepping.settle(options, 1, lambda: trials.append(options))

    assert settle(dataclasses.replace(COMPILED, compiled=False)) == {}
    assert settle(COMPILED) == settle(dataclasses.replace(COMPILED, steps=9)) == {"compiled": told()}
    assert trials == [COMPILED]  # once for all clips of these shapes

    def fails() -> None:
        raise RuntimeError("no compiler")

    assert stepping.settle(COMPILED, 2, fails) == {}
    assert [step.note is None for step in stepping.way(COMPILED, 1).compiled] == [True]
    assert [step.note is None for step in stepping.way(COMPILED, 2).compiled] == [False]


def test_both_halves_are_compiled_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.execution.stepping.devices_for", lambda count, device: [device] * count)
    stepping = Stepping(synthetic(ChainNetworks, ONE_LEVEL).denoising_unet, CPU)
    apart = dataclasses.replace(COMPILED, devices=2)
    found = stepping.settle(apart, 1, lambda: None)
    assert found == {"compiled": told(), "guidance_devices": 2}

    def fails() -> None:
        raise RuntimeError("no compiler")

    assert stepping.settle(apart, 2, fails) == {"guidance_devices": 2}
    assert all(step.note for step in stepping.way(apart, 2).compiled)
    assert stepping.settle(dataclasses.replace(apart, guidance_scale=1.0, compiled=False), 1, fails) == {}


def test_a_copy_has_the_same_weights() -> None:
    denoiser = synthetic(ChainNetworks, ONE_LEVEL).denoising_unet.half()
    other = copied(denoiser, CPU)
    assert all(torch.equal(one, other.state_dict()[name]) for name, one in copy.copy(denoiser).state_dict().items())
    assert not other.training
    assert other.conv_in.weight.dtype == torch.float16


def test_the_compiler_chooses_by_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a graph is made and run; others of this process are as they were."""
    from torch._inductor import config

    step, seen = CompiledStep(lambda x: x + 1), []
    monkeypatch.setattr(step, "_step", lambda x: seen.append(config.deterministic) or x)
    step(torch.ones(1))
    assert seen == [True]
    assert not config.deterministic
    assert told().startswith("inductor, deterministic")
