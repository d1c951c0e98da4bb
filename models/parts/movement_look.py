"""How a GOP looks to families that move a photograph: from the movement that was committed, no frame is made for it.

What is shown are the portrait's own pixels, so colours, sharpness and grain are the portrait's whatever the chain does.
What it can do to a face is to bend it, to tear it, to hold it still, and to let lids and lips do what nobody's do.

Shapes: f frames, h = w = 32 cells, 58 points; pixels of a portrait of 512.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.diffusion.movement import CELLS, SIDE
from models.diffusion.movement_record import read
from models.families.protocol import Made
from models.parts.heard_look import agreement, changes
from models.parts.photograph import contours_of

CELL = SIDE / CELLS
UPPER, LOWER = 5, 16  # the middles of the lips' contours
FAINT = 0.1  # pixels, in which nobody sees a tear


def look(made: Made) -> dict[str, float]:
    """What is measured of a GOP's movement; pixels are of a portrait of 512.

    - `reach`: largest way that anything goes, in pixels
    - `bend`: largest difference of the ways of neighbouring cells, of a cell's width
    - `rough`: root mean square of what a cell's way differs from its neighbours' mean, in pixels
    - `tear`: how far the differences between two rows or columns of cells stand out from those beside them
    - `jump`: largest step from a frame to the next, root mean square, in pixels
    - `still`: mean step, where loudness changes
    - `flash`: farthest that a frame is from the middle of its neighbours, root mean square, in pixels
    - `lips`: farthest that lips or lids are from where the movement takes them, in pixels
    - `shut`: share of the time that lids are shut
    - `mouth`: how it follows the sound, where loudness changes
    """
    own = contours_of(made.conditioning["landmarks"].astype(np.float64), made.conditioning["portrait"].shape[-1])
    latents = torch.from_numpy(made.latents)
    flow, contours, _, closed = read(latents, own)
    across, down = flow.diff(dim=3).abs(), flow.diff(dim=2).abs()
    middle = flow[..., 1:-1, 1:-1]
    around = (flow[..., :-2, 1:-1] + flow[..., 2:, 1:-1] + flow[..., 1:-1, :-2] + flow[..., 1:-1, 2:]) / 4
    steps = _size(flow.diff(dim=0))
    tear = max(_spike(flow.diff(dim=2).square().mean((0, 1, 3))), _spike(flow.diff(dim=3).square().mean((0, 1, 2))))
    gap = (contours[:, LOWER] - contours[:, UPPER]).norm(dim=-1).double().numpy()
    away = latents[:, 2].float().flatten(1)[:, : contours.shape[1] * 2]
    found = {
        "reach": float(flow.abs().max()),
        "bend": float(torch.maximum(across.max(), down.max())) / CELL,
        "rough": float((middle - around).square().mean().sqrt()),
        "tear": tear,
        "lips": float(away.abs().max()),
        "shut": float(closed.mean()),
        **agreement(gap, made.features),
    }
    if len(steps):
        found["jump"] = float(steps.max())
        if changes(made.features):
            found["still"] = float(steps.mean())
    if len(steps) > 1:
        found["flash"] = float(_size(flow[1:-1] - (flow[:-2] + flow[2:]) / 2).max())
    return found


def _size(flow: Tensor) -> Tensor:
    """[f 2 h w] -> [f]: root mean square of how far everything goes, in pixels."""
    return flow.square().sum(1).mean((1, 2)).sqrt()


def _spike(squares: Tensor) -> float:
    """Mean squares of the differences from each row to the next -> how far one stands out from those beside it."""
    sizes = squares.sqrt()
    beside = (sizes[:-2] + sizes[2:]) / 2
    return float((sizes[1:-1] / (beside + FAINT)).max())
