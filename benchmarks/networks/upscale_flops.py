"""Arithmetic of upscaling with the published networks, counted on the meta device: by the published order, and by ours.

Published: every window of 16 frames restores and enlarges all of them, of which 12 are new; face and surroundings pass
the x2 network once each, in tiles of 400 pixels with 40 around them, and Lanczos does the rest to any resolution.
"""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.networks.flops import flops
from models.families.hallo2 import HALLO2
from models.restoration.background import double, passes_needed
from models.weights.recipes import RECIPES
from pipeline.core.timeline import FPS
from pipeline.core.windows import LENGTH, STRIDE

TILE, PAD = 400, 40
FIDELITY = 0.7
FACE = 3  # faces measure a third of the picture


def flop_a_second(resolution: int) -> dict[str, float]:
    """Of video: by the published order; ours with as many passes of the x2 network; ours as it is, where every doubling
    of surroundings and face up to their size in the picture is such a pass."""
    enlarger, restorer = _network("enlarger"), _network("restorer")
    side = HALLO2.restorer.codebook.side
    frame, window = (torch.zeros(n, 3, side, side, device="meta") for n in (1, LENGTH))
    tiled = flops(lambda: double(enlarger, frame, TILE, PAD))
    passes = [
        flops(lambda size=side << k: double(enlarger, torch.zeros(1, 3, size, size, device="meta")))  # type: ignore[misc]
        for k in range(max(1, passes_needed(side, resolution)))
    ]
    face = max(1, passes_needed(side, resolution // FACE))
    every = flops(lambda: list(restorer.restore(window, FIDELITY)))  # type: ignore[operator]
    owned = flops(lambda: list(restorer.restore(window, FIDELITY, keep=slice(LENGTH - STRIDE, LENGTH))))  # type: ignore[operator]
    return {
        "published": FPS * (2 * LENGTH * tiled + every) / STRIDE,
        "same passes": FPS * (2 * passes[0] + owned / STRIDE),
        "ours": FPS * (sum(passes) + sum(passes[:face]) + owned / STRIDE),
    }


def _network(name: str) -> nn.Module:
    with torch.device("meta"):
        return RECIPES[name].make(HALLO2).eval().requires_grad_(False)
