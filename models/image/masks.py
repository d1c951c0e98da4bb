"""Where face and lips are: rectangles, the region mask, and the blurred masks that steer the audio layers.

Boxes are x0, y0, x1, y1 in pixels, the right and lower edges outside. Everything here is done once a title, on the
CPU, in the arithmetic of the published preparation (8-bit pictures between the steps), so its numbers are met exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Points of the 478-point face mesh: the outline of the face, and the outer edge of the lips.
FACE_OUTLINE = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
LIP_OUTLINE = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409)
FACE_EXPAND, LIP_EXPAND = 1.2, 2.0
BLURRED_AT = 64  # the published blurs are for masks of this side; others scale with theirs
FACE_BLUR, LIP_BLUR = 51, 31  # kernel sides
FACE_SIGMA, LIP_SIGMA = 8.0, 5.0


class Box(NamedTuple):
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0


class MotionMasks(NamedTuple):
    """One array [1, side * side] a level, finest first, values 0..1."""

    background: tuple[NDArray[np.float32], ...]
    face: tuple[NDArray[np.float32], ...]
    lip: tuple[NDArray[np.float32], ...]


def bounding_box(points: NDArray[np.float64]) -> Box:
    """Points [n, 2] -> the rounded box around them."""
    low, high = points.min(0).round(), points.max(0).round()
    return Box(low[0], low[1], high[0], high[1])


def expand_region(box: Box, ratio: float, height: int, width: int) -> Box:
    """The box grown about its centre; where it leaves the image it is moved inside, and cut only if too large."""

    def grow(low: float, high: float, limit: int) -> tuple[int, int]:
        half = int((high - low) * ratio) // 2
        centre = int((low + high) // 2)
        start, stop = centre - half, centre + half
        if start < 0:
            start, stop = 0, stop - start
        if stop > limit:
            start, stop = start - (stop - limit), limit
        return max(start, 0), stop

    x0, x1 = grow(box.x0, box.x1, width)
    y0, y1 = grow(box.y0, box.y1, height)
    return Box(x0, y0, x1, y1)


def shrink_region(box: Box, ratio: float) -> Box:
    """The box that `expand_region` grew, to two pixels where it did not have to be cut."""
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    width, height = box.width / ratio / 2, box.height / ratio / 2
    return Box(x - width, y - height, x + width, y + height)


def regions_from_mesh(
    mesh: NDArray[np.float64], height: int, width: int, face_expand: float = FACE_EXPAND
) -> tuple[Box, Box]:
    """Mesh points [478, 2] in pixels -> the boxes of face and lips, grown as published."""
    face = bounding_box(mesh[list(FACE_OUTLINE)])
    lip = bounding_box(mesh[list(LIP_OUTLINE)])
    return expand_region(face, face_expand, height, width), expand_region(lip, LIP_EXPAND, height, width)


def rectangle(box: Box, height: int, width: int) -> NDArray[np.uint8]:
    """255 inside the box, 0 elsewhere [height, width]."""
    mask = np.zeros((height, width), np.uint8)
    x0, y0, x1, y1 = (round(v) for v in box)
    mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = 255
    return mask


def region_mask(face: Box, height: int, width: int, size: int) -> NDArray[np.float32]:
    """The face's rectangle at the network's size [3, size, size], 0..1: input of the face locator."""
    resized = Image.fromarray(rectangle(face, height, width)).resize((size, size), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(resized, np.float32)[None] / 255, 3, axis=0)


def motion_masks(face: Box, lip: Box, height: int, width: int, side: int = BLURRED_AT, levels: int = 4) -> MotionMasks:
    """Blurred masks of background, face without lips, and lips, at `levels` sides from `side` down by halves."""
    whole_face = _blurred(rectangle(face, height, width), side, FACE_BLUR, FACE_SIGMA)
    lips = _blurred(rectangle(lip, height, width), side, LIP_BLUR, LIP_SIGMA)
    background = ((1 - whole_face / 255.0) * 255).astype(np.uint8)
    return MotionMasks(
        _pyramid(background, side, levels),
        _pyramid(cv2.subtract(whole_face, lips), side, levels),
        _pyramid(lips, side, levels),
    )


def _blurred(mask: NDArray[np.uint8], side: int, kernel: int, sigma: float) -> NDArray[Any]:
    """Shrunk to `side`, blurred, stretched to the full range."""
    share = side / BLURRED_AT
    reach = 2 * round((kernel - 1) / 2 * share) + 1
    small = cv2.resize(mask, (side, side))
    blurred = cv2.GaussianBlur(small, (reach, reach), sigma * share)
    return cv2.normalize(blurred, np.zeros_like(blurred), 0, 255, cv2.NORM_MINMAX)


def _pyramid(mask: NDArray[Any], side: int, levels: int) -> tuple[NDArray[np.float32], ...]:
    picture = Image.fromarray(mask)
    sides = [side >> level for level in range(levels)]
    return tuple(
        np.asarray(picture.resize((s, s), Image.Resampling.BILINEAR), np.float32).reshape(1, -1) / np.float32(255)
        for s in sides
    )
