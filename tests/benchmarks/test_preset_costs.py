"""What the benchmark of presets counts: four kinds of step make up every clip."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.networks.chain import REDUCED, clip_flops, last, make_clip, make_networks
from benchmarks.networks.flops import flops
from benchmarks.networks.presets import WAYS, Kinds, count, linear_flop
from models.diffusion.clip import clip_steps
from models.families.config import Sampling

META = torch.device("meta")
NARROW = replace(REDUCED, unet=replace(REDUCED.unet, channels=(16, 32), attention=(True, True), groups=8))


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    return count(NARROW, frames=2, side=16)


def test_a_clip_is_made_up_of_its_kinds_of_step(kinds: Kinds) -> None:
    assert kinds.of(Sampling(5)) == clip_flops(clip_steps, NARROW, 2, 5, side=16)
    sampling = Sampling(5, guided_share=0.4, deep_every=3)
    networks = make_networks(NARROW, META, torch.float32)
    clip, noise = make_clip(NARROW, 2, META, torch.float32, side=16)
    assert kinds.of(sampling) == flops(lambda: last(clip_steps(networks, clip, noise, sampling)))


def test_linear_layers_are_a_part_of_a_step(kinds: Kinds) -> None:
    assert 0.1 * kinds.guided < linear_flop(NARROW, frames=2, side=16) < 0.9 * kinds.guided


def test_every_shortcut_takes_less_than_the_whole(kinds: Kinds) -> None:
    taken = {name: kinds.of(way.sampling(40)) for name, way in WAYS.items()}
    assert taken.pop("dpm++") == taken["exact"]  # another way to take as many steps
    assert taken.pop("linears in int8") == taken["exact"]  # as many sums, of fewer bits
    assert all(each < taken["exact"] for name, each in taken.items() if name != "exact")
    assert taken["draft"] < taken["balanced"] < taken["exact"]
    with pytest.raises(ValueError, match="guided_share is 2"):
        Sampling(guided_share=2)
