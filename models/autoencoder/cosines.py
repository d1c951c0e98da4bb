"""The first cosines of every square of a picture: mean colours, then what varies in brightness, slowest first.

A fixed linear map and its inverse on what the map keeps: where an autoencoder starts from (`VaeConfig.cosines`).

Shapes: n pictures, H W pixels, c coefficients, h w squares.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LUMA = (0.299, 0.587, 0.114)
ORDER = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0), (2, 2))
"""Waves across and down of the coefficients of brightness."""
SPREAD = (0.5, 0.08)
"""Standard deviations of mean colours and of the other coefficients in drawn portraits (-1 … 1): latents get 1."""


class Cosines(nn.Module):
    """Coefficients of squares of `side` pixels. Has no weights, and no tensors in a file."""

    filters: Tensor

    def __init__(self, coefficients: int, side: int) -> None:
        super().__init__()
        if not 3 <= coefficients <= 3 + len(ORDER):
            raise ValueError(f"coefficients is {coefficients}: expected 3 to {3 + len(ORDER)}")
        self.side = side
        with torch.device("cpu"):
            # Not stored: it follows from the sizes, also where modules are laid out without memory.
            self.register_buffer("filters", _filters(coefficients, side), persistent=False)

    def split(self, pixels: Tensor) -> Tensor:
        """`pixels` [n 3 H W] in -1 … 1 -> [n c h w]."""
        return F.conv2d(pixels.float(), self.filters.to(pixels.device), stride=self.side)

    def join(self, coefficients: Tensor) -> Tensor:
        """[n c h w] -> the picture [n 3 H W] of these coefficients and no others."""
        back = _inverse(self.filters).to(coefficients.device)
        return F.conv_transpose2d(coefficients.float(), back, stride=self.side)


def _filters(coefficients: int, side: int) -> Tensor:
    """[c 3 side side]."""
    places = (torch.arange(side) + 0.5) / side
    filters = torch.zeros(coefficients, 3, side, side)
    for colour in range(3):
        filters[colour, colour] = 1 / (side * side * SPREAD[0])
    for number, (across, down) in enumerate(ORDER[: coefficients - 3], start=3):
        wave = torch.cos(math.pi * down * places)[:, None] * torch.cos(math.pi * across * places)[None]
        wave = wave / wave.square().sum()
        filters[number] = torch.tensor(LUMA)[:, None, None] * wave / SPREAD[1]
    return filters


def _inverse(filters: Tensor) -> Tensor:
    """Patterns [c 3 side side] whose sum, weighted by the coefficients, has these coefficients: grey but for means."""
    patterns = torch.zeros_like(filters)
    patterns[:3] = (filters[:3] != 0).to(filters) * SPREAD[0]
    grey = filters[3:].sum(1, keepdim=True) * SPREAD[1]
    patterns[3:] = (grey / grey.square().sum((1, 2, 3), keepdim=True) * SPREAD[1]).expand(-1, 3, -1, -1)
    return patterns
