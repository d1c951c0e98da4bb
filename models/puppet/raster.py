"""Triangles that moved -> where every pixel of the frame comes from: exact backward flow.

Triangles are painted from the back to the front, each with its number; a pixel's source follows from the affine map of
the triangle that it shows.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

FINE = 4  # bits of a pixel in which corners are placed


@lru_cache(maxsize=4)
def pixels(side: int, height: int | None = None) -> NDArray[np.float32]:
    """[height side 2]: x and y of every pixel; a square where no height is given."""
    return np.stack(np.meshgrid(*(np.arange(length, dtype=np.float32) for length in (side, height or side))), -1)


def backward(
    triangles: NDArray[np.int32],
    places: NDArray[np.float64],
    sources: NDArray[np.float64],
    side: int,
    under: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Triangles [k 3]; where their points are [n 3] (nearer is less z) and where they were [n 2] -> sources of
    the pixels [side side 2]. Pixels that no triangle covers are as `under` [h w 2] says, whose size then counts, or
    their own."""
    height, width = (side, side) if under is None else under.shape[:2]
    corners = places[triangles]
    order = np.argsort(-corners[..., 2].mean(1), kind="stable")
    triangles, corners = triangles[order], corners[order]
    area = _doubled_area(corners)
    seen = np.abs(area) > 1e-3
    triangles, corners, area = triangles[seen], corners[seen], area[seen]
    maps = _affine(corners, sources[triangles], area)
    drawn = np.round(corners[..., :2] * (1 << FINE)).astype(np.int32)[:, :, None]
    numbers = np.zeros((height, width), np.int32)
    for number in range(len(drawn)):
        cv2.fillConvexPoly(numbers, drawn[number], number + 1, 8, FINE)
    maps = np.concatenate([np.array([[1, 0, 0, 0, 1, 0]]), maps]).astype(np.float32)
    at = pixels(width, height)
    found = np.empty((height, width, 2), np.float32)
    for axis in range(2):
        a, b, c = (np.take(np.ascontiguousarray(maps[:, 3 * axis + place]), numbers) for place in range(3))
        found[..., axis] = a * at[..., 0] + b * at[..., 1] + c
    return found if under is None else np.where((numbers > 0)[..., None], found, under)


def _doubled_area(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    one, two = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    area: NDArray[np.float64] = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    return area


def _affine(
    corners: NDArray[np.float64], sources: NDArray[np.float64], area: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Maps [k 6] from where triangles are to where they were: rows of x, then of y."""
    origin = corners[:, 0, :2]
    one, two = corners[:, 1, :2] - origin, corners[:, 2, :2] - origin
    rows = []
    for axis in range(2):
        first = sources[:, 0, axis]
        rise, run = sources[:, 1, axis] - first, sources[:, 2, axis] - first
        a = (rise * two[:, 1] - run * one[:, 1]) / area
        b = (run * one[:, 0] - rise * two[:, 0]) / area
        rows += [a, b, first - a * origin[:, 0] - b * origin[:, 1]]
    return np.stack(rows, 1)
