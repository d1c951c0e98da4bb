"""Is a face still itself after minutes, and as lively as those that it learned from?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.talking.figures import Figure
from benchmarks.talking.titles import Asked, Title, render, sitter, spoken
from benchmarks.talking.watched import Film, drawn, part
from models.data.speech import Corpus
from models.measures import course as measures
from models.measures.course import MOMENT, RATE, Course
from models.measures.face_reader import load_face_reader

LIVELY = (0.5, 2.0)  # of the renderer's truth


def minutes(
    asked: Asked, person: int, length: float, corpus: Corpus | None, reader: Path | None, truth_seconds: float
) -> list[Figure]:
    who = sitter(person)
    frames = round(length * 60 * RATE)
    said = spoken(frames, corpus)
    film = Film(render([Title("minutes", who, said)], asked)["minutes"], who)
    seen = film.course(measures_of(said))
    whole = measures.summary(seen)
    moment = min(MOMENT, frames // 3)
    colours = np.array([one.colour for one in seen.seen])
    shift = np.abs(colours[-moment:].mean(0) / colours[:moment].mean(0) - 1).max()
    found = [
        Figure("identity lost at the end (by formula, of 1)", whole["identity_drift"], high=0.05),
        Figure("sharpness, end over beginning", whole["sharpness_ratio"], 0.95, 1.05),
        Figure("grain, end over beginning (speckle)", whole["grain_ratio"]),
        Figure("colour, largest change of a channel", float(shift), high=0.05),
        Figure("change at clip borders, of that inside", whole["border_ratio"], high=1.3),
        Figure("longest nearly identical stretch, s", whole["longest_still_seconds"], high=2),
        Figure("mouth against the target of its sound, r", whole["mouth_r"]),
    ]
    if reader is not None:
        found.insert(1, Figure("identity lost at the end (read)", _read_drift(film, reader, moment, frames), high=0.05))
    # A minute of the renderer's film is a fair sample of its motion; all four take as long as the title's rendering.
    true = drawn(who, said[: 640 * min(frames, round(truth_seconds * RATE))])
    parts = minute_by_minute(seen)
    found += [
        Figure("blinks a minute, the fewest", min(measures.blinks(_eyes(one)) or 0.0 for one in parts), low=5),
        Figure("  the renderer's", measures.blinks(_eyes(true))),
    ]
    for name, number in MOTIONS:
        values, wanted = [number(one) for one in parts], max(number(true), 1e-9)
        found.append(Figure(f"{name} over the renderer's, the least minute", min(values) / wanted, low=LIVELY[0]))
        found.append(Figure("  the most", max(values) / wanted, high=LIVELY[1]))
    return found


def measures_of(sound: torch.Tensor) -> np.ndarray:
    """The target, minute by minute as `evaluate` takes it: loudness counts within a minute."""
    from benchmarks.talking.watched import opening

    return np.concatenate([opening(piece) for piece in sound.split(60 * RATE * 640)])


def minute_by_minute(course: Course) -> list[Course]:
    """A rest of less than 20 s belongs to the minute before."""
    length = len(course.seen)
    starts = [start for start in range(0, length, 60 * RATE) if start == 0 or length - start >= 20 * RATE]
    return [part(course, start, stop) for start, stop in zip(starts, [*starts[1:], length], strict=True)]


def _eyes(course: Course) -> np.ndarray:
    return np.array([one.eyes for one in course.seen])


def _head(course: Course) -> float:
    return float(np.array([one.place for one in course.seen]).std(0).sum())


def _motion(course: Course) -> float:
    return float(np.mean([one.change for one in course.seen[1:]]))


MOTIONS: tuple[tuple[str, Callable[[Course], float]], ...] = (("head's spread", _head), ("motion", _motion))


def _read_drift(film: Film, reader: Path, moment: int, frames: int) -> float:
    """1 - cosine of the mean embeddings of the first and the last moment: eight pictures of each are read."""
    network = load_face_reader(reader)
    ends = []
    for start in (0, frames - moment):
        shown = film.frames(start, start + moment)[:: max(1, moment // 8)]
        ends.append(network(shown).embedding.mean(0))
    return 1 - float(torch.cosine_similarity(ends[0], ends[1], dim=0))
