"""What the faces of a film say together: lips against the sound, lids, head, likeness, sharpness, swimming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.measures.mesh import RIGID
from models.measures.watching import SeenFace, Watched

Numbers = NDArray[np.float64]

ASKED = 25  # a second, that the sound asks something
LAGS = 4  # frames to each side that are tried
ENDS = 5  # frames at both ends that do not count, so that a shift brings nothing around
QUIET = 0.1  # of what the sound asks, below which lips should rest
OPEN = 70  # percentile of the opening from which a mouth counts as open
SMOOTH = 5  # frames over which bone moves smoothly
SHUT = 0.6  # of how far lids mostly are open, below which eyes are shut
LONGEST_BLINK = 0.5  # seconds
SYNC_AROUND = 2.0  # seconds to both sides of a moment that its correlation is of
LIPS_AND_SOUND = (
    "lips_r", "lips_lag_frames", "lips_r_at_lag", "lips_r_shuffled", "lips_r_loudness", "lips_open_in_quiet",
)  # fmt: skip
MINUTE, LEAST_MINUTE = 60.0, 20.0  # seconds


@dataclass(frozen=True)
class FacesCourse:
    """Of a film of f frames. Where nobody was found, the frame before stands."""

    times: Numbers  # seconds [f]
    found: NDArray[np.bool_]  # [f]
    opening: Numbers  # [f]
    lids: Numbers  # [f]
    gaze: Numbers  # [f 2]
    place: Numbers  # [f 2]
    rigid: Numbers  # [f 6 2]
    sharpness: Numbers  # [f], against the portrait's if there is one; nan where nobody was found
    mouth_detail: Numbers  # [f]; nan where nobody was found
    distance: Numbers  # [f]; nan where it was not measured
    asked: Numbers | None = None  # what the sound asks of the mouth [f], 0..1
    loud: Numbers | None = None  # the same by its loudness alone
    first_face_db: float | None = None
    to_portrait: bool = False

    @property
    def rate(self) -> float:
        """Frames a second."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0]) if len(self.times) > 1 else 25.0

    def part(self, rows: slice) -> FacesCourse:
        cut: dict[str, Any] = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return replace(self, **cut)


def course_of(watched: Watched, asked: Numbers | None = None, loud: Numbers | None = None) -> FacesCourse:
    """`asked`: what the sound asks of the mouth, 25 a second from the first frame on, and the same by its loudness
    alone; silence where they end."""
    rest: dict[str, Any] = {"opening": 0.0, "lids": 0.0, "gaze": (0.0, 0.0), "place": (0.0, 0.0)}
    held = _held(watched.seen)

    def series(value: Callable[[SeenFace], Any], otherwise: Any) -> Numbers:
        return np.array([otherwise if one is None else value(one) for one in held], np.float64)

    def where_found(value: Callable[[SeenFace], float | None]) -> Numbers:
        return np.array([np.nan if one is None else value(one) for one in watched.seen], np.float64)

    times = np.array(watched.times)
    numbers = {name: series(lambda one, name=name: getattr(one.numbers, name), zero) for name, zero in rest.items()}  # type: ignore[misc]
    return FacesCourse(
        times=times,
        found=np.array([one is not None for one in watched.seen]),
        **numbers,
        rigid=series(lambda one: one.numbers.rigid, np.zeros((len(RIGID), 2))),
        sharpness=where_found(lambda one: one.sharpness) / (watched.portrait_sharpness or 1.0),
        mouth_detail=where_found(lambda one: one.mouth_detail),
        distance=where_found(lambda one: one.distance),
        asked=_at(times, asked),
        loud=_at(times, loud),
        first_face_db=watched.first_face_db,
        to_portrait=watched.portrait_sharpness is not None,
    )


def summary(course: FacesCourse) -> dict[str, float | int | None]:
    """The film in one line of numbers; None where it is too short, or without what it takes to say."""
    return {
        "frames_without_a_face": int((~course.found).sum()),
        **_of_the_lips(course),
        "lids_least": _rounded(float(course.lids[course.found].min()) if course.found.any() else None),
        "lid_blinks_per_minute": _rounded(blinks(course.lids, course.rate), 1),
        "gaze_spread": _rounded(float(course.gaze.std(0).sum())),
        "face_spread": _rounded(float(course.place.std(0).sum())),
        "swim": _rounded(swim(course.rigid), 5),
        "face_sharpness": _rounded(_median(course.sharpness)) if course.to_portrait else None,
        "mouth_detail": _rounded(open_mouth_detail(course), 3),
        "first_face_db": _rounded(course.first_face_db, 2),
        "likeness_distance": _rounded(_median(course.distance)),
        "likeness_distance_95": _rounded(_percentile(course.distance, 95)),
    }


def per_minute(course: FacesCourse) -> list[dict[str, float | int | None]]:
    """The same minute by minute; a rest of less than 20 s belongs to the minute before."""
    length = round(MINUTE * course.rate)
    starts = list(range(0, len(course.times), length))
    if len(starts) > 1 and len(course.times) - starts[-1] < LEAST_MINUTE * course.rate:
        starts.pop()
    minutes = []
    for start, stop in zip(starts, [*starts[1:], len(course.times)], strict=True):
        found = summary(course.part(slice(start, stop)))
        minutes.append({"start": round(float(course.times[start]))} | found)
        del minutes[-1]["first_face_db"]
    return minutes


