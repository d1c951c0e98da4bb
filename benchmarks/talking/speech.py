"""Does the mouth follow speech that training never heard, on a face that it never saw?"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.talking.figures import Figure
from benchmarks.talking.titles import Asked, Title, render, shuffled, sitter, spoken
from benchmarks.talking.watched import Film, drawn, opening
from models.data.speech import Corpus
from models.measures import course as measures

SEEN_AT = 512  # resolution of the controls: all is measured at 256 pixels


def speech(asked: Asked, person: int, seconds: float, corpus: Corpus | None) -> list[Figure]:
    who = sitter(person)
    said = spoken(round(seconds * 25), corpus)
    other, silence = shuffled(said), torch.zeros_like(said)
    small = min(SEEN_AT, asked.resolution)
    titles = [
        Title("speech", who, said),
        Title("shuffled", who, other, resolution=small),
        Title("silenced", who, silence, resolution=small),
    ]
    made = render(titles, asked)
    target = opening(said)
    seen = {name: Film(path, who).course(target) for name, path in made.items()}
    mouths = {name: np.array([one.mouth for one in course.seen]) for name, course in seen.items()}
    target = seen["speech"].target
    r, lag = measures.best_lag(mouths["speech"], target)
    truth = drawn(who, said)
    best, best_lag = measures.best_lag(np.array([one.mouth for one in truth.seen]), truth.target)
    moved = {name: float(np.abs(np.diff(mouth)).mean()) for name, mouth in mouths.items()}
    still = moved["silenced"] / max(moved["speech"], 1e-9)
    return [
        Figure("mouth against the target of its sound, r", r, low=0.8),
        Figure("  best at a lag of frames (late is positive)", lag, -1, 1),
        Figure("control: a film of shuffled sound, r", _or_zero(mouths["shuffled"], target), high=0.2),
        Figure("control: a film of silence, r", _or_zero(mouths["silenced"], target), high=0.2),
        Figure("control: the same film, sound of other moments, r", measures.shuffled(mouths["speech"], target)),
        Figure("upper bound: the renderer's own film, r", best),
        Figure("  best at a lag of frames", best_lag),
        Figure("motion in pauses, of that in speech", measures.movement_in_silence(mouths["speech"], target)),
        Figure("motion in a film of silence, of that in speech", still, high=0.2),
        Figure("how far the mouth moves, of the renderer's", mouths["speech"].std() / _spread(truth)),
    ]  # fmt: skip


def _or_zero(mouth: np.ndarray, target: np.ndarray) -> float:
    """r; a mouth that does not move at all follows nothing."""
    return measures.correlation(mouth, target) or 0.0


def _spread(course: measures.Course) -> float:
    return max(float(np.std([one.mouth for one in course.seen])), 1e-9)
