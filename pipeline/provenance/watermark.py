"""An imperceptible watermark on luma: the same for every frame of a title, weaker where the eye would see it.

Integers only, so that the same frame gets the same mark on every machine.
"""

from __future__ import annotations

import hashlib
import math
import os

import cv2
import numpy as np

from pipeline.provenance.watermark_pattern import PUBLIC_KEY, marked_coefficients, pattern

KEY = "LONGTAKE_WATERMARK_KEY"  # environment variable
SMALLEST = 256  # short side of a frame that can carry a mark, in pixels
_GRID = 256  # short side of the picture that the strength is derived from
_DARKEST, _LIGHTEST = 16, 235  # limited range
_SHIFT = 11
_BAND = 64  # rows at a time: they stay in the processor's cache
_SHADE = 45  # luma below which a mark is halved: the same difference is seen more easily in the dark
_FINE = 4  # steps of activity in a grey level
# Strength by activity (mean deviation from the surroundings, in quarters of a grey level): on an even surface the eye
# sees a mark first and a reader needs it least.
_STRENGTH = np.clip(20 + 8 * np.arange(256 * _FINE), 0, 84).astype(np.uint8)
_SMALL = 768  # short side, in pixels, below which frames are marked a seventh more strongly: less of it survives
_MEAN = 79  # root of the mean square over a frame at most: 44 dB between a frame and its mark, whatever it shows


def read_key() -> str:
    """The operator's own key from the environment, else the public one, with which anybody can read a mark."""
    return os.environ.get(KEY) or PUBLIC_KEY


def key_name(key: str) -> str:
    """What stands for a key in plans and reports: `public`, or the beginning of a hash that does not give it away."""
    return "public" if key == PUBLIC_KEY else hashlib.sha256(f"longtake-key/1|{key}".encode()).hexdigest()[:12]


class Watermark:
    """Marks frames of one size with a payload of 12 hexadecimal digits."""

    def __init__(self, payload: str, height: int, width: int, key: str = PUBLIC_KEY):
        if min(height, width) < SMALLEST:
            raise ValueError(f"frames of {width}x{height}: a mark needs {SMALLEST} pixels at least")
        self.height, self.width = height, width
        self._pattern = pattern(marked_coefficients(key, payload), height, width).astype(np.int16)

    def mark(self, planes: np.ndarray) -> None:
        """Mark planes uint8 [height·3/2, width] (yuv420p, limited range) in place."""
        luma = planes[: self.height]
        strength = cv2.resize(_strength(luma), (self.width, self.height), interpolation=cv2.INTER_LINEAR_EXACT)
        for first in range(0, self.height, _BAND):
            rows = slice(first, first + _BAND)
            change = self._pattern[rows] * strength[rows]  # int16
            np.add(change, 1 << (_SHIFT - 1), out=change)
            np.right_shift(change, _SHIFT, out=change)
            np.add(change, luma[rows], out=change)
            np.clip(change, _DARKEST, _LIGHTEST, out=change)
            luma[rows] = change


def _strength(luma: np.ndarray) -> np.ndarray:
    """How strongly to mark, uint8, on a grid whose short side has 256 to 511 places."""
    step = min(luma.shape) // _GRID
    small = luma[step // 2 :: step, step // 2 :: step].astype(np.int32) * _FINE
    surroundings = _mean(small, 2)
    strength = _STRENGTH[_mean(np.abs(small - surroundings), 2)]
    strength = np.where(surroundings < _SHADE * _FINE, strength // 2, strength).astype(np.int32)
    if min(luma.shape) < _SMALL:
        strength = strength * 8 // 7
    mean = math.isqrt(int(np.square(strength).sum(dtype=np.int64)) // strength.size)
    return (strength if mean <= _MEAN else strength * _MEAN // mean).astype(np.uint8)


def _mean(values: np.ndarray, reach: int) -> np.ndarray:
    """Means of int32 over squares of 2·reach + 1 places, the borders repeated, rounded down."""
    edge = 2 * reach + 1
    sums = cv2.boxFilter(values, cv2.CV_32S, (edge, edge), normalize=False, borderType=cv2.BORDER_REPLICATE)
    return sums // edge**2
