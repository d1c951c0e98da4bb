"""Resizing by separable Lanczos filters, on any device, the same on each of them but for rounding.

Written with gathers and sums rather than a library call so that frames on an accelerator stay there, and so
that a picture does not depend on the version of an image library.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def resize_lanczos(image: Tensor, target: tuple[int, int]) -> Tensor:
    """[..., h, w] -> [..., *target]: Lanczos with three lobes, widened when shrinking so nothing aliases."""
    return _resize(image, target, lobes=3, widen=True)


def enlarge_lanczos4(image: Tensor, target: tuple[int, int]) -> Tensor:
    """[..., h, w] -> [..., *target]: eight taps, never widened, as the published script enlarges."""
    return _resize(image, target, lobes=4, widen=False)


def _resize(image: Tensor, target: tuple[int, int], lobes: int, widen: bool) -> Tensor:
    for dim, size in ((-2, target[0]), (-1, target[1])):
        if image.shape[dim] != size:
            image = _resize_axis(image, dim, *_taps(image.shape[dim], size, lobes, widen))
    return image


def _resize_axis(image: Tensor, dim: int, index: Tensor, weight: Tensor) -> Tensor:
    """Sum over taps of image[index] * weight along `dim`; index and weight are [taps, out]."""
    index, weight = index.to(image.device), weight.to(image)
    shape = (-1, 1) if dim == -2 else (-1,)
    out = image.index_select(dim, index[0]) * weight[0].view(shape)
    for tap in range(1, index.shape[0]):
        out.addcmul_(image.index_select(dim, index[tap]), weight[tap].view(shape))
    return out


@lru_cache(maxsize=64)
def _taps(size_in: int, size_out: int, lobes: int, widen: bool) -> tuple[Tensor, Tensor]:
    """Positions (clamped to the image) and weights (summing to one) of each output pixel's taps."""
    scale = size_in / size_out
    stretch = max(scale, 1.0) if widen else 1.0
    reach = lobes * stretch
    centre = (torch.arange(size_out, dtype=torch.float64) + 0.5) * scale - 0.5
    first = (centre - reach).floor().long() + 1
    index = first + torch.arange(math.ceil(2 * reach)).unsqueeze(1)
    distance = (index - centre) / stretch
    weight = torch.sinc(distance) * torch.sinc(distance / lobes) * (distance.abs() < lobes)
    return index.clamp(0, size_in - 1), (weight / weight.sum(0)).float()
