"""How a mouth follows its sound, in the 1.92 seconds of a GOP: for looks at what a chain made.

A mouth says nothing about a sound that stays the same, so there is a figure only where loudness changes enough.

Shapes: f frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPECTRA = 4  # rows of a frame's features that are of its own moment (`models.speech.spectrum`)
CHANGES = 0.12  # standard deviation of loudness, of 1, from which on speech is said to be there
FEWEST = 24  # frames
LAGS = (-1, 0, 1, 2)  # frames by which a mouth may be late


def loudness(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Features [f rows bands] -> [f], about -1 … 1."""
    found: NDArray[np.float64] = features[:, :SPECTRA].astype(np.float64).mean((1, 2))
    return found


def changes(features: NDArray[np.float32]) -> bool:
    """Whether loudness changes so much that a mouth must."""
    return len(features) >= FEWEST and float(loudness(features).std()) >= CHANGES


def agreement(mouth: NDArray[np.float64], features: NDArray[np.float32]) -> dict[str, float]:
    """`mouth` [f], growing as it opens -> `mouth`: its correlation with loudness, at the best of some lags; nothing
    where loudness hardly changes."""
    if not changes(features):
        return {}
    heard = loudness(features)
    return {"mouth": max(_correlation(mouth, heard, lag) for lag in LAGS)}


def _correlation(mouth: NDArray[np.float64], heard: NDArray[np.float64], lag: int) -> float:
    late = mouth[max(lag, 0) : len(mouth) + min(lag, 0)]
    said = heard[max(-lag, 0) : len(heard) + min(-lag, 0)]
    late, said = late - late.mean(), said - said.mean()
    length = float(np.sqrt((late * late).sum() * (said * said).sum()))
    return float((late * said).sum()) / length if length > 1e-9 else 0.0
