"""Finished titles and drawn truth, looked at in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.talking.titles import SPLIT
from models.data.drawn_portrait import Portrait
from models.drawn.identity import identities
from models.drawn.motion import Direction, motion
from models.drawn.mouth import mouth_targets
from models.drawn.portrait_renderer import draw_at, grid, spread
from models.drawn.splits import split_of
from models.measures.course import Course
from models.measures.picture import Picture, Regions, Seen, look
from models.measures.video import SIDE, measure, pictures

GROUP = 6  # frames drawn at once


@dataclass(frozen=True)
class Film:
    """A finished title."""

    path: Path
    sitter: Portrait

    def course(self, target: np.ndarray) -> Course:
        """What is seen, beside what should be heard: a control may show another sound's mouth."""
        side = _width(self.path)
        seen = measure(self.path, regions(self.sitter).scaled(side / SIDE), (0, 0, side)).seen
        return Course(seen, fitted(target, len(seen)))

    def frames(self, start: int, stop: int) -> Tensor:
        """[n 3 256 256], 0..1."""
        shown = [
            torch.from_numpy(picture).permute(2, 0, 1)
            for number, picture in enumerate(pictures(self.path, 0, 0, _width(self.path)))
            if start <= number < stop
        ]
        return torch.stack(shown)


def regions(sitter: Portrait) -> Regions:
    """In pixels of a portrait SIDE pixels wide."""
    scale = SIDE / sitter.picture.shape[0]

    def corners(box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        x, y, width, height = box
        return x * scale, y * scale, (x + width) * scale, (y + height) * scale

    return Regions(corners(sitter.face_box), corners(sitter.lip_box))


def opening(sound: Tensor) -> np.ndarray:
    """What the sound asks of the mouth [f]."""
    return mouth_targets(sound).opening.double().numpy()


def fitted(target: np.ndarray, frames: int) -> np.ndarray:
    return np.concatenate([target[:frames], np.zeros(max(0, frames - len(target)))])


def drawn(sitter: Portrait, sound: Tensor, directions: tuple[Direction, ...] = (Direction(0),)) -> Course:
    """The renderer's own film of that person saying it: the truth that training shows, as good as it can be."""
    seen: list[Seen] = []
    before: Picture | None = None
    first: Picture | None = None
    for picture in drawn_frames(sitter, sound, directions):
        first = picture if first is None else first
        seen.append(look(picture, regions(sitter), before, first))
        before = picture
    return Course(seen, opening(sound))


@torch.no_grad()
def drawn_frames(
    sitter: Portrait, sound: Tensor, directions: tuple[Direction, ...], places: range | None = None
) -> Iterator[Picture]:
    """Frames float32 [256 256 3] at `places`, all if None."""
    assert split_of(sitter.seed) == SPLIT
    held = motion(sitter.seed, mouth_targets(sound), directions, composed=True)  # as the shipped weights learned it
    wanted = list(places if places is not None else range(len(held)))
    person = identities([sitter.seed])
    for start in range(0, len(wanted), GROUP):
        rows = held.rows(torch.tensor(wanted[start : start + GROUP]))
        x, y, pixel = grid(SIDE, len(rows), torch.device("cpu"))
        people = person.rows(torch.zeros(len(rows), dtype=torch.long))
        found = draw_at(x, y, pixel, spread(people), spread(rows)).picture
        yield from found.permute(0, 2, 3, 1).numpy()


def part(course: Course, start: int, stop: int) -> Course:
    return replace(course, seen=course.seen[start:stop], target=course.target[start:stop])


def _width(path: Path) -> float:
    import av

    with av.open(str(path)) as container:
        return float(container.streams.video[0].codec_context.width)
