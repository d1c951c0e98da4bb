"""A film of one face, watched by networks that had no part in it: a few numbers a frame, memory for one picture.

Portrait and film are each cut to a square of twice the face's height around the face, the film's by the first frame
that shows one and fixed from then on, so that films may be square, tall or wide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from models.measures.face_view import Picture, chip, decibels_to, mouth_detail, sharpness, view
from models.measures.mesh import FaceNumbers, Points, face_numbers, face_square

WHOLE = 1024  # the longer side, as a whole picture is looked at
TILES = (0.75, 0.5, 0.35)  # of the longer side: where a face is too small in the whole
EVERY = 5  # frames between those that are compared with the portrait by the face network
LOOKED_FOR = 25  # frames between those that are searched in tiles, until there is a face


class Sensors(Protocol):
    def still(self, picture: Picture) -> Points | None:
        """Landmarks of a face in a picture by itself."""

    def restart(self) -> None:
        """A film begins."""

    def follow(self, picture: Picture) -> Points | None:
        """Landmarks of a face in a film's next picture."""

    def describe(self, face: Picture) -> Points:
        """What tells people apart [128]: 0.6 apart are mostly two."""


@dataclass(frozen=True)
class Portrait:
    view: Picture
    points: Points
    sharpness: float
    face: Points  # [128]


@dataclass(frozen=True)
class SeenFace:
    """Of one frame with a face."""

    numbers: FaceNumbers
    sharpness: float
    mouth_detail: float
    distance: float | None
    """To the portrait by the face network, in every EVERY-th frame."""


@dataclass
class Watched:
    """Of a film of f frames. None where nobody was found."""

    times: list[float] = field(default_factory=list)  # seconds [f]
    seen: list[SeenFace | None] = field(default_factory=list)  # [f]
    portrait_sharpness: float | None = None
    first_face_db: float | None = None


def read_face(picture: Picture, sensors: Sensors) -> Portrait | None:
    """A portrait; None where nobody is in it."""
    found = find_face(picture, sensors)
    if found is None:
        return None
    cut = view(picture, face_square(found))
    points = sensors.still(cut)
    if points is None:
        return None
    return Portrait(cut, points, sharpness(cut, points), sensors.describe(chip(cut, points)))


def find_face(picture: Picture, sensors: Sensors, *, in_tiles: bool = True) -> Points | None:
    """Landmarks [478 2] in the whole picture; in tiles of it where the face is small."""
    scale = WHOLE / max(picture.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    points = sensors.still(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how))  # type: ignore[arg-type]
    if points is not None:
        return points[:, :2] / scale
    for x, y, side in tiles(*picture.shape[:2]) if in_tiles else ():
        points = sensors.still(np.ascontiguousarray(picture[y : y + side, x : x + side]))
        if points is not None:
            return points[:, :2] + [x, y]
    return None


def tiles(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """x, y, side of squares that overlap by half, large ones first."""
    for share in TILES:
        side = int(share * max(height, width))
        step = max(1, side // 2)
        for y in range(0, max(1, height - step), step):
            for x in range(0, max(1, width - step), step):
                yield x, y, side


def watch(
    path: Path,
    portrait: Portrait | None,
    sensors: Sensors,
    alive: Callable[[int], None] = lambda frame: None,
    keep: Callable[[Points | None], None] = lambda points: None,
) -> Watched:
    """`keep` is given the landmarks of every frame [478 3], in pixels of the view. Raises ValueError for a file
    without pictures."""
    watched = Watched(portrait_sharpness=portrait.sharpness if portrait else None)
    square: tuple[float, float, float] | None = None
    sensors.restart()
    for time, picture in pictures(path):
        watched.times.append(time)
        frame = len(watched.times) - 1
        points = None
        if square is None:
            found = find_face(picture, sensors, in_tiles=frame % LOOKED_FOR == 0)
            square = None if found is None else face_square(found)
        if square is not None:
            cut = view(picture, square)
            points = sensors.follow(cut)
        if points is None:
            watched.seen.append(None)
        else:
            watched.seen.append(_seen(cut, points, portrait, sensors, frame % EVERY == 0))
            if portrait and watched.first_face_db is None:
                watched.first_face_db = decibels_to(portrait.view, portrait.points, cut, points)
        keep(points)
        alive(frame + 1)
    if not watched.times:
        raise ValueError(f"{path} holds no pictures")
    return watched


def _seen(cut: Picture, points: Points, portrait: Portrait | None, sensors: Sensors, compared: bool) -> SeenFace:
    distance = None
    if portrait and compared:
        distance = float(np.linalg.norm(sensors.describe(chip(cut, points)) - portrait.face))
    return SeenFace(face_numbers(points), sharpness(cut, points), mouth_detail(cut, points), distance)


def pictures(path: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Every frame, upright, with its time in seconds from the first."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no pictures")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first: float | None = None
        for number, frame in enumerate(container.decode(stream)):
            time = frame.time if frame.time is not None else number / float(stream.average_rate or 25)
            first = time if first is None else first
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            yield time - first, np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90) % 4))
