"""Where things are in a drawn portrait: landmarks and boxes, from the formulas that drew it.

The painted style lets every edge waver by up to 0.006, which is not in these numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.drawn.eyes import openness
from models.drawn.identity import Identity
from models.drawn.lips import curves, half_width
from models.drawn.pose import Pose, from_upright, project

LANDMARKS = (
    "eye_left", "eye_right", "nose_tip", "mouth_left", "mouth_right",
    "upper_lip", "upper_lip_inner", "lower_lip_inner", "lower_lip",
    "eye_left_outer", "eye_left_inner", "eye_right_inner", "eye_right_outer",
    "lid_left_upper", "lid_left_lower", "lid_right_upper", "lid_right_lower", "chin",
)  # fmt: skip
"""The first five are those of a face detector. Left and right are the picture's."""

FACE_UP = 0.36  # a face box begins this far above the head's centre, as a detector's would


def landmarks(person: Identity, held: Pose) -> Tensor:
    """Fields [b] -> [b 18 2], x and y in -1..1."""
    gap, level = person.eye_gap, person.eye_level
    zero = torch.zeros_like(gap)
    wide, tilt = person.eye_width, person.eye_tilt * person.eye_width
    lower = person.eye_height * (0.5 - 0.3 * held.squint)
    upper = lower - (0.95 * person.eye_height + lower) * openness(person, held)
    corner_v = curves(torch.ones_like(gap), person, held).upper
    middle = curves(zero, person, held)
    half = half_width(person, held)
    points = (
        (-gap, level), (gap, level), (zero, person.nose_tip), (-half, corner_v), (half, corner_v),
        (zero, middle.outer_upper), (zero, middle.upper), (zero, middle.lower), (zero, middle.outer_lower),
        (-gap - wide, level - tilt), (-gap + wide, level + tilt),
        (gap - wide, level + tilt), (gap + wide, level - tilt),
        (-gap, level + upper), (-gap, level + lower), (gap, level + upper), (gap, level + lower),
    )  # fmt: skip
    u, v = (torch.stack([point[axis] for point in points], dim=1) for axis in range(2))
    lift = torch.zeros_like(u)
    lift[:, 2] = 0.1  # the nose stands out
    return torch.cat([project(person, held, u, v, lift), _outline(person, held, zero, _chin(person, held))], dim=1)


def _chin(person: Identity, held: Pose) -> Tensor:
    return person.chin + 0.055 * held.opening


def _outline(person: Identity, held: Pose, x: Tensor, y: Tensor) -> Tensor:
    """A point of the face's outline [b] -> [b 1 2] in the picture."""
    along = (y / _chin(person, held)).clamp(0, 1)
    depth = person.half_width * (0.12 + 0.5 * along * along * (3 - 2 * along))
    x, y = x + depth * torch.sin(held.yaw), y - depth * torch.sin(held.pitch)
    return from_upright(held, x[:, None], y[:, None], held.roll[:, None])


def face_box(person: Identity, held: Pose) -> Tensor:
    """[b 4]: x0, y0, x1, y1 around the face from forehead to chin."""
    wide, zero = person.half_width, torch.zeros_like(person.half_width)
    points = [
        _outline(person, held, x, y)
        for x, y in ((-wide, zero), (wide, zero), (zero, _chin(person, held)), (zero, zero - FACE_UP))
    ]
    return around(torch.cat(points, dim=1))


def lip_box(person: Identity, held: Pose) -> Tensor:
    """[b 4]: x0, y0, x1, y1 around the lips."""
    return around(landmarks(person, held)[:, 3:9])


def lower_face_box(person: Identity, held: Pose) -> Tensor:
    """[b 4]: all that a moving jaw may change, the shadow on the neck included."""
    wide = person.half_width + 0.08
    low = person.chin + 0.055 + 0.2
    zero = torch.zeros_like(wide)
    corners = ((-wide, zero - 0.01), (wide, zero - 0.01), (-wide, low), (wide, low))
    box = around(torch.cat([_outline(person, held, x, y) for x, y in corners], dim=1))
    reach = 0.35 * person.half_width * torch.sin(held.yaw).abs() + 0.03
    return box + torch.stack([-reach, -reach, reach, reach], dim=1)


def around(points: Tensor) -> Tensor:
    """Points [b k 2] -> the box around them [b 4]."""
    return torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=1)


def to_pixels(places: Tensor, size: int) -> Tensor:
    """Coordinates in -1..1 -> pixels of a whole picture, 0 the left or upper edge and `size` the other."""
    return (places + 1) * (size / 2)
