"""The picture six percent larger, cut at its edges: as editors show every other take of one who goes on talking."""

from __future__ import annotations

import numpy as np

from pipeline.media.canvas import chroma_planes
from pipeline.media.scale import Scaler

MARGIN = 0.03  # of width and height, cut away on every side


class PunchIn:
    """Of pictures of one size, both edges even. The same bits on every processor."""

    def __init__(self, width: int, height: int):
        self._width, self._height = width, height
        # Even, so that the cut lies on whole samples of chroma, too.
        self._x, self._y = (round(edge * MARGIN / 2) * 2 for edge in (width, height))
        self._large = width + 2 * self._x, height + 2 * self._y
        self._scaler = Scaler((width, height), self._large)

    def on(self, planes: np.ndarray) -> np.ndarray:
        """yuv420p planes, uint8 [height·3/2, width] → those of the larger picture's middle, in memory of their own."""
        large = self._scaler(planes)
        found = np.empty_like(planes)
        x, y, width, height = self._x, self._y, self._width, self._height
        found[:height] = large[y : y + height, x : x + width]
        whole, cut = chroma_planes(large, self._large[1]), chroma_planes(found, height)
        cut[:] = whole[:, y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
        return found
