"""What the benchmark of the chain compares and counts: the published order of operations against ours."""

from __future__ import annotations

import pytest
import torch

from benchmarks.interleaved import interleaved, ratio
from benchmarks.networks.chain import REDUCED, clip_flops, last, make_clip, make_networks, psnr
from benchmarks.networks.plain_chain import plain_steps
from models.diffusion.clip import clip_steps
from models.families.config import HALLO2, Sampling

torch.set_num_threads(1)

CPU = torch.device("cpu")


@torch.inference_mode()
def test_the_published_order_gives_the_same_latents() -> None:
    networks = make_networks(REDUCED, CPU, torch.float32)
    clip, noise = make_clip(REDUCED, 3, CPU, torch.float32, side=8)
    sampling = Sampling(steps=2)
    plain, ours = (last(steps(networks, clip, noise, sampling)) for steps in (plain_steps, clip_steps))
    assert psnr(ours, plain) >= 60
    assert psnr(last(clip_steps(networks, clip, noise, Sampling(steps=2, guidance_scale=3.4))), plain) < 60


@pytest.mark.slow
def test_ours_takes_a_seventh_less_arithmetic_at_the_published_size() -> None:
    plain, ours = (clip_flops(steps, HALLO2, 16, 40) for steps in (plain_steps, clip_steps))
    # The published description counts 26.7 TMAC a step in the denoiser; ReferenceNet and the rest are once a clip.
    assert plain == pytest.approx(40 * 2 * 26.7e12, rel=0.02)
    assert plain / ours >= 1.15


def test_the_plain_order_is_not_for_families_that_are_not_published() -> None:
    networks = make_networks(REDUCED, torch.device("meta"), torch.float32)
    clip, noise = make_clip(REDUCED, 2, torch.device("meta"), torch.float32, side=8)
    with pytest.raises(ValueError, match="one lane with guidance"):
        plain_steps(networks, clip, noise, Sampling(guidance_scale=1.0))


def test_runs_lie_beside_each_other_and_the_first_counts_for_nothing() -> None:
    order: list[str] = []
    taken = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, runs=2)
    assert order == ["a", "b"] * 3
    assert {name: len(each) for name, each in taken.items()} == {"a": 2, "b": 2}
    assert ratio([2.0, 6.0, 3.0], [1.0, 2.0, 3.0]) == 2.0
