"""What a title's frames say together: is the mouth in time, does the face stay itself, do clips join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.measures.picture import Seen

RATE = 25
LAGS = 15  # frames to each side that are tried
MOMENT = 10 * RATE  # the first and the last ten seconds are compared
SILENT = 8  # frames without speech that count as silence
STILL = 2e-4  # mean change of a face below which two frames are the same
SHUT = 0.5  # of the way from what eyes mostly show to the least they show
LONGEST_BLINK = 12

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """Of a title of f frames."""

    seen: Sequence[Seen]
    target: Numbers
    """What the sound asks of the mouth [f], 0..1."""
    clip: int = 16


def summary(course: Course) -> dict[str, float | int | None]:
    """The title in one line of numbers; None where it is too short or too still to say."""
    mouth = np.array([one.mouth for one in course.seen])
    target = course.target
    r, lag = best_lag(mouth, target)
    likeness = likeness_over_time(course)
    return {
        "mouth_r": _rounded(r),
        "mouth_lag_frames": lag,
        "mouth_r_shuffled": _rounded(shuffled(mouth, target)),
        "mouth_in_silence": _rounded(movement_in_silence(mouth, target)),
        "identity_drift": _rounded(identity_drift(likeness)),
        "sharpness_ratio": _rounded(_ends_ratio(np.array([one.sharpness for one in course.seen]))),
        "grain_ratio": _rounded(_ends_ratio(np.array([one.grain for one in course.seen]))),
        "colour_shift": _rounded(colour_shift(course)),
        "border_ratio": _rounded(border_ratio(course)),
        "flicker": _rounded(float(np.mean([one.flicker for one in course.seen[1:]])) if len(course.seen) > 1 else None),
        "motion_energy": _rounded(
            float(np.mean([one.change for one in course.seen[1:]])) if len(course.seen) > 1 else None
        ),
        "head_spread": _rounded(float(np.array([one.place for one in course.seen]).std(0).sum())),
        "blinks_per_minute": _rounded(blinks(np.array([one.eyes for one in course.seen]))),
        "longest_still_seconds": _rounded(longest_still(course)),
    }


def per_minute(course: Course) -> list[dict[str, float | int | None]]:
    """Mouth against sound, minute by minute; a rest of less than 20 s belongs to the minute before."""
    mouth = np.array([one.mouth for one in course.seen])
    length, found = 60 * RATE, []
    starts = list(range(0, len(mouth), length))
    if len(starts) > 1 and len(mouth) - starts[-1] < 20 * RATE:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], len(mouth)], strict=True):
        r, lag = best_lag(mouth[start:stop], course.target[start:stop])
        found.append({"start": start // RATE, "mouth_r": _rounded(r), "mouth_lag_frames": lag})
    return found


def per_second(course: Course) -> dict[str, list[float | None]]:
    """Curves, one value a second."""
    seen = course.seen
    curves = {
        "mouth": [one.mouth for one in seen],
        "sharpness": [one.sharpness for one in seen],
        "grain": [one.grain for one in seen],
        "flicker": [one.flicker for one in seen],
        "motion": [one.change for one in seen],
        "red": [one.colour[0] for one in seen],
        "green": [one.colour[1] for one in seen],
        "blue": [one.colour[2] for one in seen],
    }
    curves_by_second = {
        name: [_rounded(float(np.mean(values[at : at + RATE])), 6) for at in range(0, len(values), RATE)]
        for name, values in curves.items()
    }
    synced: list[float | None] = []
    mouth = np.array(curves["mouth"])
    for at in range(0, len(mouth), RATE):
        around = slice(max(at - 2 * RATE, 0), at + 3 * RATE)
        synced.append(_rounded(correlation(mouth[around], course.target[around])))
    identity = [_rounded(float(value)) for value in likeness_over_time(course)]
    return {"mouth_sync": synced, "identity": identity} | curves_by_second


def correlation(one: Numbers, other: Numbers) -> float | None:
    """Pearson's r; None where either hardly changes."""
    if len(one) < 8 or one.std() < 1e-6 or other.std() < 1e-3:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def best_lag(mouth: Numbers, target: Numbers) -> tuple[float | None, int | None]:
    """r at lag 0, and the lag at which r is highest: positive where the mouth is late."""
    at_zero = correlation(mouth, target)
    if at_zero is None or len(mouth) < 4 * LAGS:
        return at_zero, None
    tried = {
        lag: correlation(mouth[max(lag, 0) : len(mouth) + min(lag, 0)], target[max(-lag, 0) : len(mouth) - max(lag, 0)])
        for lag in range(-LAGS, LAGS + 1)
    }
    return at_zero, max(tried, key=lambda lag: (tried[lag] or -1.0, -abs(lag)))


