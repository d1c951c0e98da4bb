"""Signed distances of plane shapes, and painting with them.

A distance is negative inside, in the units of its coordinates. Shapes: b pictures, h w pixels; coordinates and
distances [b h w], colours [b 3 1 1], canvases [b 3 h w].
"""

from __future__ import annotations

import torch
from torch import Tensor


def cover(distance: Tensor, pixel: Tensor) -> Tensor:
    """How much of a pixel lies inside the edge, 0..1: the edge is one pixel wide."""
    return (0.5 - distance / pixel).clamp(0, 1)


def soft(distance: Tensor, width: Tensor | float) -> Tensor:
    """Inside 1, outside 0, with a smooth edge `width` wide around it."""
    return smooth(0.5 - distance / width)


def smooth(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1, a cubic between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def ellipse(x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """Distance to an ellipse to first order: exact on the edge and for circles."""
    qx, qy = x / rx, y / ry
    k = torch.sqrt(qx * qx + qy * qy + 1e-9)
    steep = torch.sqrt((qx / rx).square() + (qy / ry).square() + 1e-9)
    return k * (k - 1) / steep


def box(x: Tensor, y: Tensor, half_x: Tensor | float, half_y: Tensor | float, radius: Tensor | float) -> Tensor:
    """A rectangle around the origin with round corners."""
    dx, dy = x.abs() - half_x + radius, y.abs() - half_y + radius
    outside = torch.sqrt(dx.clamp_min(0).square() + dy.clamp_min(0).square() + 1e-12)
    return outside + torch.maximum(dx, dy).clamp_max(0) - radius


def segment(x: Tensor, y: Tensor, ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor) -> Tensor:
    """Distance to a line between two points."""
    ex, ey = bx - ax, by - ay
    along = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey + 1e-9)).clamp(0, 1)
    return torch.sqrt((x - ax - along * ex).square() + (y - ay - along * ey).square() + 1e-12)


def join(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Both shapes, the crease between them filled over `width`."""
    h = (width - (a - b).abs()).clamp_min(0) / width
    return torch.minimum(a, b) - h * h * width / 4


def waves(x: Tensor, y: Tensor, phases: Tensor, frequency: Tensor | float) -> Tensor:
    """Smooth noise of about -1..1: waves in several directions, `phases` [b 6 1 1] their beginnings."""
    directions = ((1.0, 0.3), (-0.6, 0.9), (0.35, -1.3), (1.7, 1.1), (-1.9, 0.7), (0.8, 2.3))
    total = torch.zeros_like(x)
    for number, (dx, dy) in enumerate(directions):
        phase = phases[:, number] * 6.2832
        total = total + torch.sin((x * dx + y * dy) * frequency + phase) / (1 + 0.25 * number)
    return total / 3


def over(canvas: Tensor, colour: Tensor, alpha: Tensor) -> Tensor:
    """`colour` [b 3 1 1] or [b 3 h w] painted on the canvas where `alpha` [b h w] says."""
    return canvas + (colour - canvas) * alpha[:, None]


def tint(canvas: Tensor, factor: Tensor, alpha: Tensor) -> Tensor:
    """The canvas multiplied by `factor` (a shadow, or a warm light) where `alpha` [b h w] says."""
    return canvas * (1 + (factor - 1) * alpha[:, None])
