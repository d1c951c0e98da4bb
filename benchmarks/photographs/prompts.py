"""Does a prompt show in the face? Named by a classifier of MediaPipe's 478 points, which had no part in any training.

It is fitted on puppets of people of the train split, tried on puppets of the test split, and then asked about films of
family `photo` of these. What it is given of a face are its points less the portrait's own, after turn, size and place
are taken out, and the turn: means over some frames, so that what is said at the moment counts little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.photographs.speaking import film, shown
from models.data.portraits import Portrait
from models.data.puppet_takes import as_asked, square_around
from models.drawn.closures import spoken_targets
from models.drawn.expressions import EXPRESSIONS, HEAD_POSES, prompt
from models.drawn.motion import Direction, motion
from models.measures.face_view import chip, view
from models.measures.mesh import SKIN, Points, face_square, height_of
from models.measures.watching import Portrait as WatchedPortrait
from models.measures.watching import Sensors, read_face
from models.puppet.puppet import Puppet
from models.puppet.teeth import own_teeth, read_teeth
from models.puppet.track import track_of
from models.speech.spectrum import SAMPLES_A_FRAME

WISHES = (*EXPRESSIONS, *HEAD_POSES)
LENGTH, FIRST, EVERY = 80, 40, 5  # frames that are said; from where, and which, a face is read
STRAIGHT = 8  # degrees: portraits that look aside more are not asked to turn
SIDE = 512
FACETS = 40  # directions of points that a classifier looks along
RIDGE = 1e-2  # of their spread: how far it distrusts them


@dataclass(frozen=True)
class Reading:
    who: str
    wish: str
    features: NDArray[np.float64]  # [1407]
    distance: float
    """To the portrait, by dlib's network, the mean of what was read."""


@dataclass(frozen=True)
class Classifier:
    """Linear discriminants: the least distance to a wish's mean, where people's own differences count as one."""

    mean: NDArray[np.float64]
    facets: NDArray[np.float64]  # [1407 k]
    means: NDArray[np.float64]  # [wishes k]
    names: tuple[str, ...]

    def name(self, features: NDArray[np.float64]) -> str:
        at = (features - self.mean) @ self.facets
        return self.names[int(np.square(self.means - at).sum(1).argmin())]


def fitted(readings: list[Reading]) -> Classifier:
    """Raises ValueError where a wish was never read."""
    names = tuple(sorted({one.wish for one in readings}))
    if set(names) != set(WISHES):
        raise ValueError(f"readings of {names}: expected all of {WISHES}")
    rows, kinds = np.stack([one.features for one in readings]), np.array([names.index(one.wish) for one in readings])
    mean = rows.mean(0)
    _, _, directions = np.linalg.svd(rows - mean, full_matrices=False)
    facets = directions[:FACETS].T
    seen = (rows - mean) @ facets
    means = np.stack([seen[kinds == kind].mean(0) for kind in range(len(names))])
    within = seen - means[kinds]
    spread = within.T @ within / len(within)
    spread += RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    values, vectors = np.linalg.eigh(spread)
    whitened = vectors / np.sqrt(values)
    return Classifier(mean, facets @ whitened, means @ whitened, names)


def of_puppets(people: Iterable[Portrait], speech: Tensor, sensors: Sensors) -> Iterator[Reading]:
    """Every wish that each of them can be asked for, by a puppet."""
    rows = read_teeth()
    for number, one in enumerate(people):
        found = square_around(one, Random(number), SIDE)
        if found is None:
            continue
        picture, landmarks = found
        portrait = read_face(picture, sensors)
        if portrait is None:
            continue
        puppet = Puppet(picture, landmarks, own_teeth(picture, landmarks, rows[number % len(rows)]))
        for wish in _asked_of(one):
            targets = spoken_targets(_part(speech, number))
            direction = _direction(wish)
            moving = as_asked(track_of(motion(number, targets, (direction,), composed=True)), direction)
            frames = (frame.picture for frame in puppet.frames(moving.rows(slice(FIRST, LENGTH, EVERY))))
            reading = _read(one.name, wish, frames, portrait, sensors)
            if reading is not None:
                yield reading


