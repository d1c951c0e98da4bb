"""Where a face is in any picture, and 478 points of it: what a title's portrait is prepared with.

Three small networks, one after the other. The *finder* sees the whole picture at 128 x 128 and says where faces are,
how high and how tilted. The *points* network sees an upright square around a face, twice. The *parts* network sees
mouth and eyes by themselves and corrects their points.

Shapes: n pictures; c = 16 cells a side of the finder. Points are x, y in the unit that is named, z in the same, towards
the viewer negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.puppet.topology import BROWS, EYES, LOWER_RINGS, POINTS, SKIN, UPPER_RINGS, canonical

VIEW, CROP, PART = 128, 128, 64  # sides of what the three networks see
CELLS = 16
AROUND = 1.7  # side of a face's square, in heights of the face
LOOKS = 3  # at mouth and eyes
MOUTH_AROUND, EYE_AROUND = 1.7, 2.2  # sides of the parts' squares, in widths of mouth and eye
USUAL = 0.4  # height of a face in the whole picture that counts as 0 in logarithms

LIPS = tuple(dict.fromkeys(point for rings in (UPPER_RINGS, LOWER_RINGS) for ring in rings for point in ring))
EYE_LEFT, EYE_RIGHT = (
    (*eye.ring, *eye.crease, *eye.iris, *brow) for eye, brow in zip(EYES, BROWS, strict=True)
)  # fmt: skip
"""Points of the parts; those of the right eye are the left one's in a mirror."""
PARTS = (LIPS, EYE_LEFT, EYE_RIGHT)


class Block(nn.Module):
    def __init__(self, channels: int, spread: int = 1) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=spread, dilation=spread)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class Finder(nn.Module):
    """[n 3 128 128] -> [n 6 c c]: logit that a face's middle lies in the cell; its place within the cell (x, y, cells),
    logarithm of its height over `USUAL` of the picture, sine and cosine of its tilt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 5, 2, 2), nn.SiLU(), nn.Conv2d(16, 32, 3, 2, 1), Block(32), nn.Conv2d(32, 40, 3, 2, 1)
        )
        self.blocks = nn.Sequential(Block(40), Block(40, 2), Block(40, 4))
        self.out = nn.Sequential(nn.GroupNorm(8, 40), nn.SiLU(), nn.Conv2d(40, 6, 1))

    def forward(self, views: Tensor) -> Tensor:
        found: Tensor = self.out(self.blocks(self.stem(views * 2 - 1)))
        return found.float()


class Points(nn.Module):
    """[n 3 128 128] -> points [n 478 3] in halves of the square's side around its middle, logit that it is a face."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2), nn.SiLU(), nn.Conv2d(16, 32, 3, 2, 1), Block(32)),
            nn.Sequential(nn.Conv2d(32, 56, 3, 2, 1), Block(56), Block(56)),
            nn.Sequential(nn.Conv2d(56, 80, 3, 2, 1), Block(80), nn.GroupNorm(8, 80), nn.SiLU()),
            nn.Conv2d(80, 12, 1),
        )
        self.whole = nn.Sequential(nn.Linear(12 * 64, 128), nn.SiLU())
        self.points = nn.Linear(128, POINTS * 3)
        self.face = nn.Linear(128, 1)
        rest = torch.from_numpy(canonical().points).float()
        middle = (rest[10] + rest[152]) / 2
        height = float((rest[152] - rest[10]).norm())
        with torch.no_grad():
            self.points.weight.mul_(0.1)
            self.points.bias.copy_(((rest - middle) / height * 2 / AROUND).flatten())

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        whole = self.whole(self.trunk(crops * 2 - 1).flatten(1))
        return self.points(whole).float().unflatten(1, (POINTS, 3)), self.face(whole).float()[:, 0]


class Parts(nn.Module):
    """Mouths or left eyes [n 3 64 64] -> by how much their points move [n k 2], in halves of the side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(5, 16, 5, 2, 2),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            Block(32),
            nn.Conv2d(32, 48, 3, 2, 1),
            Block(48),
        )
        self.tail = nn.Sequential(nn.GroupNorm(8, 48), nn.SiLU(), nn.Conv2d(48, 12, 1))
        self.mouth = self._head(len(LIPS))
        self.eye = self._head(len(EYE_LEFT))

    @staticmethod
    def _head(points: int) -> nn.Sequential:
        last = nn.Linear(96, points * 2)
        with torch.no_grad():
            last.weight.mul_(0.05)
            last.bias.zero_()
        return nn.Sequential(nn.Linear(12 * 64 + points * 2, 96), nn.SiLU(), last)

    def forward(self, crops: Tensor, guess: Tensor, mouth: bool) -> Tensor:
        """`guess` [n k 2]: where the points are thought to be, in halves of the square's side."""
        flags = torch.full_like(crops[:, :2], 1.0 if mouth else -1.0)
        flags[:, 1] = torch.linspace(-1, 1, crops.shape[-1], device=crops.device)
        seen = self.tail(self.stem(torch.cat([crops * 2 - 1, flags], 1))).flatten(1)
        head = self.mouth if mouth else self.eye
        found: Tensor = head(torch.cat([seen, guess.flatten(1)], 1))
        return found.float().unflatten(1, (-1, 2))


