"""What is around the head: the wall behind it, neck, shoulders and clothes."""

from __future__ import annotations

import torch
from torch import Tensor

from models.drawn.identity import SHAPES, TABLE, Identity
from models.drawn.pose import HEAD_Y, Pose
from models.drawn.shapes import box, cover, ellipse, join, over, smooth, soft, tint, waves
from models.drawn.skin import lit, shade_of


def wall(x: Tensor, y: Tensor, pixel: Tensor, person: Identity) -> Tensor:
    """The background [b 3 h w]."""
    fall = smooth(0.5 + 0.42 * y + 0.2 * x * torch.sign(person.light[:, 0]))
    canvas = person.wall + (person.wall_low - person.wall) * fall[:, None]
    for number in range(SHAPES):
        sx, sy, radius, edge = (person.shapes[:, 7 * number + part] for part in range(4))
        colour = person.shapes[:, 7 * number + 4 : 7 * number + 7]
        away = torch.sqrt((x - sx).square() + (y - sy).square() + 1e-12) - radius
        canvas = over(canvas, colour, soft(away, edge.clamp_min(0.02)) * 0.7 * person.background[:, 1])
    canvas = over(canvas, _shelf(x, y, pixel, person, canvas), person.background[:, 2].expand_as(x))
    cloud = waves(x, y, person.phases, 4.0)
    return canvas * (1 + 0.11 * (cloud * person.background[:, 3])[:, None])


def _shelf(x: Tensor, y: Tensor, pixel: Tensor, person: Identity, behind: Tensor) -> Tensor:
    """Rows of books of several colours and heights."""
    rows = (y + 1.08) / 0.46
    row = torch.floor(rows)
    inside = (rows - row) * 0.46
    column = (x + 1.5 + 0.37 * row) / 0.085
    book = torch.floor(column)
    across = (column - book - 0.5).abs() * 0.085
    place = torch.remainder(book * 5 + row * 3, TABLE).long().clamp(0, TABLE - 1)
    table = person.table.flatten(1).unflatten(1, (TABLE, 3))
    flat = place.flatten(1)[..., None].expand(-1, -1, 3)
    colour = torch.gather(table.expand(len(x), -1, -1), 1, flat).transpose(1, 2).unflatten(2, x.shape[1:])
    height = 0.25 + 0.12 * torch.frac(place * 0.618)
    dark = behind * 0.62
    covers = torch.maximum(across - 0.038, 0.44 - height - inside)
    gapless = torch.remainder(book + 2 * row, 7) > 0
    shelf = over(dark, colour * 0.9, cover(covers, pixel.clamp_min(0.006)) * gapless)
    return over(shelf, behind * 1.05, cover(inside - 0.028, pixel))


def neck(canvas: Tensor, x: Tensor, y: Tensor, pixel: Tensor, person: Identity, held: Pose) -> Tensor:
    """The neck, which follows the head a little, and the head's shadow on it."""
    follow = smooth((0.75 - y) / 0.6)
    nx = x - held.shift_x * (0.35 + 0.65 * follow) - 0.06 * torch.sin(held.yaw) * follow + 0.05 * held.roll * follow
    flare = 0.16 * smooth((y - 0.45) / 0.35).square()
    sides = nx.abs() - person.neck * held.scale - flare
    surface = lit(person.skin, 0.62 - 0.9 * (nx / 0.3) * -torch.sign(person.light[:, 0]), person)
    chin = HEAD_Y + held.shift_y + (person.chin + 0.055 * held.opening) * held.scale
    drop = chin + 0.06 - 1.1 * nx.square() - y
    surface = tint(surface, shade_of(person.skin) / person.skin * 0.92, soft(-drop, 0.09) * 0.9)
    return over(canvas, surface, cover(sides, pixel))


def clothes(canvas: Tensor, x: Tensor, y: Tensor, pixel: Tensor, person: Identity, held: Pose) -> tuple[Tensor, Tensor]:
    """-> the canvas with shoulders and clothes, and their cover [b h w]."""
    x = x - 0.35 * held.shift_x
    y = y - 0.35 * held.shift_y
    rise = person.shoulder + person.slope * (x.abs() / 0.75).pow(2.2)
    round_off = box(x, y - 1.45, 0.94, 1.45 - person.shoulder, 0.3)
    torso = join(torch.maximum(rise - y, x.abs() - 1.5) * 0.8, round_off, 0.05)
    torso = torch.maximum(torso, round_off - 0.02)
    opening = ellipse(x, y - person.shoulder + 0.05, person.neck + 0.075, 0.06 + person.neckline)
    high = box(x, y - person.shoulder - 0.02, person.neck + 0.055, 0.12, 0.04)
    whole = torch.where(person.collar > 0.5, torch.minimum(torso, high), torch.maximum(torso, -opening))
    cloth = _pattern(x, y, pixel, person)
    fold = waves(x, y * 0.5, person.phases, 5.0)
    light = 0.55 + 0.5 * x * torch.sign(person.light[:, 0]) - 0.35 * (y - person.shoulder) + 0.12 * fold
    surface = lit(torch.ones_like(person.cloth), light, person, 0.75) * cloth
    hem = (opening.abs() - 0.014) * (1 - person.collar) + person.collar
    surface = surface * (1 - 0.22 * cover(hem, pixel.clamp_min(0.006)))[:, None]
    fold_line = cover((y - person.shoulder + 0.055).abs() - 0.006, pixel.clamp_min(0.006)) * cover(high + 0.01, pixel)
    surface = surface * (1 - 0.25 * fold_line * person.collar)[:, None]
    return over(canvas, surface, cover(whole, pixel)), cover(whole, pixel)


def _pattern(x: Tensor, y: Tensor, pixel: Tensor, person: Identity) -> Tensor:
    """The cloth's colours [b 3 h w]."""
    size = 0.15 * person.pattern_scale
    px, py = x / size, y / size
    saw_x, saw_y = (torch.frac(px + 20) - 0.5) * size, (torch.frac(py + 20) - 0.5) * size
    stripe = cover(saw_y.abs() - 0.22 * size, pixel)
    bar = cover(saw_x.abs() - 0.2 * size, pixel)
    odd = torch.remainder(torch.floor(py + 20), 2) * 0.5
    dots_x = (torch.frac(px + 20 + odd) - 0.5) * size
    dot = cover(torch.sqrt(dots_x.square() + saw_y.square() + 1e-12) - 0.24 * size, pixel)
    check = 0.5 * stripe + 0.5 * bar
    shares = person.pattern
    second = stripe * shares[:, 1] + bar * shares[:, 2] + dot * shares[:, 3] + check * shares[:, 4]
    return person.cloth + (person.second - person.cloth) * second[:, None]
