"""Hair: behind the head, on it, and on the chin."""

from __future__ import annotations

import torch
from torch import Tensor

from models.drawn.identity import Identity
from models.drawn.pose import Head, Pose, face_outline
from models.drawn.shapes import box, cover, ellipse, join, over, smooth, soft, tint, waves
from models.drawn.skin import shade_of


def behind(canvas: Tensor, head: Head, person: Identity, *, locks: bool = False) -> tuple[Tensor, Tensor]:
    """Hair behind the head, or (`locks`) what of it falls in front of the shoulders. -> canvas, cover [b h w]."""
    distance = _back(head, person)
    seen = cover(distance, head.pixel)
    if locks:
        beside = cover(0.27 - (head.x + 0.05 * head.turn).abs() + 0.05 * smooth(head.y - 0.5), head.pixel)
        seen = seen * beside * person.locks * cover(0.2 - head.y, head.pixel)
    tone = _strands(head, person, head.x / 0.35, 0.72 + 0.1 * smooth((head.y - 0.3) / 0.6))
    return over(canvas, tone, seen), seen


def _back(head: Head, person: Identity) -> Tensor:
    x = head.x + 0.16 * head.turn
    x = x + person.back_wave * torch.sin(head.y * 15 + person.phases[:, 0] * 6.28) * torch.sign(x)
    y = head.y - 0.1 * head.nod
    ripple = person.curl * waves(x, y, person.phases, 22.0)
    crown = ellipse(x, y + 0.06, person.back_width.clamp_min(0.05), person.back_top - 0.02)
    middle = 0.5 * person.back_bottom
    wide = person.back_width * (1 - 0.1 * smooth((y - 0.2) / 0.5))
    fall = box(x, y - middle, wide, middle.clamp_min(0.05) + 0.02, 0.12)
    knot = ellipse(x, y + person.top + 0.55 * person.bun, person.bun.clamp_min(0.02), person.bun.clamp_min(0.02) * 0.9)
    pair = ellipse(
        x.abs() - 0.85 * person.half_width, y + 0.92 * person.top, person.side_buns.clamp_min(0.02),
        person.side_buns.clamp_min(0.02),
    )  # fmt: skip
    shape = torch.where(person.back_width > 0, join(crown, fall, 0.08), torch.full_like(x, 1.0))
    shape = torch.where(person.bun > 0, torch.minimum(shape, knot), shape)
    return torch.where(person.side_buns > 0, torch.minimum(shape, pair), shape) - ripple


def _hairline(u: Tensor, person: Identity) -> Tensor:
    """v of the front edge of the hair at u."""
    side = ((u - person.part * person.half_width).abs() / person.half_width).clamp_max(1.6)
    edge = (u.abs() / person.half_width).clamp_max(1.6)
    front = -person.hairline + person.sweep * side.square() * 0.8
    sides = smooth((edge - 0.5) / 0.44)
    line = front + (person.sides - front) * sides
    return line + person.jag * waves(u, torch.zeros_like(u), person.phases, 26.0)


def _cap(head: Head, person: Identity, held: Pose) -> Tensor:
    """Distance to the hair on the head: the skull's outline grown, above the hairline."""
    lift = person.side_volume + (person.volume - person.side_volume) * smooth((-head.y - 0.05) / 0.4)
    skull = face_outline(head.x, head.y, person, held, lift)
    skull = skull - person.curl * waves(head.x, head.y, person.phases, 22.0)
    return torch.maximum(skull, (head.v - _hairline(head.u, person)) * 0.9)


def shadow_on_face(canvas: Tensor, head: Head, person: Identity, held: Pose) -> Tensor:
    """What the hair's edge takes of the light on the forehead."""
    fall = soft(head.v - _hairline(head.u, person) - 0.025, 0.06) * cover(head.outline, head.pixel)
    has = (person.volume > 0).float() * (1 - person.fade)
    return tint(canvas, shade_of(person.skin) / person.skin, fall * 0.6 * has)


def on_head(canvas: Tensor, head: Head, person: Identity, held: Pose) -> tuple[Tensor, Tensor]:
    """-> the canvas with the hair over the forehead, and its cover [b h w]."""
    seen = cover(_cap(head, person, held), head.pixel) * (person.volume > 0)
    around = torch.atan2(head.u - person.part * person.half_width, head.front * 0.6 + 0.25 - head.v)
    shine = torch.exp(-((head.v + 0.47 + 0.1 * head.u.square()) / 0.05).square())
    bright = 0.86 + 0.2 * head.light.clamp(0, 1) * (1 - 0.4 * person.style[:, 0])
    tone = _strands(head, person, around * 2.2, bright)
    gloss = 0.2 * person.strands * (1 - 0.5 * person.style[:, 0])
    tone = over(tone, person.hair + (1 - person.hair) * 0.55, shine * gloss * head.light.clamp(0, 1))
    return over(canvas, tone, seen * (1 - person.fade)), seen


def _strands(head: Head, person: Identity, along: Tensor, bright: Tensor) -> Tensor:
    """The hair's colour [b 3 h w], lighter and darker from strand to strand; `along` counts across them."""
    bend = 0.35 * waves(head.x, head.y, person.phases, 3.0)
    stripes = torch.sin((along + bend * 0.3) * 11 + person.phases[:, 1] * 6) + 0.6 * torch.sin(along * 27 + bend * 3)
    patches = waves(head.x, head.y, person.phases, 14.0)
    level = bright + 0.07 * person.strands * stripes + 0.07 * (1 - person.strands) * patches
    return person.hair * level[:, None] + 0.015


def beard(canvas: Tensor, head: Head, person: Identity, held: Pose) -> tuple[Tensor, Tensor]:
    """-> the canvas with beard and moustache, and their cover [b h w]. The lips are painted afterwards."""
    edge = person.mouth_level - person.beard_level * (head.u.abs() / person.half_width - 0.35).clamp_min(0) * 2.6
    ragged = 0.012 * waves(head.u, head.v, person.phases, 30.0)
    low = head.v - edge - 0.045 + ragged
    chin = face_outline(head.x, head.y, person, held, 0.025 * person.beard)
    jaw = soft(-low, 0.05) * cover(chin, head.pixel * 1.5) * person.beard
    top = 0.5 * (person.nose_tip + 0.055 + person.mouth_level) - 0.004
    curve = head.v - top - 0.9 * head.u.square() - 0.004 - 0.2 * 0.16 * held.opening
    lip = soft(curve.abs() - 0.027 + 0.1 * head.u.abs(), 0.016) * soft(head.u.abs() - 0.155, 0.02) * person.moustache
    seen = torch.maximum(jaw * 0.96, lip)
    tone = _strands(head, person, head.u * 4, torch.full_like(head.u, 0.84))
    return over(canvas, tone, seen), seen
