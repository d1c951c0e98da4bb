"""Lips that meet are decided, not averaged: a network that is half sure of a p, b or m shuts them half.

Where a mouth is far less open than shortly before and shortly after, it shuts; and it shuts where hardly anything is
said. Shapes: n frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AROUND = 3  # frames before and after that are looked at
SHUT, OPEN = 0.25, 0.6  # of the lesser opening of both sides: below lips meet, above nothing changes
UPPER = 0.28  # of what parts lips, that the upper one comes down by
QUIET = 0.08  # of a mouth wide open: where it opens less on both sides and now, nothing is said


def parted(opening: Tensor) -> Tensor:
    """How far a mouth is told to open [n + 2 AROUND], the frames around counted in -> how much of what parts the lips
    in the n frames stays, 0..1."""
    held = opening.clamp(0, 1)[None, None]
    most = F.max_pool1d(held, AROUND, 1)[0, 0]  # [k]: the most of frames k to k + AROUND - 1
    n = len(opening) - 2 * AROUND
    before, now, after = most[:n], held[0, 0, AROUND : AROUND + n], most[AROUND + 1 : AROUND + 1 + n]
    dip = _smooth((now / torch.minimum(before, after).clamp_min(1e-3) - SHUT) / (OPEN - SHUT))
    said = _smooth(torch.maximum(torch.maximum(before, after), now) / QUIET)
    return dip * said


def with_lips(contours: Tensor, share: Tensor) -> Tensor:
    """Inner contours of lips [n 2 11 2], upper and lower -> the same with `share` [n] of what parts them."""
    gap = (contours[:, 1] - contours[:, 0]) * (1 - share)[:, None, None]
    return torch.stack([contours[:, 0] + UPPER * gap, contours[:, 1] - (1 - UPPER) * gap], 1)


def _smooth(share: Tensor) -> Tensor:
    held = share.clamp(0, 1)
    return held * held * (3 - 2 * held)
