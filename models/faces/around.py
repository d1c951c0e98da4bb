"""The square around a face that a chain works on, wherever in the picture the face lies.

A chain that moves the portrait's pixels needs to see the face alone, as large and at the place where its training had
faces. The square may reach beyond the picture, which is continued by its edge there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.image.masks import Box

FACE_SHARE = 0.475  # of the square's side: height of the face
MIDDLE_AT = 0.515  # of the square's side: where the middle of the face is


def square_around(face: Box) -> Box:
    """The box of a face's points, in pixels of the picture -> its square, in whole pixels, the side even."""
    side = max(2, round(max(face.width, face.height) / FACE_SHARE / 2) * 2)
    left, top = round((face.x0 + face.x1) / 2 - side / 2), round((face.y0 + face.y1) / 2 - MIDDLE_AT * side)
    return Box(left, top, left + side, top + side)


def cut_out(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The box of an image [h, w, 3]; what lies beyond is as its edge."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (int(edge) for edge in box)
    rows = np.arange(y0, y1).clip(0, height - 1)
    columns = np.arange(x0, x1).clip(0, width - 1)
    return image[rows[:, None], columns]
