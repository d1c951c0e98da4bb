"""Where a GOP's background stands still, it is enlarged once a title: the portrait's own picture, the *plate*.

A worker makes the plate from the portrait's latents, as it makes any frame, so all workers make the same one. Of each
frame only the surroundings of the face are enlarged then, and laid over the plate with a soft edge. What stands still
is decided from base frames alone, GOP by GOP: every frame is held against the portrait's.

Shapes: s base pixels a side, R of the finished picture; pictures are RGB in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.image.masks import Box

MARGIN = 1.25  # what is enlarged of a frame is this many times as wide and high as the face box
FEATHER = 1 / 32  # of the picture, just outside of the face box at least: there it fades into the plate
CONTEXT = 16  # base pixels around it that the enlarger sees and that are thrown away
CELL = 16  # side, in base pixels, of what is compared
# Largest mean difference outside, of values in 0..1. A drawn person who speaks gave 0.6/255 and 6.7/255 with `mini`.
WHOLE, ONE_CELL = 1.5 / 255, 8 / 255
MOST = 0.75  # of the picture: where more would be enlarged, a plate saves too little


class Region(NamedTuple):
    """Part of a picture in its pixels, `stop` exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def of(self, picture: Tensor) -> Tensor:
        """A view of [..., h, w]."""
        return picture[..., self.top : self.bottom, self.left : self.right]

    def times(self, up: int, down: int) -> Region:
        return Region(*(edge * up // down for edge in self))


def region_of(face_box: Box, base: int, side: int, resolution: int) -> Region:
    """What is enlarged of a picture of `side` pixels, given the face box in a frame of `base` pixels.

    Its edges lie on whole pixels of the finished picture, too, and are even, as the x2 network needs them.
    """
    step, scale = _step(side, resolution), side / base
    reach_x = max((face_box.x1 - face_box.x0) * (MARGIN - 1) / 2, FEATHER * base)
    reach_y = max((face_box.y1 - face_box.y0) * (MARGIN - 1) / 2, FEATHER * base)
    low = [math.floor((edge * scale) / step) * step for edge in (face_box.y0 - reach_y, face_box.x0 - reach_x)]
    high = [math.ceil((edge * scale) / step) * step for edge in (face_box.y1 + reach_y, face_box.x1 + reach_x)]
    return Region(*(max(edge, 0) for edge in low), *(min(edge, side) for edge in high))


def stands_still(frames: Tensor, portrait: Tensor, face_box: Box) -> bool:
    """Whether nothing but the face moves in frames [n, 3, s, s], held against the portrait's frame [3, s, s].

    False, too, where the face fills so much of the picture that a plate would save little.
    """
    side = portrait.shape[-1]
    region = region_of(face_box, side, side, side)
    if region.area > MOST * side**2:
        return False
    change = (frames - portrait).abs().mean(1)
    region.of(change).zero_()
    if float(change.mean((1, 2)).max()) * side**2 / (side**2 - region.area) > WHOLE:
        return False
    return float(F.avg_pool2d(change, min(CELL, side)).max()) <= ONE_CELL


def laid_over(
    plate: Tensor, frames: Tensor, face_box: Box, base: int, enlarge: Callable[[Tensor, tuple[int, int]], Tensor]
) -> Tensor:
    """plate [3, R, R], frames [n, 3, s, s] -> pictures [n, 3, R, R]: the plate, and around the face the frame's own.

    `enlarge` brings [n, 3, h, w] to [n, 3, *target]. The face box is in a frame of `base` pixels.
    """
    side, resolution = frames.shape[-1], plate.shape[-1]
    region, step = region_of(face_box, base, side, resolution), _step(side, resolution)
    around = math.ceil(CONTEXT / step) * step
    seen = Region(
        max(region.top - around, 0),
        max(region.left - around, 0),
        min(region.bottom + around, side),
        min(region.right + around, side),
    )
    target, context = region.times(resolution, side), seen.times(resolution, side)
    large = enlarge(seen.of(frames), (context.bottom - context.top, context.right - context.left))
    inner = Region(*(edge - (context.top, context.left)[place % 2] for place, edge in enumerate(target)))
    pictures = plate.expand(len(frames), -1, -1, -1).clone()
    soft = _soft(region, side, resolution, plate.device)
    target.of(pictures).lerp_(inner.of(large), soft)
    return pictures


def _soft(region: Region, side: int, resolution: int, device: torch.device) -> Tensor:
    """Shares of the frame in its region [h, w]: 1 inside, to 0 at its edge; not at edges that are the picture's own."""
    fade = max(FEATHER * resolution, 1.0)

    def ramp(first: int, stop: int) -> Tensor:
        places = torch.arange(first * resolution // side, stop * resolution // side, device=device) + 0.5
        low = (places - first * resolution // side) / fade if first else torch.ones_like(places)
        high = (stop * resolution // side - places) / fade if stop < side else torch.ones_like(places)
        return torch.minimum(low, high).clamp(0, 1)

    rows, columns = ramp(region.top, region.bottom), ramp(region.left, region.right)
    return torch.minimum(rows[:, None], columns)


def _step(side: int, resolution: int) -> int:
    """Smallest even number of pixels of `side` that is a whole number of pixels of `resolution`."""
    return math.lcm(side // math.gcd(side, resolution), 2)
