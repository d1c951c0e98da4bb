"""Time stamps: where a file's sound begins and where it pauses, as silence that belongs between its samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from pipeline.core.timeline import FPS, SOUND_RATE
from pipeline.media.sound_in.facts import MOST_GAPS

JITTER = Fraction(1, FPS)  # seconds; less moves nothing by a frame, and live recorders' clocks wander by as much
BACK = 1  # seconds; a clock that steps back by more has begun anew


def gaps_of(frames: Iterable[tuple[int, int]], rate: int, begins: int | None = None) -> list[tuple[int, int]]:
    """(first sample of the silence, its length) for decoded frames given as (time stamp, samples), both in samples.

    `begins`: the sample of the file's clock at which its sound begins, where that clock counts from something else in
    the file; with None the first frame begins it. Frames that overlap are kept whole: no sound is dropped. Raises
    ValueError beyond MOST_GAPS.
    """
    gaps: list[tuple[int, int]] = []
    at: int | None = None  # where the sound that came so far ends, with silence
    shift = 0  # of the clock
    for stamp, count in frames:
        if at is None:
            at, shift = 0, stamp
            if begins is not None:  # of some containers the program counts from this stream all the same
                shift = stamp - begins if begins - stamp > JITTER * rate else 0
        missing = stamp - shift - at
        if missing > JITTER * rate:
            gaps.append((at, missing))
            at += missing
        elif missing < -BACK * rate:
            shift = stamp - at
        at += count
        if len(gaps) > MOST_GAPS:
            raise ValueError(f"more than {MOST_GAPS:,} holes in its time stamps")
    return gaps


def with_silence(blocks: Iterable[np.ndarray], gaps: Sequence[tuple[int, int]]) -> Iterator[np.ndarray]:
    """Blocks [samples, channels] with silence put in at `gaps`, which count the samples of the whole."""
    waiting, at = list(reversed(gaps)), 0
    for block in blocks:
        while waiting and waiting[-1][0] <= at + len(block):
            place, length = waiting.pop()
            before, block = block[: place - at], block[place - at :]
            yield before
            yield from _silence(length, block.shape[1])
            at = place + length
        at += len(block)
        yield block


def _silence(length: int, channels: int) -> Iterator[np.ndarray]:
    """A minute at a time at most, since holes may be hours long."""
    most = 60 * SOUND_RATE
    for start in range(0, length, most):
        yield np.zeros((min(most, length - start), channels), np.float32)
