"""Draws portraits: a batch of identities and poses in, pictures and their exact ground truth out.

Everything is a formula of a pixel's place, so a picture of any size can be drawn, and any crop of it alone, on any
device. Pictures span -1..1 in x (right) and y (down); boxes and landmarks are in these units too, unless they say
pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from models.drawn import accessories, eyes, hair, lips, scene, skin
from models.drawn.identity import Identity
from models.drawn.pose import HEAD_Y, Pose, head
from models.drawn.shapes import cover, soft, waves

LABELS = (
    "background", "skin", "brows", "eyes", "glasses", "ears", "inner_mouth", "lips", "neck", "clothes", "hair", "hat",
)  # fmt: skip
"""Of the parse map, by number."""

Spread = TypeVar("Spread", Identity, Pose)
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Drawing:
    picture: Tensor
    """[b 3 h w], sRGB in 0..1."""
    labels: Tensor
    """Parse map [b h w], uint8, numbers of LABELS."""


def draw(person: Identity, held: Pose, size: int, crop: Tensor | None = None) -> Drawing:
    """Pictures of `size` x `size` pixels. `crop` [b 4]: the square that each shows, x0, y0, x1, y1; all if None."""
    x, y, pixel = grid(size, len(held), held.yaw.device, crop)
    return draw_at(x, y, pixel, spread(person), spread(held))


def grid(size: int, number: int, device: torch.device, crop: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Places of `number` pictures' pixels: x and y [b h w], and the pixels' width [b 1 1]. `crop` as in `draw`."""
    if crop is None:
        crop = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=device).expand(number, 4)
    steps = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size
    low, high = crop[:, :2], crop[:, 2:]
    places = low[:, :, None] + (high - low)[:, :, None] * steps
    x = places[:, 0, None, :].expand(-1, size, -1).contiguous()
    y = places[:, 1, :, None].expand(-1, -1, size).contiguous()
    return x, y, ((high[:, 0] - low[:, 0]) / size)[:, None, None]


def spread(thing: Spread) -> Spread:
    """Fields [b] or [b k] -> [b 1 1] or [b k 1 1], to meet pixels."""
    values = (getattr(thing, field.name) for field in fields(thing))
    return type(thing)(*(value[..., None, None] for value in values))


@cache
def compiled(part: Callable[P, R]) -> Callable[P, R]:
    """One part of a drawing as a kernel of its own: the whole as one takes many minutes to compile, its parts one."""
    return torch.compile(part, dynamic=False)


def plain(part: Callable[P, R]) -> Callable[P, R]:
    return part


def draw_at(
    x: Tensor, y: Tensor, pixel: Tensor, person: Identity, held: Pose, by: Callable[[Any], Any] = plain
) -> Drawing:
    """Pictures at given places [b h w], pixels [b 1 1] wide; `person` and `held` spread. `by`: `compiled` or `plain`,
    what every part of the drawing is run by."""
    brush = person.style[:, 2]
    wobble = 0.006 * brush
    sx = x + wobble * waves(x, y, person.phases, 17.0)
    sy = y + wobble * waves(y, x, person.phases, 19.0)
    canvas = by(scene.wall)(sx, sy, pixel, person)
    labels = torch.zeros_like(x, dtype=torch.uint8)

    def mark(name: str, seen: Tensor) -> None:
        nonlocal labels
        labels = torch.where(seen > 0.5, torch.full_like(labels, LABELS.index(name)), labels)

    place = by(head)(sx, sy, pixel, person, held)
    canvas, seen = by(hair.behind)(canvas, place, person)
    mark("hair", seen)
    before = canvas
    canvas = by(scene.neck)(canvas, sx, sy, pixel, person, held)
    below = cover(HEAD_Y - sy, pixel)
    canvas = before + (canvas - before) * below[:, None]
    mark("neck", below * ((canvas - before).abs().sum(1) > 1e-4))
    canvas, seen = by(scene.clothes)(canvas, sx, sy, pixel, person, held)
    mark("clothes", seen)
    canvas, seen = by(hair.behind)(canvas, place, person, locks=True)
    mark("hair", seen)
    canvas, seen = by(accessories.ears)(canvas, place, person)
    mark("ears", seen)
    canvas = by(accessories.earrings)(canvas, place, person)
    canvas = by(skin.face)(canvas, place, person, held)
    mark("skin", cover(place.outline, place.pixel))
    on_face = cover(place.outline, place.pixel)
    bare = canvas
    canvas = by(hair.shadow_on_face)(canvas, place, person, held)
    canvas, ball = by(eyes.eyes)(canvas, place, person, held)
    canvas, bearded = by(hair.beard)(canvas, place, person, held)
    canvas, lip, inside = by(lips.lips)(canvas, place, person, held)
    canvas, brow = by(eyes.brows)(canvas, place, person, held)
    canvas = bare + (canvas - bare) * torch.maximum(on_face, bearded)[:, None]
    mark("hair", bearded)
    for name, part in (("eyes", ball), ("inner_mouth", inside), ("lips", lip), ("brows", brow)):
        mark(name, part * on_face)
    canvas, seen = by(hair.on_head)(canvas, place, person, held)
    mark("hair", seen * (1 - person.fade))
    canvas, seen = by(accessories.hat)(canvas, place, person, held)
    mark("hat", seen)
    canvas, seen = by(accessories.glasses)(canvas, place, person)
    mark("glasses", seen)
    return Drawing(by(_finish)(canvas, x, y, person), labels)


def _finish(canvas: Tensor, x: Tensor, y: Tensor, person: Identity) -> Tensor:
    """Warm or cold light over all, darker corners, and brush strokes where the style has them."""
    warm = torch.stack([1 + 0.035 * person.warmth, torch.ones_like(person.warmth), 1 - 0.04 * person.warmth], dim=1)
    corners = 1 - 0.1 * soft(1.25 - torch.sqrt(x.square() + y.square()), 0.7) * (1 - person.style[:, 0])
    strokes = waves(x + 0.3 * y, 0.25 * y - x * 0.2, person.phases, 38.0) + waves(x, y, person.phases, 9.0)
    paint = 1 + 0.035 * person.style[:, 2] * strokes
    return (canvas * warm * (corners * paint)[:, None]).clamp(0, 1)
