"""Lips and what is seen between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.drawn.identity import Identity
from models.drawn.pose import Head, Pose
from models.drawn.shapes import cover, ellipse, over, smooth, soft, tint
from models.drawn.skin import colour_like, shade_of

GAP = 0.16  # height of a fully open mouth


@dataclass(frozen=True)
class MouthShape:
    """Four curves over the mouth's width: v at t, -1..1 from corner to corner."""

    half: Tensor  # half-width
    outer_upper: Tensor
    upper: Tensor
    lower: Tensor
    outer_lower: Tensor


def half_width(person: Identity, held: Pose) -> Tensor:
    return person.mouth_width * (1 + 0.22 * held.width - 0.38 * held.rounding) + 0.022 * held.smile


def curves(t: Tensor, person: Identity, held: Pose) -> MouthShape:
    """The lips' edges at `t`; outside -1..1 they have met."""
    bow = (1 - t.square()).clamp_min(0)
    round_bow = torch.sqrt(bow + 1e-6)
    corner = person.mouth_level - 0.052 * held.smile * (t.square().clamp_max(1.2) - 0.35)
    gap = GAP * held.opening * (bow + (round_bow - bow) * (0.45 + 0.5 * held.rounding))
    upper, lower = corner - 0.22 * gap, corner + 0.78 * gap
    full = 1 + 0.35 * held.rounding - 0.15 * held.smile.clamp(0, 1)
    dip = 1 - 0.3 * torch.exp(-(t / 0.2).square()) + 0.12 * torch.exp(-((t.abs() - 0.38) / 0.25).square())
    outer_upper = upper - person.lip_upper * full * (0.15 * round_bow + 0.85 * bow) * dip
    outer_lower = lower + person.lip_lower * full * (0.45 * round_bow + 0.55 * bow)
    return MouthShape(half_width(person, held), outer_upper, upper, lower, outer_lower)


def lips(canvas: Tensor, head: Head, person: Identity, held: Pose) -> tuple[Tensor, Tensor, Tensor]:
    """-> the canvas with the mouth, and how much of every pixel is lip, and inside of the mouth [b h w]."""
    half = half_width(person, held)
    t = head.u / half
    v = head.v
    shape = curves(t, person, held)
    slope = torch.sqrt(1 + (2 * t * GAP * held.opening * 0.78 / half).square().clamp_max(3))
    within = cover(head.u.abs() - half, head.pixel)
    seen = cover(torch.maximum(shape.outer_upper - v, v - shape.outer_lower) / slope, head.pixel) * within
    inside = cover(torch.maximum(shape.upper - v, v - shape.lower) / slope, head.pixel) * within

    tone = person.lip * (1 - 0.16 * smooth(0.5 - (v - shape.upper) / 0.02))[:, None]
    tone = tone * (1 - 0.14 * smooth(0.55 - 0.9 * head.light))[:, None]
    canvas = over(canvas, tone, seen * 0.95)
    shine = ellipse(head.u, v - shape.lower - 0.42 * person.lip_lower, 0.45 * half, 0.16 * person.lip_lower)
    canvas = over(canvas, tone + (1 - tone) * 0.55, soft(shine, 0.012) * seen * 0.5)

    canvas = over(canvas, _cavity(head, shape, person, held), inside)
    shut = (v - 0.5 * (shape.upper + shape.lower)).abs() - 0.0035
    line = cover(shut, head.pixel.clamp_min(0.005)) * cover(head.u.abs() - 1.03 * half, head.pixel)
    canvas = over(canvas, person.lip * 0.42, line * (1 - smooth(held.opening / 0.12)))
    corner_v = person.mouth_level - 0.052 * held.smile * 0.65
    corner = torch.exp(-((head.u.abs() - 1.03 * half) / 0.013).square() - ((v - corner_v) / 0.014).square())
    canvas = tint(canvas, shade_of(person.skin) / person.skin * 0.9, corner * 0.8)
    return canvas, (seen - inside).clamp_min(0), inside


def _cavity(head: Head, shape: MouthShape, person: Identity, held: Pose) -> Tensor:
    """What is seen in an open mouth [b 3 h w]: darkness, tongue, lower and upper teeth."""
    v = head.v
    dark = colour_like((0.24, 0.07, 0.085), v).expand(v.shape[0], -1, *v.shape[1:])
    middle = person.mouth_level + 0.78 * GAP * held.opening
    tongue = ellipse(head.u, v - middle - 0.012, 0.68 * shape.half, 0.014 + 0.42 * GAP * held.opening)
    pink = colour_like((0.82, 0.36, 0.37), v) * (0.8 + 0.2 * soft(tongue + 0.015, 0.03))[:, None]
    cavity = over(dark, pink, cover(tongue, head.pixel))
    enamel = colour_like((0.965, 0.95, 0.93), v)
    sides = (0.86 - 0.2 * held.rounding) * shape.half
    shown = held.teeth * 0.036
    low_edge = shape.upper + shown * (0.55 + 0.45 * (1 - (head.u / sides).square()).clamp_min(0))
    upper = torch.maximum(v - low_edge, head.u.abs() - sides)
    shadow = 1 - 0.16 * smooth(1 - (v - shape.upper) / 0.016)
    cavity = over(cavity, enamel * shadow[:, None], cover(upper, head.pixel) * smooth(held.teeth / 0.15))
    lower = torch.maximum(shape.lower - 0.016 * held.teeth - v, head.u.abs() - 0.62 * sides)
    return over(
        cavity,
        enamel * 0.86,
        cover(lower, head.pixel) * smooth(held.teeth / 0.3 - 0.8) * smooth(held.opening / 0.25 - 1),
    )
