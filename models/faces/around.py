"""The square around a face that a chain works on, wherever in the picture the face lies.

A chain that moves the portrait's pixels needs to see the face alone, as large and at the place where its training had
faces: the square is as many times as high as the face, its mouth lies at one height. It may reach beyond the picture,
which is continued by its edge there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.image.masks import FACE_EXPAND, LIP_EXPAND, Box, shrink_region

FACE_SHARE = 0.475  # of the square's side: height of the face
MIDDLE_AT, MOUTH_AT = 0.515, 0.636  # of the square's side: where the middle of the face is, and of the mouth
# What is made anew rather than moved: around the mouth, and a band with eyes and brows. In heights of the face, from
# the mouth's middle; in widths and heights of the face, from its upper edge.
MOUTH_WIDE, MOUTH_UP, MOUTH_DOWN = 0.62, 0.17, 0.27
EYES = 1  # number of the eyes' box
EYES_WIDE, EYES_TOP, EYES_BOTTOM = 0.9, 0.15, 0.55


def square_around(height: int, width: int, face: Box | None, lip: Box | None) -> Box:
    """In whole pixels of the picture, maybe beyond it; the largest in the middle where no face is known."""
    if face is None:
        side = min(height, width)
        x0, y0 = (width - side) // 2, (height - side) // 2
        return Box(x0, y0, x0 + side, y0 + side)
    side = max(2, round(max(face.width, face.height) / FACE_SHARE))
    middle, at = (face.y0 + face.y1) / 2, MIDDLE_AT
    if lip is not None:
        middle, at = (lip.y0 + lip.y1) / 2, MOUTH_AT
    x0, y0 = round((face.x0 + face.x1) / 2 - side / 2), round(middle - at * side)
    return Box(x0, y0, x0 + side, y0 + side)


def cut_out(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The box of an image [h, w, 3]; what lies beyond is as its edge."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (int(edge) for edge in box)
    rows = np.arange(y0, y1).clip(0, height - 1)
    columns = np.arange(x0, x1).clip(0, width - 1)
    return image[rows[:, None], columns]


def moved_box(box: Box | None, into: Box) -> Box | None:
    """A box of the picture in the pixels of the square `into`, cut to it; None where nothing of it is there."""
    if box is None:
        return None
    x0, y0, x1, y1 = (
        min(max(edge - low, 0), into.width) for edge, low in zip(box, (into.x0, into.y0) * 2, strict=True)
    )
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def content_boxes(
    face_box: NDArray[np.float32], lip_box: NDArray[np.float32], factor: int, side: int
) -> NDArray[np.int32]:
    """Where content is needed, in latents [k, 4]: x0, y0, x1, y1 of mouth and eyes.

    `face_box` and `lip_box` as preparation gives them, in pixels of a picture of `side`; a latent is `factor` pixels.
    """
    face = shrink_region(Box(*(float(v) for v in face_box)), FACE_EXPAND)
    lip = shrink_region(Box(*(float(v) for v in lip_box)), LIP_EXPAND)
    across, mouth = (face.x0 + face.x1) / 2, (lip.y0 + lip.y1) / 2
    lips = (lip.x0 + lip.x1) / 2
    reach, eyes = MOUTH_WIDE * face.width / 2, EYES_WIDE * face.width / 2
    boxes = [
        (lips - reach, mouth - MOUTH_UP * face.height, lips + reach, mouth + MOUTH_DOWN * face.height),
        (across - eyes, face.y0 + EYES_TOP * face.height, across + eyes, face.y0 + EYES_BOTTOM * face.height),
    ]
    cells = side // factor

    def whole(low: float, high: float) -> tuple[int, int]:
        first, stop = max(0, int(low // factor)), min(cells, -int(-high // factor))
        return (
            (first, stop) if stop - first >= 2 else (max(0, min(first, cells - 2)), max(0, min(first, cells - 2)) + 2)
        )

    found = []
    for x0, y0, x1, y1 in boxes:
        (left, right), (top, bottom) = whole(x0, x1), whole(y0, y1)
        found.append((left, top, right, bottom))
    return np.array(found, np.int32)
