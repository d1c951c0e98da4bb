"""A film in scenes as a list of pieces: which of its GOPs are shown of which scene.

Example: of a film of 60 GOPs in one scene, GOPs 20 to 29 are taken anew. The film is then GOPs 0 to 19 of scene 0, the
retake, which is scene 1, and GOPs 30 to 59 of scene 0: `pieces([[(0, 20), (30, 60)], [(20, 30)]])`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Interval = tuple[int, int]  # [first, stop) of GOPs


@dataclass(frozen=True, order=True)
class Piece:
    """GOPs [first, stop) of a film, shown of the scene at that place in the list of its scenes."""

    first: int
    stop: int
    scene: int


def pieces(shown: Iterable[Sequence[Interval]]) -> list[Piece]:
    """In the film's order. `shown`: what the film shows of each scene, in GOPs of the film."""
    return sorted(Piece(first, stop, scene) for scene, parts in enumerate(shown) for first, stop in parts)


def without(whole: Interval, taken: Iterable[Interval]) -> tuple[Interval, ...]:
    """What is left of an interval without others, which do not overlap."""
    found, (first, stop) = list[Interval](), whole
    for start, end in sorted(taken):
        if start < stop and end > first:
            if start > first:
                found.append((first, start))
            first = max(first, end)
    return (*found, (first, stop)) if first < stop else tuple(found)


def count_shown(shown: Sequence[Interval], upto: int) -> int:
    """How many of GOPs [0, upto) are shown."""
    return sum(max(0, min(stop, upto) - first) for first, stop in shown)
