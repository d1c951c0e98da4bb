"""What a chain commits of a photograph's frame: numbers that a composer draws from, in half precision.

    channel  0, 1   backward flow to the right and down, in pixels of a portrait of 512
             2      row by row: 58 points of lips and lids by how far they are from the portrait's own, x and y, in the
                    same pixels; the 19 numbers of `movement.NUMBERS`; how far the lids are shut; the rest 0

Shapes: f frames, h = w = 32 cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.diffusion.movement import CELLS, LID_POINTS, LIP_POINTS, NUMBERS, Moved, at_points

POINTS = LIP_POINTS + LID_POINTS
LARGEST = 200.0
"""Pixels of 512 that anything may move: beyond it an error is certain."""


def recorded(moved: Moved, closed: Tensor, own: Tensor, share: Tensor) -> Tensor:
    """`closed` [f], the portrait's `own` contours [58 2], `share` [f] of the movement that is shown -> [f 3 h w].

    Lips do what is heard whatever the share is: a portrait's own are seldom quite shut, and would show what is drawn
    between them.
    """
    flow = moved.flow * share[:, None, None, None]
    each = own.expand(len(flow), -1, -1)
    bent = moved.contours - (each - at_points(moved.flow, each))  # beside what the flow does to them
    bent = torch.cat([bent[:, :LIP_POINTS], bent[:, LIP_POINTS:] * share[:, None, None]], 1)
    away = bent - at_points(flow, each)
    told = torch.cat([away.flatten(1), moved.numbers, closed[:, None]], 1)
    aside = torch.zeros(len(told), CELLS * CELLS)
    aside[:, : told.shape[1]] = told
    return torch.cat([flow, aside.view(-1, 1, CELLS, CELLS)], 1).clamp(-LARGEST, LARGEST).half()


def read(latents: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What was committed [f 3 h w] -> flow [f 2 h w], contours [f 58 2], numbers [f 19], closed [f]."""
    given = latents.float()
    away, numbers, closed = (
        given[:, 2].flatten(1)[:, : 2 * POINTS + len(NUMBERS) + 1].split([2 * POINTS, len(NUMBERS), 1], dim=1)
    )
    return given[:, :2], own + away.unflatten(1, (POINTS, 2)), numbers, closed[:, 0]
