"""Resizing by separable Lanczos filters, on any device, the same on each of them but for rounding.

Written as matrix products rather than a library call so that frames on an accelerator stay there, and so
that a picture does not depend on the version of an image library.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from models.image.taps import Runs, filter_axis, runs_of_taps


def resize_lanczos(image: Tensor, target: tuple[int, int]) -> Tensor:
    """[..., h, w] -> [..., *target]: Lanczos with three lobes, widened when shrinking so nothing aliases."""
    return _resize(image, target, lobes=3, widen=True)


def enlarge_lanczos4(image: Tensor, target: tuple[int, int]) -> Tensor:
    """[..., h, w] -> [..., *target]: eight taps, never widened, as the published script enlarges."""
    return _resize(image, target, lobes=4, widen=False)


def _resize(image: Tensor, target: tuple[int, int], lobes: int, widen: bool) -> Tensor:
    for dim, size in ((-2, target[0]), (-1, target[1])):
        if image.shape[dim] != size:
            image = filter_axis(image, dim, _runs(image.shape[dim], size, lobes, widen, image.device))
    return image


@lru_cache(maxsize=64)
def _runs(size_in: int, size_out: int, lobes: int, widen: bool, device: torch.device) -> Runs:
    """Each output pixel's taps: positions clamped to the image, weights that sum to one."""
    scale = size_in / size_out
    stretch = max(scale, 1.0) if widen else 1.0
    reach = lobes * stretch
    centre = (torch.arange(size_out, dtype=torch.float64) + 0.5) * scale - 0.5
    first = (centre - reach).floor().long() + 1
    index = first + torch.arange(math.ceil(2 * reach)).unsqueeze(1)
    distance = (index - centre) / stretch
    weight = torch.sinc(distance) * torch.sinc(distance / lobes) * (distance.abs() < lobes)
    return runs_of_taps(index.clamp(0, size_in - 1), (weight / weight.sum(0)).float(), device)
