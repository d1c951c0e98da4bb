"""Linear layers in eight bits: nearly the same clip, and every row for itself."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from models.diffusion.clip import ChainNetworks, run_clip
from models.execution.eight_bit import EightBitLinear, in_eight_bits
from models.execution.stepping import Stepping, copied
from models.families.config import Sampling
from models.families.protocol import ClipOptions
from tests.models.diffusion.test_chain import TINY, make_clip, noise, synthetic

torch.set_num_threads(1)

CPU = torch.device("cpu")
WIDER = dataclasses.replace(TINY, unet=dataclasses.replace(TINY.unet, channels=(32, 64), heads=2, groups=8))
OPTIONS = ClipOptions(steps=2, guidance_scale=2.0, base_size=64)


def clip_of(networks: ChainNetworks, options: ClipOptions, seeds: tuple[int, ...]) -> Tensor:
    way = Stepping(networks.denoising_unet, CPU).way(options, len(seeds))
    with torch.inference_mode():
        return run_clip(
            networks, make_clip(WIDER, seeds), noise(WIDER, seeds), Sampling(2, 2.0), denoise=way.denoise
        )  # fmt: skip


def test_the_clip_is_nearly_the_same_and_no_row_sees_another() -> None:
    networks = synthetic(ChainNetworks, WIDER)
    eight = dataclasses.replace(OPTIONS, linears="int8")
    whole, rounded = clip_of(networks, OPTIONS, (1, 2)), clip_of(networks, eight, (1, 2))
    assert 1e-4 < (rounded - whole).norm() / whole.norm() < 0.1
    assert torch.equal(clip_of(networks, eight, (3, 2))[1], rounded[1])
    assert torch.equal(clip_of(networks, OPTIONS, (1, 2)), whole)  # its own weights are as they were


def test_what_is_rounded_are_the_linear_layers_that_see_many_tokens() -> None:
    denoiser = copied(synthetic(ChainNetworks, WIDER).denoising_unet, CPU)
    before = {name for name, one in denoiser.named_modules() if isinstance(one, nn.Linear)}
    in_eight_bits(denoiser)
    assert {name for name, one in denoiser.named_modules() if isinstance(one, nn.Linear)} == {
        name for name in before if "time_emb" in name
    }
    rounded = [one for one in denoiser.modules() if isinstance(one, EightBitLinear)]
    assert rounded
    assert {one.weight.dtype for one in rounded} == {torch.int8}


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_a_layer_is_off_by_its_rounding_alone(kind: torch.dtype) -> None:
    linear, x = nn.Linear(64, 40), torch.randn(3, 50, 64, generator=torch.Generator().manual_seed(0))
    x[0, 0] = 0
    found, wanted = EightBitLinear(linear)(x.to(kind)), linear(x)
    assert found.dtype == kind
    assert found.shape == wanted.shape
    assert (found.float() - wanted).norm() / wanted.norm() < 0.02
    torch.testing.assert_close(found[0, 0].float(), linear.bias, atol=1e-3, rtol=1e-3)
