"""Filters along one axis of a picture, as matrix products: each run of outputs with the stretch of inputs under it.

The matrix of such a filter is a band. Cut into runs, little of what is multiplied is zero, and the work is done by
the fastest routine that a device has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.image.sending import all_sent

RUN = 64  # outputs a product

Runs = tuple[tuple[int, Tensor], ...]
"""Of each run of outputs, in order: its first input, and the matrix [inputs, outputs]."""


def runs_of_taps(index: Tensor, weight: Tensor, device: torch.device) -> Runs:
    """Output j is the sum over taps t of input[index[t, j]] * weight[t, j]; both are [taps, outputs].

    Taps of the same input add up, so an index may be clamped at the border.
    """
    starts, matrices = [], []
    for places, shares in zip(index.split(RUN, 1), weight.split(RUN, 1), strict=True):
        first = int(places.min())
        matrix = shares.new_zeros(int(places.max()) + 1 - first, places.shape[1])
        starts.append(first)
        matrices.append(matrix.scatter_add_(0, places - first, shares))
    return tuple(zip(starts, all_sent(matrices, device), strict=True))


def sliding_runs(kernel: Tensor, outputs: int) -> Runs:
    """Output j is the sum over taps t of input[j + t] * kernel[t]: the same matrix for every run but the last.

    Made where the kernel is.
    """
    rows = torch.arange(len(kernel) + RUN - 1, device=kernel.device)
    tap = rows[:, None] - torch.arange(RUN, device=kernel.device)
    matrix = kernel[tap.clamp(0, len(kernel) - 1)] * ((tap >= 0) & (tap < len(kernel)))
    sizes = [min(RUN, outputs - first) for first in range(0, outputs, RUN)]
    return tuple((n * RUN, matrix[: len(kernel) + size - 1, :size]) for n, size in enumerate(sizes))


def filter_axis(x: Tensor, dim: int, runs: Runs) -> Tensor:
    """x [..., h, w], `dim` -2 or -1 -> the filtered picture, in `dim` as long as the runs have outputs."""
    size = list(x.shape)
    size[dim] = sum(matrix.shape[1] for _, matrix in runs)
    out, start = x.new_empty(size), 0
    for first, matrix in runs:
        matrix = matrix.to(x)
        taken, result = x.narrow(dim, first, matrix.shape[0]), out.narrow(dim, start, matrix.shape[1])
        if dim == -1:
            torch.mm(taken.reshape(-1, matrix.shape[0]), matrix, out=result.view(-1, matrix.shape[1]))
        else:
            planes = taken.reshape(-1, *taken.shape[-2:])
            for plane, lines in zip(planes, result.view(-1, *result.shape[-2:]), strict=True):
                torch.mm(matrix.T, plane, out=lines)
        start += matrix.shape[1]
    return out
