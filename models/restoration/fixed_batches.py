"""Cutting work into groups of one fixed size, so that a network always sees the same shape."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def fixed_groups(x: Tensor, size: int) -> Iterator[tuple[Tensor, int]]:
    """x [n, ...] -> (part [size, ...], how many of it are real); the last part repeats its last item."""
    for part in x.split(size):
        real = part.shape[0]
        if real < size:
            part = torch.cat([part, part[-1:].expand(size - real, *part.shape[1:])])
        yield part, real
