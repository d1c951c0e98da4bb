"""Numbers of a face's landmarks: the 478 points of MediaPipe's mesh, [478 3] in pixels, depth in the same unit.

Lengths are measured in space and told as shares of the face's height, from the top of the forehead to the chin, so
that they are the same of a small face and of a large one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

SKIN = 468  # points before those of the irises
TOP, CHIN = 10, 152
LEFT, RIGHT = 234, 454  # where the face is widest
INNER_UPPER, INNER_LOWER = 13, 14  # the middle of the lips, inside
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)  # around, outside
# Of each eye: the middle of the upper lid and of the lower, the outer corner and the inner, the iris.
EYES = ((159, 145, 33, 133, 468), (386, 374, 263, 362, 473))
RIGID = (6, 197, 33, 133, 263, 362)  # nose bridge and corners of the eyes: bone, near enough
NOSE_BASE = 2
ROOM = 2.0  # side of the square around a face, in face heights


@dataclass(frozen=True)
class FaceNumbers:
    """Of one frame."""

    opening: float
    """Between the inner lips, a share of the face's height."""
    lids: float
    """Between the lids, a share of the eye's width, mean of both."""
    gaze: tuple[float, float]
    """Irises beside the middle between the eye's corners, shares of its width, mean of both."""
    place: tuple[float, float]
    """The middle of bridge and eyes, in face widths."""
    rigid: Points
    """RIGID points [6 2], shares of the face's height."""


def height_of(points: Points) -> float:
    return _apart(points, TOP, CHIN)


def face_numbers(points: Points) -> FaceNumbers:
    height, width = height_of(points), _apart(points, LEFT, RIGHT)
    lids, gaze = [], []
    for upper, lower, outer, inner, iris in EYES:
        across = _apart(points, outer, inner)
        lids.append(_apart(points, upper, lower) / across)
        gaze.append((points[iris, :2] - points[[outer, inner], :2].mean(0)) / across)
    x, y = np.mean(gaze, 0)
    rigid = points[list(RIGID), :2]
    at_x, at_y = rigid.mean(0) / width
    return FaceNumbers(
        opening=_apart(points, INNER_UPPER, INNER_LOWER) / height,
        lids=float(np.mean(lids)),
        gaze=(float(x), float(y)),
        place=(float(at_x), float(at_y)),
        rigid=rigid / height,
    )


def face_square(points: Points) -> tuple[float, float, float]:
    """x, y and side of the square around a face, twice its height."""
    flat = points[:, :2]
    side = ROOM * float(np.linalg.norm(flat[TOP] - flat[CHIN]))
    x, y = flat[:SKIN].mean(0)
    return float(x) - side / 2, float(y) - side / 2, side


def _apart(points: Points, one: int, other: int) -> float:
    return float(np.linalg.norm(points[one] - points[other]))
