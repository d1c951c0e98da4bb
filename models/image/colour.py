"""Keeping a picture's colours: its low frequencies are taken from the picture it was made from."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = 16  # a side; what varies more slowly than this comes from the reference


def keep_colour(image: Tensor, reference: Tensor, cells: int = CELLS) -> Tensor:
    """image [n, 3, H, W] with the low frequencies of reference [n, 3, h, w]; both 0..1, and so is the result.

    A shift of colour that is the same everywhere is removed exactly, one that changes over the picture nearly so.
    """
    grid = (min(cells, reference.shape[-2]), min(cells, reference.shape[-1]))
    missing = (_means(reference, grid) - _means(image, grid)).flatten(0, 1)
    # Bilinear interpolation as products: columns, then rows, added to the picture in the same pass over it.
    down, across = (_interpolation(n, k, image.device).to(image) for n, k in zip(image.shape[-2:], grid, strict=True))
    lines = down.expand(len(missing), -1, -1) @ missing
    result = torch.baddbmm(image.flatten(0, 1), lines, across.T.expand(len(missing), -1, -1))
    return result.clamp_(0, 1).view_as(image)


def _means(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """[n, c, h, w] -> [n, c, *grid], the mean of each cell, as `adaptive_avg_pool2d` has it."""
    down, across = (_averaging(n, k, image.device).to(image) for n, k in zip(image.shape[-2:], grid, strict=True))
    return down @ image @ across.T


@lru_cache(maxsize=16)
def _averaging(size: int, cells: int, device: torch.device) -> Tensor:
    """[cells, size]"""
    return F.adaptive_avg_pool1d(torch.eye(size, device=device)[None], cells)[0].T.contiguous()


@lru_cache(maxsize=16)
def _interpolation(size: int, cells: int, device: torch.device) -> Tensor:
    """[size, cells]"""
    return F.interpolate(torch.eye(cells, device=device)[None], size=size, mode="linear")[0].T.contiguous()
