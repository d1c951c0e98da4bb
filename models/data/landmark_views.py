"""Faces in every framing, as landmarks are learned: small and large, tilted, mirrored, beside another, or not there.

Every function draws from the generator that it is given, so a batch can be drawn again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.data.landmark_faces import KnownFace
from models.faces.face_points import AROUND, CELLS, CROP, PART, PARTS, USUAL, VIEW, Square, cut, part_square, square_of
from models.puppet.topology import mirror_map

SMALLEST, LARGEST = 0.13, 0.95  # heights of a face in the whole picture
TILT = 0.45  # radians
NOBODY, TWO = 0.10, 0.12  # shares of views
NO_FACE = 0.15  # share of crops that show none
GUESS = 0.035  # of the face's height: how far off what the parts network is told may be


MIRROR = torch.tensor(mirror_map())


def uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def mirrored(face: KnownFace) -> KnownFace:
    width = face.levels[0].shape[-1]
    points = face.points[MIRROR] * torch.tensor([-1.0, 1, 1]) + torch.tensor([float(width), 0, 0])
    return KnownFace([level.flip(-1) for level in face.levels], points, face.known[MIRROR], face.name)


def tinted(pictures: Tensor, generator: Generator) -> Tensor:
    """[n 3 s s] in other light: gain, contrast, tint, grey, blurred, grained."""
    n = len(pictures)

    def each(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(n, channels, 1, 1, generator=generator)

    pictures = pictures.clamp(0.001, 1) ** torch.exp(each(-0.5, 0.5))
    pictures = pictures * each(0.65, 1.25) * each(0.88, 1.12, 3) + each(-0.08, 0.08)
    grey = (torch.rand(n, 1, 1, 1, generator=generator) < 0.12).float()
    pictures = torch.lerp(pictures, pictures.mean(1, keepdim=True).expand_as(pictures), grey)
    soft = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    blurred = (torch.rand(n, 1, 1, 1, generator=generator) < 0.35).float() * each(0, 1)
    pictures = torch.lerp(pictures, soft, blurred)
    noise = torch.randn(pictures.shape, generator=generator) * each(0, 0.05)
    return (pictures + noise).clamp(0, 1)


def framed(
    face: KnownFace, generator: Generator, middle: tuple[float, float] | None = None, most: float = LARGEST
) -> Square:
    """A square of a picture in which the face is of some height, and lies somewhere."""
    own = square_of(face.points)
    height = own.side / AROUND
    share = math.exp(uniform(generator, math.log(SMALLEST), math.log(most)))
    tilt = uniform(generator, -TILT, TILT) * (0.4 if share > 0.6 else 1.0)
    room = max(0.0, 1 - 0.95 * share)
    x, y = (uniform(generator, -room, room) for _ in range(2)) if middle is None else middle
    side = height / share
    cos, sin = math.cos(tilt), math.sin(tilt)
    dx, dy = x * side / 2, y * side / 2
    return Square(own.x - (cos * dx - sin * dy), own.y - (sin * dx + cos * dy), side, tilt)


def placed(face: KnownFace, view: Square, size: int, generator: Generator) -> Tensor:
    """What a view shows [3 size size]; beyond the picture its edge goes on, or something else is there."""
    shown = cut(face.levels, view, size)
    if float(torch.rand((), generator=generator)) < 0.5:
        height, width = face.levels[0].shape[-2:]
        line = (torch.arange(size) + 0.5) * 2 / size - 1
        y, x = torch.meshgrid(line, line, indexing="ij")
        at = view.outwards(torch.stack([x, y], -1))
        beyond = (at[..., 0] < 0) | (at[..., 0] > width) | (at[..., 1] < 0) | (at[..., 1] > height)
        shown = torch.where(beyond, something(size, generator), shown)
    return shown


def something(size: int, generator: Generator) -> Tensor:
    """A picture of nothing: soft shapes in some colours [3 size size]."""
    cells = int(2 ** uniform(generator, 1, 6))
    noise = torch.rand(1, 3, cells, cells, generator=generator) * uniform(generator, 0.1, 1)
    shades = torch.rand(1, 3, 1, 1, generator=generator) * 0.7
    drawn = F.interpolate((noise + shades) / 1.5, size=(size, size), mode="bicubic", align_corners=False)
    return drawn[0].clamp(0, 1)


def faceless(face: KnownFace, size: int, generator: Generator) -> Tensor:
    """A part of a picture beside its face, or of nothing."""
    height, width = face.levels[0].shape[-2:]
    own = square_of(face.points)
    for _ in range(8):
        side = uniform(generator, 0.12, 0.6) * width
        x, y = uniform(generator, 0, width), uniform(generator, 0, height)
        apart = max(abs(x - own.x), abs(y - own.y)) - side / 2
        if apart > own.side / AROUND * 0.42:
            return cut(face.levels, Square(x, y, side, uniform(generator, -0.5, 0.5)), size)
    return something(size, generator)


@dataclass(frozen=True)
class Views:
    pictures: Tensor  # [n 3 128 128]
    heat: Tensor  # [n c c]: 1 in the cell of a face's middle, falling around it
    geometry: Tensor  # [n 5 c c]: what the finder says beside its logits
    weight: Tensor  # [n c c]: where geometry counts


def views(faces: list[KnownFace], generator: Generator) -> Views:
    """Whole pictures, one a face of those given."""
    n = len(faces)
    pictures = torch.zeros(n, 3, VIEW, VIEW)
    heat, geometry, weight = torch.zeros(n, CELLS, CELLS), torch.zeros(n, 5, CELLS, CELLS), torch.zeros(n, CELLS, CELLS)
    for row, face in enumerate(faces):
        chance = float(torch.rand((), generator=generator))
        if chance < NOBODY:
            pictures[row] = faceless(face, VIEW, generator)
        elif chance < NOBODY + TWO:
            other = faces[(row + 1) % n]
            y = [uniform(generator, -0.4, 0.4) for _ in range(2)]
            for place, one in enumerate((face, other)):
                view = framed(one, generator, ((-0.5, 0.5)[place], y[place]), most=0.48)
                half = slice(0, VIEW // 2) if place == 0 else slice(VIEW // 2, VIEW)
                pictures[row][..., half] = placed(one, view, VIEW, generator)[..., half]
                _mark(one, view, heat[row], geometry[row], weight[row])
        else:
            view = framed(face, generator)
            pictures[row] = placed(face, view, VIEW, generator)
            _mark(face, view, heat[row], geometry[row], weight[row])
    return Views(tinted(pictures, generator), heat, geometry, weight)


def _mark(face: KnownFace, view: Square, heat: Tensor, geometry: Tensor, weight: Tensor) -> None:
    own = square_of(face.points)
    x, y = ((view.inwards(torch.tensor([[own.x, own.y]]))[0] + 1) * CELLS / 2).tolist()
    share = own.side / AROUND / view.side
    tilt = own.tilt - view.tilt
    line = torch.arange(CELLS) + 0.5
    away = torch.hypot(line[None, :] - x, line[:, None] - y)
    spread = max(0.7, 1.6 * share)
    mine = torch.exp(-((away / spread) ** 2))
    heat.copy_(torch.maximum(heat, mine))
    near = (away < max(0.8, 0.25 * share * CELLS)).float()
    facts = torch.stack(
        [
            x - line[None, :].expand(CELLS, -1), y - line[:, None].expand(-1, CELLS),
            torch.full((CELLS, CELLS), math.log(share / USUAL)),
            torch.full((CELLS, CELLS), math.sin(tilt)), torch.full((CELLS, CELLS), math.cos(tilt)),
        ]
    )  # fmt: skip
    geometry.copy_(torch.where(near[None] > 0, facts, geometry))
    weight.copy_(torch.maximum(weight, near))


@dataclass(frozen=True)
class Crops:
    pictures: Tensor  # [n 3 128 128]
    points: Tensor  # [n 478 3] in halves of the square's side
    known: Tensor  # [n 478], 0 where there is no face
    face: Tensor  # [n]


def crops(faces: list[KnownFace], generator: Generator) -> Crops:
    """Squares around the faces, about as well placed as the finder places them."""
    pictures, points, known, flags = [], [], [], []
    for face in faces:
        if float(torch.rand((), generator=generator)) < NO_FACE:
            pictures.append(faceless(face, CROP, generator))
            points.append(torch.zeros_like(face.points))
            known.append(torch.zeros_like(face.known))
            flags.append(0.0)
            continue
        own = square_of(face.points)
        off = (torch.randn(4, generator=generator) * torch.tensor([0.06, 0.06, 0.12, 0.12])).tolist()
        square = Square(
            own.x + off[0] * own.side, own.y + off[1] * own.side, own.side * math.exp(off[2]), own.tilt + off[3]
        )
        pictures.append(placed(face, square, CROP, generator))
        points.append(square.inwards(face.points))
        known.append(face.known)
        flags.append(1.0)
    return Crops(tinted(torch.stack(pictures), generator), torch.stack(points), torch.stack(known), torch.tensor(flags))


@dataclass(frozen=True)
class PartViews:
    pictures: Tensor  # [n 3 64 64]
    guess: Tensor  # [n k 2] in halves of the square's side
    points: Tensor  # [n k 2]
    known: Tensor  # [n k]


def parts(faces: list[KnownFace], generator: Generator, mouth: bool) -> PartViews:
    """Mouths, or eyes of either side as left ones, around points that are a little off."""
    rows = []
    for face in faces:
        part = 0 if mouth else 1 + int(torch.randint(2, (), generator=generator))
        chosen = list(PARTS[part])
        height = square_of(face.points).side / AROUND
        off = GUESS * height
        noisy = face.points[:, :2] + torch.randn(2, generator=generator) * off * 0.6
        middle = noisy[chosen].mean(0)
        grow = 1 + torch.randn(2, generator=generator) * 0.08
        noisy = (noisy - middle) * grow + middle + torch.randn(noisy.shape, generator=generator) * off * 0.25
        square = part_square(noisy, part)
        side = torch.tensor([-1.0 if part == 2 else 1.0, 1.0])
        shown = cut(face.levels, square, PART, mirrored=part == 2)
        rows.append(
            (
                shown,
                square.inwards(noisy[chosen]) * side,
                square.inwards(face.points[chosen, :2]) * side,
                face.known[chosen],
            )
        )
    pictures, guess, points, known = (torch.stack(list(column)) for column in zip(*rows, strict=True))
    return PartViews(tinted(pictures, generator), guess, points, known)
