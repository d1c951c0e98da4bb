"""Ears and what is worn on a head: earrings, glasses, hats."""

from __future__ import annotations

import torch
from torch import Tensor

from models.drawn.identity import Identity
from models.drawn.pose import Head, Pose, face_outline
from models.drawn.shapes import box, cover, ellipse, over, segment, smooth, soft, tint
from models.drawn.skin import colour_like, lit, shade_of

EAR_LEVEL = 0.06


def ears(canvas: Tensor, head: Head, person: Identity) -> tuple[Tensor, Tensor]:
    """-> the canvas with both ears, and their cover [b h w]. Each comes forward as the head turns away from it."""
    side = torch.where(head.x < 0, -1.0, 1.0)
    out = person.half_width * (1.0 - 0.16 * head.turn.abs()) - 0.12 * head.turn * side + 0.02
    x, y = head.x * side - out, head.y - EAR_LEVEL + 0.05 * head.nod
    wide = 0.58 * person.ear
    shape = ellipse(x - 0.2 * y.clamp(-0.1, 0.1) * -1, y, wide, person.ear)
    light = 0.6 + 0.35 * side * torch.sign(person.light[:, 0])
    surface = lit(person.skin, light, person)
    fold = ellipse(x - 0.008, y + 0.005, 0.58 * wide, 0.66 * person.ear)
    surface = tint(surface, shade_of(person.skin) / person.skin, soft(fold, 0.022) * 0.75)
    covered = ((person.back_width > 0) & (person.sides > 0.1)).float()  # by the hair
    seen = cover(shape, head.pixel) * (1 - covered)
    return over(canvas, surface, seen), seen


def earrings(canvas: Tensor, head: Head, person: Identity) -> Tensor:
    side = torch.where(head.x < 0, -1.0, 1.0)
    out = person.half_width * (1.0 - 0.16 * head.turn.abs()) - 0.12 * head.turn * side + 0.02
    x, y = head.x * side - out, head.y - EAR_LEVEL - person.ear - 0.4 * person.earring
    away = torch.sqrt(x.square() + y.square() + 1e-12) - person.earring
    canvas = over(canvas, person.metal * 0.85, cover(away, head.pixel) * (person.earring > 0))
    shine = torch.sqrt((x + 0.006).square() + (y + 0.006).square() + 1e-12) - 0.4 * person.earring
    return over(canvas, torch.ones_like(person.metal), cover(shine, head.pixel) * (person.earring > 0) * 0.7)


def glasses(canvas: Tensor, head: Head, person: Identity) -> tuple[Tensor, Tensor]:
    """-> the canvas with glasses, and the cover of their frame [b h w]. They stand a little before the face."""
    u = head.u - 0.05 * head.turn
    v = head.v - person.eye_level - 0.015 + 0.05 * head.nod
    half_x, half_y = 0.145 * person.frame_size, 0.118 * person.frame_size
    gap = torch.maximum(person.eye_gap, half_x + 0.028)
    x = u.abs() - gap
    rim = box(x, v, half_x, half_y, person.frame_round * half_y)
    worn = person.glasses
    lens = cover(rim, head.pixel)
    canvas = over(canvas, torch.ones_like(person.frame), lens * 0.07 * worn)
    glare = (u + 0.45 * v + 0.05) - gap * torch.sign(u)
    streak = soft(glare.abs() - 0.028, 0.01) * cover(rim + 0.015, head.pixel)
    canvas = over(canvas, torch.ones_like(person.frame), streak * 0.16 * worn)
    frame = rim.abs() - 0.0095
    inner = gap - half_x
    bridge = (v + 0.03 - 0.25 * (u.square() - inner.square())).abs() - 0.009
    bridge = torch.maximum(bridge, u.abs() - inner - 0.004)
    arm_start = gap + half_x
    zero = torch.zeros_like(arm_start)
    arm = segment(u.abs(), v, arm_start, zero - 0.03, arm_start + 0.3, zero - 0.04) - 0.011
    whole = torch.minimum(torch.minimum(frame, bridge), torch.maximum(arm, head.outline))
    seen = cover(whole, head.pixel) * worn
    shaded = person.frame * (0.8 + 0.3 * head.light.clamp(0, 1))[:, None]
    drop = soft((rim + 0.0).abs() - 0.012, 0.03) * smooth((v + 0.02) / 0.1) * cover(head.outline, head.pixel)
    canvas = tint(canvas, shade_of(person.skin) / person.skin, drop * 0.3 * worn)
    return over(canvas, shaded, seen), seen


def hat(canvas: Tensor, head: Head, person: Identity, held: Pose) -> tuple[Tensor, Tensor]:
    """A knitted cap. -> canvas, cover [b h w]."""
    outline = face_outline(head.x, head.y, person, held, 0.085)
    low = head.v + 0.3 - 0.12 * (head.u / person.half_width).square().clamp_max(1.5)
    cap = torch.maximum(outline, low)
    band = torch.maximum(outline - 0.015, (low + 0.05).abs() - 0.065)
    ribs = 0.94 + 0.06 * torch.sin(torch.atan2(head.u, head.front + 0.3) * 42)
    light = 0.75 + 0.3 * head.light.clamp(-0.3, 1)
    worn = person.hat
    canvas = over(canvas, person.hat_colour * (ribs * light)[:, None], cover(cap, head.pixel) * worn)
    turned = person.hat_colour * 0.86 * colour_like((1, 1, 1), canvas)
    canvas = over(canvas, turned * (ribs * light)[:, None], cover(band, head.pixel) * worn)
    seen = cover(torch.minimum(cap, band), head.pixel) * worn
    under = soft(low - 0.075, 0.05) * cover(head.outline, head.pixel) * worn * (1 - seen)
    return tint(canvas, shade_of(person.skin) / person.skin, under * 0.6), seen
