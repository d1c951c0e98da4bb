"""Coordinates of a face at every place of a picture: what tells a network where forehead, lips and eyes are.

Nine channels on a coarse grid: the mean face's x and y where the face is seen, how much of a cell it covers; x and y in
the face's box and how near its middle; x and y from the middle of the lips, in half widths of the mouth; how near an
eye is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.head import Points
from models.puppet.raster import backward
from models.puppet.topology import EYES, INNER_LOWER, INNER_UPPER, OVAL, SKIN, canonical, strips

CHANNELS, CELLS = 9, 32
FINE = 128  # pixels a side in which the mean face's coordinates are drawn


def face_map(landmarks: Points, side: float) -> NDArray[np.float32]:
    """Landmarks [478 3] in a square of `side` pixels -> [9 32 32]."""
    fine = landmarks[:, :3] * (FINE / side)
    triangles = np.concatenate([canonical().triangles, strips()])
    drawn = backward(triangles, fine, canonical().points[:, :2], FINE)
    mask = np.zeros((FINE, FINE), np.uint8)
    cv2.fillPoly(mask, [np.round(fine[list(OVAL), :2]).astype(np.int32)], 1)
    covered = mask.astype(np.float32)
    shrunk = [cv2.resize(plane, (CELLS, CELLS), interpolation=cv2.INTER_AREA) for plane in
              (drawn[..., 0] * covered, drawn[..., 1] * covered, covered)]  # fmt: skip
    places = (np.arange(CELLS) + 0.5) * (side / CELLS)
    x, y = np.meshgrid(places, places)
    low, high = landmarks[:SKIN, :2].min(0), landmarks[:SKIN, :2].max(0)
    across, down = (
        (one - middle) / size for one, middle, size in zip((x, y), (low + high) / 2, high - low, strict=True)
    )
    lips = (landmarks[list(INNER_UPPER), :2].mean(0) + landmarks[list(INNER_LOWER), :2].mean(0)) / 2
    half = float(np.linalg.norm(landmarks[61, :2] - landmarks[291, :2])) / 2
    reach = 0.12 * float(high[0] - low[0])
    eyes = np.zeros((CELLS, CELLS))
    for eye in EYES:
        middle = landmarks[list(eye.ring), :2].mean(0)
        eyes += np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / reach**2)
    rest = (
        across, down, np.exp(-2 * (across**2 + down**2)),
        np.clip((x - lips[0]) / half, -2, 2), np.clip((y - lips[1]) / half, -2, 2), eyes,
    )  # fmt: skip
    return np.stack([shrunk[0] * 2, shrunk[1] * 2, shrunk[2], *rest]).astype(np.float32)
