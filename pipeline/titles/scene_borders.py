"""Where a title is parted into scenes: at borders of GOPs, where the speech is quietest near where one is wanted. Pure.

Example: with `scenes: 10` a scene ends 6 to 12 minutes after it began, at the border of a GOP around which least is
said. With `scenes: chapters` it ends within two GOPs of where a chapter begins; exactly there, where that is a border.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.pieces import Interval
from pipeline.core.timeline import FPS, GOP, SPEECH_PER_FRAME, gops_of

REVISION = 1  # raised when a change moves borders: it enters the hash of the titles that have them
AROUND = 6  # frames on both sides of a border that are to be quiet
SHORTEST = 20 * FPS  # frames: a scene that would be shorter is joined to its neighbour
PAUSE = 1000  # times the energy of the loudest frame, 30 dB: what lies below is a pause
NEAR = 2  # GOPs from where a chapter begins to its border, at most
LEAST, MOST = 0.6, 1.2  # length of a scene, of what is asked for


def frame_energies(speech: Iterable[NDArray[np.int16]]) -> NDArray[np.int64]:
    """Sums of squares of 16 kHz speech, one a frame; blocks of whole frames. In integers: the same on all machines."""
    parts = [np.square(block.astype(np.int64)).reshape(-1, SPEECH_PER_FRAME).sum(1) for block in speech]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def at_chapters(energies: NDArray[np.int64], starts: Sequence[int]) -> list[int]:
    """First GOPs of the scenes of a title whose chapters begin at these frames."""
    frames, found = len(energies), [0]
    for start in sorted(starts):
        near, away = round(start / GOP), 0 if start % GOP == 0 else NEAR
        places = [gop for gop in range(near - away, near + away + 1) if found[-1] < gop < gops_of(frames)]
        if places:
            found.append(_quietest(energies, places, start / GOP))
    return _long_enough(found, frames)


def every(energies: NDArray[np.int64], minutes: int) -> list[int]:
    """First GOPs of the scenes of a title in which one is to take so many minutes."""
    frames, wanted, found = len(energies), minutes * 60 * FPS, [0]
    while frames - found[-1] * GOP > wanted * MOST:
        first = found[-1] * GOP
        low, high = -(-int(first + wanted * LEAST) // GOP), int(first + wanted * MOST) // GOP
        # The rest is never so short that it would have to be joined to this one, which would then be too long.
        high = min(high, max(low, (frames - SHORTEST) // GOP))
        found.append(_quietest(energies, range(low, high + 1), (first + wanted) / GOP))
    return _long_enough(found, frames)


def around(energies: NDArray[np.int64], stretches: Sequence[tuple[int, int]]) -> list[Interval]:
    """[first, stop) GOPs that hold stretches of frames, in order of time: from a quiet border before to one behind."""
    gops, found, end = gops_of(len(energies)), list[Interval](), 0
    for start, stop in stretches:
        before = max(start // GOP, end)
        behind = min(max(-(-stop // GOP), before + 1), gops)
        first = _nearest_quiet(energies, range(before, max(end, before - NEAR) - 1, -1))
        end = _nearest_quiet(energies, range(behind, min(gops, behind + NEAR) + 1))
        found.append((first, end))
    return found


def _nearest_quiet(energies: NDArray[np.int64], gops: Sequence[int]) -> int:
    """The first of these borders that lies in a pause; where none does, the one around which least is said."""
    least = min(_loudness(energies, gop) for gop in gops)
    quiet = max(least, int(energies.max(initial=0)) // PAUSE)
    return next(gop for gop in gops if _loudness(energies, gop) <= quiet)


def _quietest(energies: NDArray[np.int64], gops: Iterable[int], wanted: float) -> int:
    """Of these borders the one around which least is said; of equal ones the nearest to where it is wanted."""
    return min(gops, key=lambda gop: (_loudness(energies, gop), abs(gop - wanted), gop))


def _loudness(energies: NDArray[np.int64], gop: int) -> int:
    """Energy of the loudest frame around a border."""
    return int(energies[max(0, gop * GOP - AROUND) : gop * GOP + AROUND].max(initial=0))


def _long_enough(firsts: list[int], frames: int) -> list[int]:
    """Without the borders of scenes that are too short: each is joined to the next one, the last to that before it."""
    kept = [0]
    for first in firsts[1:]:
        if (first - kept[-1]) * GOP >= SHORTEST:
            kept.append(first)
    if len(kept) > 1 and frames - kept[-1] * GOP < SHORTEST:
        kept.pop()
    return kept