def per_second(course: FacesCourse) -> dict[str, list[float | None]]:
    """Curves, one value a second."""
    wander = np.abs(course.rigid - _smoothed(course.rigid)).mean((1, 2))
    moved = np.linalg.norm(course.place - course.place[0], axis=1)
    curves = {
        "lips": course.opening,
        "lids": course.lids,
        "gaze": np.linalg.norm(course.gaze - np.median(course.gaze, 0), axis=1),
        "head": moved,
        "swim": wander,
        "mouth_detail": course.mouth_detail,
        "face_sharpness": course.sharpness,
        "likeness_distance": course.distance,
        "without_a_face": (~course.found).astype(np.float64),
    }
    rows = _seconds(course)
    told = {name: [_rounded(_mean(values[row]), 5) for row in rows] for name, values in curves.items()}
    if course.asked is not None:
        around = [_around(course, row) for row in rows]
        told["lips_sync"] = [_rounded(correlation(course.asked[row], course.opening[row])) for row in around]
    return {name: values for name, values in told.items() if any(value is not None for value in values)}


def correlation(one: Numbers, other: Numbers) -> float:
    """Pearson's r; 0 where either does not change."""
    if len(one) < 2 or one.std() <= 1e-9 or other.std() <= 1e-9:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def lagged(asked: Numbers, seen: Numbers) -> dict[int, float]:
    """r by frames that the mouth is late."""
    inner = slice(ENDS, len(seen) - ENDS)
    return {lag: correlation(np.roll(asked, lag)[inner], seen[inner]) for lag in range(-LAGS, LAGS + 1)}


def blinks(lids: Numbers, rate: float) -> float | None:
    """A minute: short falls of the lids."""
    if len(lids) < 4 * rate:
        return None
    shut, count, run = lids < SHUT * np.median(lids), 0, 0
    for closed in [*shut, False]:
        if not closed and 0 < run <= LONGEST_BLINK * rate:
            count += 1
        run = run + 1 if closed else 0
    return count * 60 * rate / len(lids)


def swim(rigid: Numbers) -> float:
    """How far points of bone [f n 2] wander about their own smooth path."""
    return float((rigid - _smoothed(rigid)).std())


def open_mouth_detail(course: FacesCourse) -> float | None:
    """Median of the frames whose mouth is open."""
    opening, detail = course.opening[course.found], course.mouth_detail[course.found]
    return float(np.median(detail[opening >= np.percentile(opening, OPEN)])) if len(opening) else None


def _of_the_lips(course: FacesCourse) -> dict[str, float | int | None]:
    seen, asked = course.opening, course.asked
    reach = float(np.percentile(seen, 95) - np.percentile(seen, 5))
    if asked is None or len(seen) < 4 * ENDS:
        return dict.fromkeys(LIPS_AND_SOUND) | {"lips_reach": _rounded(reach)}
    tried, quiet = lagged(asked, seen), asked < QUIET
    lag = max(tried, key=lambda one: tried[one])
    inner = slice(ENDS, len(seen) - ENDS)
    return {
        "lips_r": _rounded(tried[0]),
        "lips_lag_frames": lag,
        "lips_r_at_lag": _rounded(tried[lag]),
        "lips_r_shuffled": _rounded(correlation(np.roll(asked, len(seen) // 2)[inner], seen[inner])),
        "lips_r_loudness": None if course.loud is None else _rounded(lagged(course.loud, seen)[0]),
        "lips_reach": _rounded(reach),
        "lips_open_in_quiet": _rounded(float(seen[quiet].mean()) if quiet.any() else None),
    }


def _at(times: Numbers, asked: Numbers | None) -> Numbers | None:
    return None if asked is None else np.interp(times, np.arange(len(asked)) / ASKED, asked, right=0.0)


def _held(seen: list[SeenFace | None]) -> list[SeenFace | None]:
    held: list[SeenFace | None] = []
    for one in seen:
        held.append(one if one is not None or not held else held[-1])
    return held


def _smoothed(rigid: Numbers) -> Numbers:
    reach = SMOOTH // 2
    padded = np.pad(rigid, ((reach, reach), *[(0, 0)] * (rigid.ndim - 1)), "edge")
    return np.mean([padded[shift : shift + len(rigid)] for shift in range(SMOOTH)], axis=0)


def _seconds(course: FacesCourse) -> list[slice]:
    """Frames of every second that has any."""
    whole = np.floor(course.times - course.times[0] + 1e-6).astype(int)
    borders = np.searchsorted(whole, np.arange(whole[-1] + 2))
    return [slice(int(a), int(b)) for a, b in pairwise(borders)]


def _around(course: FacesCourse, row: slice) -> slice:
    more = round(SYNC_AROUND * course.rate)
    return slice(max(row.start - more, 0), row.stop + more)


def _mean(values: Numbers) -> float | None:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else None


def _median(values: Numbers) -> float | None:
    return _percentile(values, 50)


def _percentile(values: Numbers, share: float) -> float | None:
    there = values[np.isfinite(values)]
    return float(np.percentile(there, share)) if len(there) else None


def _rounded(value: float | None, places: int = 4) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), places)