def of_films(people: Iterable[Portrait], speech: Tensor, weights: str, sensors: Sensors) -> Iterator[Reading]:
    """The same by family `photo`, in words that training never used."""
    for number, one in enumerate(people):
        found = square_around(one, Random(number), SIDE)
        portrait = None if found is None else read_face(found[0], sensors)
        if found is None or portrait is None:
            continue
        for wish in _asked_of(one):
            expression = None if wish in HEAD_POSES else wish
            text = prompt(number, expression, wish if wish in HEAD_POSES else None, held_out=True)
            places = range(FIRST, LENGTH, EVERY)
            planes, _ = film(found[0], _part(speech, number), weights, SIDE, text, places)
            reading = _read(one.name, wish, map(shown, planes), portrait, sensors)
            if reading is not None:
                yield reading


def kept(path: Path | None, make: Callable[[], Iterable[Reading]]) -> list[Reading]:
    """What a file holds of an earlier run; else what is made now, kept in it."""
    if path is not None and path.exists():
        with np.load(path) as file:
            columns = [file[name] for name in ("who", "wish", "features", "distance")]
        return [Reading(str(a), str(b), c, float(d)) for a, b, c, d in zip(*columns, strict=True)]
    made = list(make())
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            who=[one.who for one in made],
            wish=[one.wish for one in made],
            features=np.stack([one.features for one in made]),
            distance=[one.distance for one in made],
        )
    return made


def figures(known: list[Reading], puppets: list[Reading], films: list[Reading]) -> dict[str, Any]:
    classifier = fitted(known)
    found: dict[str, Any] = {"fitted_on": len({one.who for one in known})}
    for name, readings in (("puppets", puppets), ("films", films)):
        right = [classifier.name(one.features) == one.wish for one in readings]
        found[name] = {
            "people": len({one.who for one in readings}),
            "named": sum(right) / len(right),
            "distance_worst": max(one.distance for one in readings),
            "distance_median": float(np.median([one.distance for one in readings])),
            "by_wish": {
                wish: {
                    "named": f"{sum(r for r, one in zip(right, readings, strict=True) if one.wish == wish)} of "
                    f"{sum(one.wish == wish for one in readings)}",
                    "taken_for": sorted({classifier.name(one.features) for one in readings if one.wish == wish}),
                    "distance_worst": max((one.distance for one in readings if one.wish == wish), default=None),
                }
                for wish in WISHES
            },
        }
    return found


def _asked_of(one: Portrait) -> tuple[str, ...]:
    return WISHES if abs(one.yaw) < STRAIGHT else tuple(EXPRESSIONS)


def _direction(wish: str) -> Direction:
    return Direction(0, "neutral", 1.0, wish) if wish in HEAD_POSES else Direction(0, wish, 1.0)


def _part(speech: Tensor, number: int) -> Tensor:
    """LENGTH frames of speech [s], from a place of its own for every person."""
    wanted = LENGTH * SAMPLES_A_FRAME
    start = (number * 17 * SAMPLES_A_FRAME) % max(1, len(speech) - wanted)
    return speech[start : start + wanted]


def _read(
    who: str, wish: str, frames: Iterator[NDArray[np.uint8]], portrait: WatchedPortrait, sensors: Sensors
) -> Reading | None:
    square, features, distances = None, [], []
    for frame in frames:
        if square is None:
            points = sensors.still(frame)
            if points is None:
                continue
            square = face_square(points)
        cut = view(frame, square)
        points = sensors.still(cut)
        if points is None:
            continue
        features.append(features_of(points, portrait.points))
        distances.append(float(np.linalg.norm(sensors.describe(chip(cut, points)) - portrait.face)))
    if not features:
        return None
    return Reading(who, wish, np.mean(features, 0), float(np.mean(distances)))


def features_of(points: Points, own: Points) -> NDArray[np.float64]:
    """Landmarks [478 3] less the portrait's `own`, turn, size and place taken out, in face heights; then the turn's
    three angles' sines, ten times. [3 * 468 + 3]."""
    face, rest = points[:SKIN], own[:SKIN]
    face, rest = face - face.mean(0), (rest - rest.mean(0)) / height_of(own)
    left, values, right = np.linalg.svd(face.T @ rest)
    flip = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
    turn = left @ flip @ right
    scale = (values * np.diag(flip)).sum() / np.square(face).sum()
    away = face @ turn * scale - rest
    angles = np.array([turn[0, 2], turn[1, 2], turn[0, 1]])
    return np.concatenate([away.ravel(), angles * 10])