class FacePoints(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.finder, self.points, self.parts = Finder(), Points(), Parts()


@dataclass(frozen=True)
class Square:
    """A square in a picture: middle and side in pixels, tilt in radians (positive: its content leans clockwise)."""

    x: float
    y: float
    side: float
    tilt: float = 0.0

    def outwards(self, points: Tensor) -> Tensor:
        """Points [k 2 or 3] in halves of the side around the middle -> in pixels of the picture."""
        turn = _turn(self.tilt).to(points)
        flat = points[..., :2] @ turn.T * (self.side / 2) + torch.tensor([self.x, self.y]).to(points)
        return torch.cat([flat, points[..., 2:] * (self.side / 2)], -1)

    def inwards(self, points: Tensor) -> Tensor:
        turn = _turn(self.tilt).to(points)
        flat = (points[..., :2] - torch.tensor([self.x, self.y]).to(points)) @ turn / (self.side / 2)
        return torch.cat([flat, points[..., 2:] / (self.side / 2)], -1)


def _turn(tilt: float) -> Tensor:
    cos, sin = torch.cos(torch.tensor(tilt)), torch.sin(torch.tensor(tilt))
    return torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])


def square_of(points: Tensor, around: float = AROUND) -> Square:
    """Points of a face [478 2 or 3] in pixels -> its upright square."""
    top, chin = points[10, :2], points[152, :2]
    down = chin - top
    middle = (top + chin) / 2
    across = points[454, :2] - points[234, :2]
    axis = torch.stack([down[1], -down[0]]) + across  # how a face leans is told from both
    return Square(float(middle[0]), float(middle[1]), around * float(down.norm()), float(torch.atan2(axis[1], axis[0])))


def part_square(points: Tensor, part: int) -> Square:
    """Points [478 2 or 3] in pixels -> the square around mouth (0), left (1) or right eye (2)."""
    if part == 0:
        ends, around = points[[61, 291], :2], MOUTH_AROUND
        middle = points[list(LIPS), :2].mean(0)
    else:
        eye = EYES[part - 1]
        ends, around = points[[eye.upper[0], eye.upper[-1]], :2], EYE_AROUND
        ends = ends if part == 1 else ends.flip(0)
        middle = ends.mean(0)
    along = ends[1] - ends[0]
    face = float((points[152, :2] - points[10, :2]).norm())
    side = around * max(float(along.norm()), 0.1 * face)
    return Square(float(middle[0]), float(middle[1]), side, float(torch.atan2(along[1], along[0])))


def pyramid(picture: Tensor) -> list[Tensor]:
    """Picture [3 h w] in 0..1, or uint8, and its halves, down to some 48 pixels."""
    levels = [picture]
    while min(levels[-1].shape[-2:]) >= 96:
        half = F.avg_pool2d(levels[-1][None].float(), 2, ceil_mode=True)[0]
        levels.append(half if picture.is_floating_point() else half.round().to(torch.uint8))
    return levels


