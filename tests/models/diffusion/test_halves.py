"""The two halves of guidance on devices of their own: the same clip as with both side by side."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor

from models.diffusion.clip import ChainNetworks, run_clip
from models.diffusion.text_modulation import TextBranch
from models.diffusion.two_devices import Elsewhere, GuidanceDevices, devices_for
from models.families.config import ChainConfig, Sampling, TextConfig
from tests.models.diffusion.test_chain import TINY, draw, make_clip, noise, synthetic

torch.set_num_threads(1)

QUIRKS = dataclasses.replace(TINY, half_banks=True, interleaved_portraits=True, interleaved_image_tokens=True)
CORRECTS = dataclasses.replace(TINY, unet=dataclasses.replace(TINY.unet, corrects=True))
CPU = torch.device("cpu")


def both_ways(config: ChainConfig, sampling: Sampling) -> tuple[Tensor, Tensor]:
    networks = synthetic(ChainNetworks, config)
    text = synthetic(TextBranch, TextConfig(embedding_width=10, hidden_width=12), config.unet)
    clip = dataclasses.replace(make_clip(config, (1, 2)), prompt=draw(2, 10))
    # Its own copy: a half that used the other's networks would not find them on its device.
    elsewhere = Elsewhere(copy.deepcopy(networks.denoising_unet), CPU)
    with torch.inference_mode():
        together = run_clip(networks, clip, noise(config, (1, 2)), sampling, text)
        apart = run_clip(networks, clip, noise(config, (1, 2)), sampling, text, elsewhere=elsewhere)
    return together, apart


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (TINY, {}),
        (QUIRKS, {}),
        (TINY, {"guided_share": 0.5, "deep_every": 2}),
        (CORRECTS, {"prediction": "sample"}),
    ],
)
def test_the_halves_apart_give_the_same_clip(config: ChainConfig, changes: dict[str, object]) -> None:
    prediction = changes.pop("prediction", "v_prediction")
    sampling = Sampling(steps=3, guidance_scale=2.0, **changes)  # type: ignore[arg-type]
    schedule = dataclasses.replace(sampling.schedule, prediction=str(prediction))
    together, apart = both_ways(config, dataclasses.replace(sampling, schedule=schedule))
    torch.testing.assert_close(apart, together, atol=1e-4, rtol=1e-4)
    assert apart.dtype == torch.float32


def test_without_guidance_there_is_no_other_half() -> None:
    together, apart = both_ways(TINY, Sampling(steps=2, guidance_scale=1.0))
    assert torch.equal(apart, together)


def test_devices_that_are_not_there_are_named() -> None:
    assert devices_for(1, CPU) == [CPU]
    with pytest.raises(GuidanceDevices, match=r"value 2: this worker has 1 device \(cpu\), expected 2; leave"):
        devices_for(2, CPU)


def test_a_failure_elsewhere_is_raised_here() -> None:
    def broken(*given: object) -> Tensor:
        raise RuntimeError("no such kernel")

    with pytest.raises(RuntimeError, match="no such kernel"):
        Elsewhere(broken, CPU).beside(lambda: torch.zeros(1))