def shuffled(mouth: Numbers, target: Numbers) -> float | None:
    """r with the sound of another moment: the mean over seven shifts. A mouth that only chatters scores here too."""
    found = [correlation(mouth, np.roll(target, len(target) * part // 8)) for part in range(1, 8)]
    numbers = [value for value in found if value is not None]
    return float(np.mean(numbers)) if numbers and len(mouth) >= 4 * RATE else None


def movement_in_silence(mouth: Numbers, target: Numbers) -> float | None:
    """How much the mouth moves where nothing is said, over how much it moves in speech."""
    step, quiet = np.abs(np.diff(mouth)), np.zeros(len(mouth), bool)
    start = None
    for frame, silent in enumerate([*(target < 0.02), False]):
        if silent and start is None:
            start = frame
        elif not silent and start is not None:
            if frame - start >= SILENT:
                quiet[start + 3 : frame - 1] = True  # lips need a moment to close
            start = None
    silence, speech = step[quiet[1:]], step[target[1:] > 0.1]
    if len(silence) < SILENT or len(speech) < SILENT or speech.mean() == 0:
        return None
    return float(silence.mean() / speech.mean())


def likeness_over_time(course: Course) -> Numbers:
    """How like the first ten seconds' mean face every second is [seconds]: 1 the same, 0 nothing in common."""
    faces = np.array([one.likeness for one in course.seen], np.float64)
    first = faces[: min(MOMENT, max(1, len(faces) // 3))].mean(0)
    first /= max(float(np.linalg.norm(first)), 1e-6)
    seconds = [faces[at : at + RATE].mean(0) for at in range(0, len(faces), RATE)]
    return np.array([face @ first / max(float(np.linalg.norm(face)), 1e-6) for face in seconds])


def identity_drift(likeness: Numbers) -> float | None:
    """How much less like itself the face is in the last ten seconds than in the first: 0 as at the beginning.

    `likeness`: one value a second.
    """
    part = min(MOMENT // RATE, len(likeness) // 3)
    return float(likeness[:part].mean() - likeness[-part:].mean()) if part else None


def colour_shift(course: Course) -> float | None:
    """Largest change of the face's mean colour from the first to the last ten seconds, 0..1."""
    colours = np.array([one.colour for one in course.seen])
    part = _part(len(colours))
    return float(np.abs(colours[-part:].mean(0) - colours[:part].mean(0)).max()) if part else None


def border_ratio(course: Course) -> float | None:
    """Mean change of the face where one clip ends and the next begins, over that inside clips."""
    change = np.array([one.change for one in course.seen])
    frames = np.arange(len(change))
    border = (frames % course.clip == 0) & (frames > 0)
    inside = (frames % course.clip != 0) & (frames > 0)
    if not border.any() or not inside.any() or change[inside].mean() == 0:
        return None
    return float(change[border].mean() / change[inside].mean())


def blinks(eyes: Numbers) -> float | None:
    """A minute: short falls of what is dark around the eyes."""
    if len(eyes) < 4 * RATE:
        return None
    usual, least = float(np.median(eyes)), float(np.percentile(eyes, 0.5))
    if usual - least < 0.15 * usual:
        return 0.0
    shut, count, run = eyes < usual - SHUT * (usual - least), 0, 0
    for closed in [*shut, False]:
        if not closed and 1 <= run <= LONGEST_BLINK:
            count += 1
        run = run + 1 if closed else 0
    return count * 60 * RATE / len(eyes)


def longest_still(course: Course) -> float:
    """Seconds of the longest stretch of frames that are nearly the same."""
    longest = run = 0
    for one in course.seen[1:]:
        run = run + 1 if one.change < STILL else 0
        longest = max(longest, run)
    return longest / RATE


def _part(length: int) -> int:
    """Entries that count as a title's beginning, and as its end."""
    return min(MOMENT, length // 3)


def _ends_ratio(values: Numbers) -> float | None:
    """Mean of the end over that of the beginning; of values a frame, or, if short, of any."""
    part = max(1, _part(len(values))) if len(values) else 0
    beginning = float(values[:part].mean()) if part else 0.0
    return float(values[-part:].mean()) / beginning if beginning else None


def _rounded(value: float | None, places: int = 4) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), places)