def cut(levels: list[Tensor], square: Square, size: int, mirrored: bool = False) -> Tensor:
    """What a square of the picture shows [3 size size]; beyond the picture its edge goes on."""
    level, scale = 0, square.side / size
    while level + 1 < len(levels) and scale >= 1.5:
        level, scale = level + 1, scale / 2
    picture = levels[level]
    if not picture.is_floating_point():
        picture = picture.float() / 255
    height, width = picture.shape[-2:]
    line = (torch.arange(size) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(line, -line if mirrored else line, indexing="ij")
    at = square.outwards(torch.stack([x, y], -1)) / 2**level
    at = at * 2 / torch.tensor([width, height]) - 1
    return F.grid_sample(picture[None], at[None].float(), padding_mode="border", align_corners=False)[0]


@dataclass(frozen=True)
class FaceReading:
    points: Tensor
    """[478 3] in pixels of the picture, a pixel's middle at .5."""
    certain: float
    """0..1, that it is a face: by its looks, and by its points lying as a face's do."""
    seen: float = 1.0
    """0..1, as the finder had it."""


def looked_at(height: int, width: int) -> Iterator[Square]:
    """The squares of a picture that the finder sees: the whole, then parts of it, in which a small face is larger."""
    longest = float(max(height, width))
    yield Square(width / 2, height / 2, longest)
    for share in PARTS_OF_IT:
        side = longest / share
        for y in _middles(height, side):
            for x in _middles(width, side):
                yield Square(x, y, side)


def _middles(length: int, side: float) -> list[float]:
    """Of windows of a side that cover a length, each half upon the next."""
    if length <= side:
        return [length / 2]
    steps = math.ceil((length - side) / (side / 2))
    return [side / 2 + (length - side) * step / steps for step in range(steps + 1)]


PARTS_OF_IT = (2.0, 3.5)
LEAST, APART = 0.35, 0.45  # certainty of a face; distance of two in heights of the larger
LARGEST_IN_A_PART = 0.75  # of its side: a larger face is seen better in the whole
UNBENT, BENT = (
    0.02,
    0.04,
)  # heights of the face (`bent`): of 579 faces 95 in 100 had 0.016 at most, of 227 others 0.031 at least
MOST_READ = 40  # places that are looked at closely
LIKELY = 0.8  # of the likeliest face's certainty, below which another is taken for none


def found_faces(answer: Tensor, view: Square) -> list[tuple[float, Square]]:
    """The finder's answer for one view [6 c c] -> certainty and square of every face, the likeliest first."""
    sure = torch.sigmoid(answer[0])
    peaks = (sure == F.max_pool2d(sure[None], 3, 1, 1)[0]) & (sure > LEAST)
    faces: list[tuple[float, Square]] = []
    for row, column in peaks.nonzero().tolist():
        dx, dy, size, sine, cosine = answer[1:, row, column].tolist()
        place = torch.tensor([column + 0.5 + dx, row + 0.5 + dy]) * 2 / CELLS - 1
        x, y = view.outwards(place[None])[0].tolist()
        height = USUAL * view.side * float(torch.exp(torch.tensor(size).clamp(-3, 2)))
        tilt = float(torch.atan2(torch.tensor(sine), torch.tensor(cosine)))
        faces.append((float(sure[row, column]), Square(x, y, AROUND * height, tilt)))
    return apart(faces)


def apart(faces: list[tuple[float, Square]]) -> list[tuple[float, Square]]:
    """Each face once, the likeliest first."""
    kept: list[tuple[float, Square]] = []
    for sure, square in sorted(faces, key=lambda one: -one[0]):
        if not any(_near(square, other) for _, other in kept):
            kept.append((sure, square))
    return kept


def _near(one: Square, other: Square) -> bool:
    return math.hypot(one.x - other.x, one.y - other.y) < APART * max(one.side, other.side) / AROUND


@torch.no_grad()
def read_faces(network: FacePoints, picture: Tensor) -> list[FaceReading]:
    """Every face in a picture [3 h w] in 0..1, or uint8, the most certain first; none where there is none."""
    levels = pyramid(picture)
    seen = list(looked_at(*picture.shape[-2:]))
    answers = network.finder(torch.stack([cut(levels, square, VIEW) for square in seen]))
    found = [
        (sure, face)
        for square, answer in zip(seen, answers, strict=True)
        for sure, face in found_faces(answer, square)
        if square is seen[0] or face.side / AROUND <= LARGEST_IN_A_PART * square.side
    ]
    found = sorted(found, key=lambda one: -one[0])[:MOST_READ]
    readings = [replace(read_face(network, levels, square), seen=sure) for sure, square in found]
    kept: list[FaceReading] = []
    for one in sorted(readings, key=lambda one: -one.certain * one.seen):
        best = kept[0].certain * kept[0].seen if kept else 0.0
        likely = one.certain > LEAST and one.certain * one.seen >= LIKELY * best
        if likely and not any(_near(square_of(one.points), square_of(other.points)) for other in kept):
            kept.append(one)
    return kept


def bent(points: Tensor) -> float:
    """How far points [478 3] are from the mean face's in any pose, in heights of the face: little for every face, and
    much for what is none, whose points lie anyhow."""
    rest = torch.from_numpy(canonical().points[:SKIN]).float()
    poses = torch.cat([rest, torch.ones(SKIN, 1)], 1)
    given = points[:SKIN, :2].float()
    fitted = poses @ torch.linalg.lstsq(poses, given).solution
    return float((fitted - given).norm(dim=1).mean() / (points[10, :2] - points[152, :2]).norm())


@torch.no_grad()
def read_face(network: FacePoints, levels: list[Tensor], square: Square) -> FaceReading:
    """The face in a square that lies about right."""
    certain = 0.0
    points = torch.zeros(POINTS, 3)
    for _ in range(2):
        inner, logit = network.points(cut(levels, square, CROP)[None])
        points, certain = square.outwards(inner[0]), float(torch.sigmoid(logit[0]))
        square = square_of(points)
    shape = min(max((BENT - bent(points)) / (BENT - UNBENT), 0.0), 1.0)
    return FaceReading(corrected(network, levels, points), certain * shape)


@torch.no_grad()
def corrected(network: FacePoints, levels: list[Tensor], points: Tensor) -> Tensor:
    """Points [478 3] in pixels, those of mouth and eyes looked at again from where they were found before."""
    points = points.clone()
    mirror = torch.tensor([-1.0, 1.0])
    for _ in range(LOOKS):
        for part, names in enumerate(PARTS):
            square, chosen = part_square(points, part), list(names)
            side = mirror if part == 2 else torch.ones(2)
            inner = square.inwards(points[chosen, :2])
            moved = network.parts(cut(levels, square, PART, mirrored=part == 2)[None], (inner * side)[None], part == 0)
            points[chosen, :2] = square.outwards(inner + moved[0] * side)
    return points


def load_face_points(path: Path, device: torch.device | str = "cpu") -> FacePoints:
    """From a file of stage `landmarks`."""
    network = FacePoints()
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval().requires_grad_(False).to(device)
