"""Eyes and brows. Both sides are painted at once: x runs from the nose outwards on either side."""

from __future__ import annotations

import torch
from torch import Tensor

from models.drawn.identity import Identity
from models.drawn.pose import Head, Pose
from models.drawn.shapes import cover, over, segment, smooth, soft, tint
from models.drawn.skin import colour_like, lit, shade_of

GAZE_X, GAZE_Y = 0.034, 0.02  # how far the iris moves at a gaze of 1


def openness(person: Identity, held: Pose) -> Tensor:
    """How open the lids are: 0 closed, 1 as this person holds them at rest."""
    return ((1 - held.blink) * held.lids).clamp(0, 1.35)


def eyes(canvas: Tensor, head: Head, person: Identity, held: Pose) -> tuple[Tensor, Tensor]:
    """-> the canvas with eyes, and how much of every pixel is an eyeball [b h w]."""
    side = torch.where(head.u < 0, -1.0, 1.0)
    x = head.u.abs() - person.eye_gap
    y = head.v - person.eye_level + person.eye_tilt * x
    bend = (1 - (x / person.eye_width).square()).clamp_min(-1.2)
    slope = torch.sqrt(1 + (2 * person.eye_height * x / person.eye_width.square()).square().clamp_max(4))
    opened = openness(person, held)
    lower = person.eye_height * bend * (0.5 - 0.3 * held.squint)
    rest = -person.eye_height * bend * 0.95
    upper = lower + (rest - lower) * opened
    inside = torch.maximum(upper - y, y - lower) / slope
    seen = cover(inside, head.pixel) * cover(x.abs() - person.eye_width, head.pixel)
    skin_tone = lit(person.skin, head.light, person)

    lid = cover(torch.maximum(rest - y, y - upper) / slope, head.pixel) * cover(x.abs() - person.eye_width, head.pixel)
    canvas = over(canvas, skin_tone * 0.94, lid)
    canvas = over(canvas, _ball(x, y, upper, head, person, held, side), seen)

    reach = cover(x.abs() - person.eye_width * 1.04, head.pixel)
    thick = person.lash * (0.75 + 0.45 * smooth(x / person.eye_width * 0.5 + 0.5))
    line = (y - upper + 0.3 * thick).abs() / slope - 0.5 * thick
    dark = colour_like((0.13, 0.085, 0.08), canvas)
    flick = _flick(x, y, person, upper)
    lashes = torch.minimum(line, flick)
    canvas = over(canvas, dark, cover(torch.where(reach > 0, lashes, flick), head.pixel) * 0.95)
    under = torch.exp(-((y - lower - 0.003) / 0.005).square()) * reach
    canvas = tint(canvas, shade_of(person.skin) / person.skin, under * 0.8)
    crease = torch.exp(-((y - torch.minimum(upper, rest * 0.8) + 0.02 - 0.004 * opened) / 0.0055).square())
    canvas = tint(canvas, shade_of(person.skin) / person.skin, crease * reach * (0.25 + 0.5 * opened.clamp_max(1)))
    return canvas, seen


def _flick(x: Tensor, y: Tensor, person: Identity, upper: Tensor) -> Tensor:
    """Lashes drawn out beyond the outer corner."""
    end_x, end_y = person.eye_width + 0.8 * person.lash, -0.9 * person.lash
    start_x = person.eye_width * 0.86
    start_y = torch.zeros_like(start_x)
    return segment(x, y, start_x, start_y, end_x, end_y) - 0.28 * person.lash


def _ball(x: Tensor, y: Tensor, upper: Tensor, head: Head, person: Identity, held: Pose, side: Tensor) -> Tensor:
    """The eyeball [b 3 h w]: white, iris, pupil, lights, and the lid's shadow."""
    white = colour_like((0.975, 0.965, 0.955), x).expand(x.shape[0], -1, *x.shape[1:])
    shadow = smooth(1 - (y - upper) / (0.55 * person.eye_height))
    ix, iy = x - side * held.gaze_x * GAZE_X, y - held.gaze_y * GAZE_Y + 0.12 * person.eye_height
    away = torch.sqrt(ix.square() + iy.square() + 1e-12)
    radius = person.iris_radius
    glow = person.iris + (1 - person.iris) * (0.38 * smooth(iy / radius * 0.8 + 0.4))[:, None]
    ring = smooth((away / radius - 0.72) / 0.25)
    ball = over(white, glow, cover(away - radius, head.pixel))
    ball = over(ball, person.iris * 0.38, ring * cover(away - radius, head.pixel))
    ball = over(ball, colour_like((0.06, 0.045, 0.05), x), cover(away - 0.46 * radius, head.pixel))
    ball = ball * (1 - 0.3 * shadow[:, None])
    lx = torch.sign(person.light[:, 0]) * side * 0.32 * radius
    bright = torch.sqrt((ix - lx).square() + (iy + 0.36 * radius).square() + 1e-12) - 0.24 * radius
    second = torch.sqrt((ix + lx).square() + (iy - 0.42 * radius).square() + 1e-12) - 0.12 * radius
    ball = over(ball, torch.ones_like(white), cover(bright, head.pixel))
    return over(ball, torch.ones_like(white), cover(second, head.pixel) * 0.55)


def brow_height(x: Tensor, side: Tensor, person: Identity, held: Pose) -> Tensor:
    """v of the brow's middle line at x, -1 at its inner end and 1 at its outer."""
    lift = 0.05 * held.brow + 0.035 * held.brow_uneven * side
    inner = held.brow_inner * 0.048 * (0.4 - x * 0.6)
    return person.eye_level - person.brow_lift - lift - inner - person.brow_arch * (1 - (0.8 * x - 0.16).square())


def brows(canvas: Tensor, head: Head, person: Identity, held: Pose) -> tuple[Tensor, Tensor]:
    """-> the canvas with brows, and how much of every pixel is one [b h w]."""
    side = torch.where(head.u < 0, -1.0, 1.0)
    t = (head.u.abs() - 1.06 * person.eye_gap) / person.brow_length
    middle = brow_height(t, side, person, held)
    thick = person.brow_thick * (1 - 0.62 * smooth((t + 0.3) / 1.4)) * torch.sqrt((1.02 - t.square()).clamp_min(1e-4))
    seen = cover((head.v - middle).abs() - thick, head.pixel.clamp_min(0.007))
    seen = seen * soft(t.abs() - 1.0, 0.05)
    return over(canvas, person.brow, seen * 0.92), seen
