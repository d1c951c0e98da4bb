"""The carriers of the watermark: low-frequency DCT coefficients of a square tile, keyed.

The tile's edge is the short side of the frame, so a mark scales with its picture, and tiles repeat over the long side.
Only even orders of the DCT are used (`cos 2πax · cos 2πby` with x and y in tiles): they join at the tiles' borders, and
a mirrored picture carries the same mark. About a quarter of the coefficients are known to every reader of the key and
serve to find scale and place; the others carry coded bits, each spread over several coefficients.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import numpy as np

from pipeline.provenance.watermark_code import CODED_BITS, encode

LOWEST, HIGHEST = 14, 62
PUBLIC_KEY = "longtake"  # anyone with this software can read marks made with it
SPREAD = 40  # standard deviation of a pattern in its own units
_UNIT = 1 << 12  # of the cosines


@dataclass(frozen=True)
class Carriers:
    """[orders, orders] tables: `known` of -1, 0, 1; `bit` the coded bit that a coefficient carries, -1 for none;
    `sign` the sign with which it does."""

    known: np.ndarray
    bit: np.ndarray
    sign: np.ndarray

    def soft(self, coefficients: np.ndarray) -> np.ndarray:
        """Sums of the coefficients [orders, orders] of every coded bit [CODED_BITS]."""
        carrying = self.bit >= 0
        values = coefficients[carrying] * self.sign[carrying]
        return np.bincount(self.bit[carrying], values, CODED_BITS)


@lru_cache(maxsize=4)
def carriers(key: str) -> Carriers:
    """The same tables for the same key, on every machine."""
    order = np.arange(HIGHEST + 1)
    radius = order[:, None] ** 2 + order**2
    places = np.argwhere((radius >= LOWEST**2) & (radius <= HIGHEST**2))
    noise = hashlib.shake_256(f"longtake-mark/1|{key}".encode()).digest(9 * len(places))
    shuffled = places[np.argsort(np.frombuffer(noise[: 8 * len(places)], ">u8"), kind="stable")]
    signs = (np.frombuffer(noise[8 * len(places) :], np.uint8) & 1).astype(np.int8) * 2 - 1
    each = len(places) * 3 // 4 // CODED_BITS
    split = len(places) - each * CODED_BITS
    known, sign = np.zeros_like(radius, np.int8), np.zeros_like(radius, np.int8)
    bit = np.full_like(radius, -1)
    known[tuple(shuffled[:split].T)] = signs[:split]
    sign[tuple(shuffled[split:].T)] = signs[split:]
    bit[tuple(shuffled[split:].T)] = np.arange(each * CODED_BITS) % CODED_BITS
    return Carriers(known, bit, sign)


def marked_coefficients(key: str, payload: str) -> np.ndarray:
    """Signs of all coefficients of a mark, int8 [orders, orders]."""
    tables = carriers(key)
    carried = np.where(tables.bit >= 0, tables.sign * encode(payload)[tables.bit], 0)
    return (tables.known + carried).astype(np.int8)


def pattern(coefficients: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture of these coefficients, int8 [height, width], standard deviation about 40.

    All sums are of integers below 2^53, so they are exact whatever the order of summation.
    """
    tile = min(height, width)
    rows, columns = _cosines(tile, height), _cosines(tile, width)
    half = coefficients.astype(np.float64) @ columns
    divisor = isqrt(int(np.sum(coefficients.astype(np.int64) ** 2)) * _UNIT**4 // 4) // SPREAD
    out = np.empty((height, width), np.int8)
    for first in range(0, height, 256):
        band = rows[:, first : first + 256].T @ half
        out[first : first + 256] = np.clip((band.astype(np.int64) + divisor // 2) // divisor, -127, 127)
    return out


def _cosines(tile: int, length: int) -> np.ndarray:
    """Cosines of all orders at the middles of `length` pixels, whole numbers as float64 [orders, length]."""
    phase = np.arange(HIGHEST + 1)[:, None] * (2 * np.arange(length) + 1) % (2 * tile)
    return np.rint(_UNIT * np.cos(np.pi / tile * phase))
