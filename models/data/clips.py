"""Clips of drawn portraits: the same person, moving and talking, seen through a window that stays where it is.

Shapes: n clips, f frames, `side` pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.data.portrait_crops import People
from models.drawn.expressions import EXPRESSIONS
from models.drawn.identity import Identity
from models.drawn.motion import Direction, motion, wander
from models.drawn.mouth import MouthTargets
from models.drawn.pose import Pose
from models.drawn.truth import face_box
from models.families.noise_keys import noise_key

TRACK = 160  # frames of one track of motion
GLANCE = 32  # pixels a side that a square is judged by
AT_ONCE = 1 << 20  # pixels that are drawn in one call on a CPU: more only costs memory


@dataclass(frozen=True)
class Moves:
    """Tracks of motion, drawn once: a clip is a stretch of one of them."""

    poses: Pose
    """Of all tracks, one after another."""
    tracks: int

    @classmethod
    def of(cls, seed: int, tracks: int) -> Moves:
        names = list(EXPRESSIONS)
        parts = []
        for track in range(tracks):
            key = noise_key(seed, "moves", track)
            generator = torch.Generator().manual_seed(key)
            name = names[int(torch.randint(len(names), (1,), generator=generator))]
            strength = float(torch.rand(1, generator=generator))
            directions = (Direction(0, "neutral"), Direction(TRACK // 2, name, strength))
            parts.append(motion(key, babble(TRACK, generator), directions))
        fields = parts[0].__dataclass_fields__
        return cls(Pose(*(torch.cat([getattr(part, name) for part in parts]) for name in fields)), tracks)

    def some(self, number: int, frames: int, generator: Generator) -> Pose:
        """`number` stretches of `frames` frames [n * f]."""
        track = torch.randint(self.tracks, (number, 1), generator=generator) * TRACK
        start = torch.randint(TRACK - frames + 1, (number, 1), generator=generator)
        return self.poses.rows((track + start + torch.arange(frames)).flatten())


def babble(frames: int, generator: Generator) -> MouthTargets:
    """A mouth that moves as if it talked, with pauses, where nobody will hear what."""
    voiced = (0.7 + 1.5 * wander(frames, 0.8, generator)).clamp(0, 1)
    return MouthTargets(
        opening=((0.35 + 0.35 * wander(frames, 0.1, generator)) * voiced).clamp(0, 1),
        width=(0.6 * wander(frames, 0.15, generator) * voiced).clamp(-1, 1),
        rounding=(0.5 * wander(frames, 0.15, generator) * voiced).clamp(0, 1),
        teeth=((0.3 + 0.3 * wander(frames, 0.12, generator)) * voiced).clamp(0, 1),
    )


@torch.no_grad()
def draw_clips(
    people: People,
    moves: Moves,
    number: int,
    frames: int,
    side: int,
    picture: Tensor,
    generator: Generator,
    choice: int = 4,
) -> Tensor:
    """[n f 3 side side] in 0..1, on the people's device: squares of pictures of `picture` [n] pixels a side.

    Of every `choice` squares the one is drawn that has most to see in it: much of a large portrait is plain. Two of
    three lie around the face as it is in the first frame, the others anywhere in the picture.
    """
    rows = torch.arange(number * choice)
    who, held = people.some(number, generator), moves.some(number, frames, generator).to(people.device)
    one = (rows // choice).to(people.device)
    persons, first = who.rows(one), held.rows(one * frames)
    half = (side / picture.clamp_min(side))[:, None].to(people.device)[one]
    faces = face_box(persons, first)
    away = (2 * torch.rand(len(rows), 2, generator=generator) - 1).to(people.device)
    near = (faces[:, :2] + faces[:, 2:]) / 2 + away * (faces[:, 2:] - faces[:, :2]) / 2
    anywhere = (torch.rand(len(rows), 1, generator=generator) < 1 / 3).to(people.device)
    middle = torch.where(anywhere, away, near).clamp(half - 1, 1 - half)
    crops = torch.cat([middle - half, middle + half], dim=1)
    seen = people.drawn(persons, first, GLANCE, crops).picture
    detail = (seen - F.avg_pool2d(seen, 3, stride=1, padding=1)).abs()[..., 1:-1, 1:-1].sqrt().mean((1, 2, 3))
    best = detail.view(number, choice).argmax(1) + torch.arange(number, device=people.device) * choice
    return _drawn(people, who, held, crops[best], side)


def _drawn(people: People, who: Identity, held: Pose, crops: Tensor, side: int) -> Tensor:
    frames = len(held) // len(who)
    rows = torch.arange(len(held), device=people.device)
    size = max(1, AT_ONCE // side**2) if people.device.type == "cpu" else len(rows)
    drawn = [
        people.drawn(who.rows(part // frames), held.rows(part), side, crops[part // frames]).picture
        for part in rows.split(size)
    ]
    return torch.cat(drawn).unflatten(0, (len(who), frames))
