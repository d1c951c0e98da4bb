"""How loud somebody speaks, so that quiet and loud recordings sound alike to a family that hears spectra."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.07  # root mean square of what is said, as such a family has learned to hear it
FRAME = 640  # samples at 16 kHz
GATE = 0.1  # of the mean power: frames below are pauses
QUIETEST = 0.002  # what is not even so loud is noise, and stays as it is


def speech_level(blocks: Iterable[NDArray[np.float32]]) -> float:
    """Blocks of speech at 16 kHz in -1..1, of whole frames but for the last -> root mean square without the pauses.

    Of an hour this keeps one number a frame. 0 where there is nothing.
    """
    whole = (block[: len(block) // FRAME * FRAME].reshape(-1, FRAME) for block in blocks)
    powers = [np.square(frames.astype(np.float32)).mean(1) for frames in whole]
    power = np.concatenate([np.zeros(0, np.float32), *powers]).astype(np.float64)
    if not len(power):
        return 0.0
    return float(np.sqrt(power[power >= GATE * power.mean()].mean()))


def gain_for(level: float) -> float:
    """What speech of a level is multiplied by to have LEVEL."""
    return LEVEL / level if level > QUIETEST else 1.0
