"""Skin of the face: its light and shade, cheeks, freckles, nose."""

from __future__ import annotations

import torch
from torch import Tensor

from models.drawn.identity import SPOTS, Identity
from models.drawn.pose import Head, Pose
from models.drawn.shapes import cover, ellipse, over, smooth, soft, tint


def colour_like(values: tuple[float, float, float], like: Tensor) -> Tensor:
    """A colour [1 3 1 1] of the type and device of `like`."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)


def shade_of(colour: Tensor) -> Tensor:
    """The colour in shadow: darker, and a little redder."""
    return colour * colour_like((0.76, 0.66, 0.66), colour)


def lit(colour: Tensor, light: Tensor, person: Identity, strength: float = 1.0) -> Tensor:
    """A colour [b 3 1 1] under the light [b h w] (-1..1) -> [b 3 h w]: smooth, or in two tones in the flat style."""
    flat = person.style[:, 0]
    tone = smooth((light + 0.1) / 0.9)
    step = 0.55 + 0.35 * soft(0.32 - light, 0.06)
    dark = (1 - (tone * (1 - flat) + step * flat)) * strength
    lifted = colour + (1 - colour) * 0.06
    return lifted + (shade_of(colour) - lifted) * dark[:, None]


def face(canvas: Tensor, head: Head, person: Identity, held: Pose) -> Tensor:
    """The bare face, painted on the canvas."""
    surface = lit(person.skin, head.light, person)
    edge = 1 - smooth((head.facing - 0.05) / 0.45)
    surface = tint(surface, shade_of(person.skin) / person.skin, edge * 0.35 * (1 - person.style[:, 0]))
    rosy = over(person.skin, colour_like((0.93, 0.42, 0.42), person.skin), torch.full_like(person.blush, 0.5))
    across = (head.u.abs() - 0.6 * person.half_width) / 0.11
    cheek = torch.exp(-across.square() - ((head.v - 0.175) / 0.085).square())
    surface = over(surface, rosy, cheek * (0.12 + 0.4 * person.blush))
    surface = _spots(surface, head, person)
    eye_v = (head.v - person.eye_level) / 0.1
    socket = torch.exp(-((head.u.abs() - person.eye_gap) / 0.13).square() - eye_v.square())
    surface = tint(surface, shade_of(person.skin) / person.skin, socket * 0.28)
    surface = _nose(surface, head, person)
    under_lip = ellipse(head.u, head.v - person.mouth_level - 0.085 - 0.1 * held.opening, 0.07, 0.02)
    surface = tint(surface, shade_of(person.skin) / person.skin, soft(under_lip, 0.03) * 0.4)
    return over(canvas, surface, cover(head.outline, head.pixel))


def _spots(surface: Tensor, head: Head, person: Identity) -> Tensor:
    dark = shade_of(person.skin) * 0.6
    seen = torch.zeros_like(head.u)
    for number in range(SPOTS):
        u, v, radius, strength = (person.spots[:, 4 * number + part] for part in range(4))
        away = torch.sqrt((head.u - u).square() + (head.v - v).square() + 1e-12) - radius
        seen = torch.maximum(seen, cover(away, head.pixel.clamp_min(0.004)) * strength)
    return over(surface, dark, seen)


def nose_place(head: Head, person: Identity) -> tuple[Tensor, Tensor]:
    """Coordinates of the nose: it stands out more and more towards its tip, so it moves further than the face."""
    along = smooth((head.v + 0.1) / (person.nose_tip + 0.1)) * smooth((0.12 + person.nose_tip - head.v) / 0.1)
    out = 0.1 * along
    return head.u - out * head.turn, head.v + out * head.nod


def _nose(surface: Tensor, head: Head, person: Identity) -> Tensor:
    u, v = nose_place(head, person)
    tip, wide = person.nose_tip, person.nose_width
    dark = shade_of(person.skin)
    side = -torch.sign(person.light[:, 0])  # the side away from the light
    narrow = 0.028 + 0.45 * wide * smooth((v + 0.02) / (tip + 0.02))
    length = smooth((v + 0.09) / 0.12) * smooth((tip + 0.03 - v) / 0.05)
    flank = torch.exp(-((u * side - narrow) / 0.018).square()) * length
    surface = tint(surface, dark / person.skin, flank * 0.6)
    ridge = torch.exp(-(u / 0.016).square()) * length
    surface = over(surface, person.skin + (1 - person.skin) * 0.5, ridge * 0.28)
    ball = ellipse(u, v - tip, 0.62 * wide, 0.036)
    wings = ellipse(u.abs() - 0.62 * wide, v - tip - 0.008, 0.36 * wide, 0.027)
    whole = torch.minimum(ball, wings)
    under = soft(whole - 0.004, 0.02) * smooth((v - tip - 0.002) / 0.03)
    surface = tint(surface, dark / person.skin, under * 0.95)
    shadow = torch.exp(-((v - tip - 0.05) / 0.016).square() - (u / wide).square())
    surface = tint(surface, dark / person.skin, shadow * 0.45)
    nostril = ellipse(u.abs() - 0.42 * wide, v - tip - 0.022, 0.22 * wide, 0.0085)
    surface = over(surface, dark * 0.55, cover(nostril, head.pixel.clamp_min(0.006)) * 0.85)
    shine = torch.exp(-((u + 0.012 * side) / 0.017).square() - ((v - tip + 0.012) / 0.014).square())
    return over(surface, person.skin + (1 - person.skin) * 0.7, shine * 0.5)
