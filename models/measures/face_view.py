"""Pixels of a face: a view of it, 512 a side, in which all films are alike, and what can be said of a view.

Pictures are uint8 [h w 3], red first; landmarks [478 3] in pixels of the view.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.measures.mesh import EYES, LIPS, NOSE_BASE, SKIN, Points

Picture = NDArray[np.uint8]

VIEW = 512
BLACK = 1e-6  # steps and errors below this are none
MOUTH_ROOM = 0.75  # radius of what is left out around a mouth, in widths of it
ALIGNING = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
CHIP = 150  # pixels of a face as dlib's network was trained on them
CHIP_ROOM = 0.25  # around it, on each side
# Where that network expects the outer and inner corners of the eyes at the left and the right, and the nose's base.
CHIP_POINTS = ((0.1206, 0.2137), (0.3341, 0.2291), (0.8596, 0.2135), (0.6461, 0.2290), (0.4901, 0.6278))


def view(picture: Picture, square: tuple[float, float, float]) -> Picture:
    """The square x, y, side of a picture, VIEW pixels wide; beyond the picture's edge its border goes on."""
    x, y, side = square
    scale = VIEW / side
    if side > 1.5 * VIEW:  # made smaller first: else pixels are skipped
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        matrix = np.array([[1.0, 0, -x * scale], [0, 1.0, -y * scale]])
    else:
        matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    return cv2.warpAffine(picture, matrix, (VIEW, VIEW), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def sharpness(picture: Picture, points: Points) -> float:
    """Mean step between pixels beside each other in the face's box."""
    return _steps(grey_of(picture), points[:SKIN, :2])


def mouth_detail(picture: Picture, points: Points) -> float:
    """Mean step in the mouth's box, across and down, over `sharpness`: falls where lips and teeth are smeared."""
    x0, y0, x1, y1 = _box(points[list(LIPS), :2])
    inside = grey_of(picture)[y0 : y1 + 1, x0 : x1 + 1].astype(np.float64)
    steps = (_mean_step(inside, 1) + _mean_step(inside, 0)) / 2
    return steps / max(sharpness(picture, points), BLACK)


def decibels_to(portrait: Picture, of: Points, frame: Picture, at: Points) -> float:
    """PSNR of a frame's face against the portrait's, the mouth left out, moved onto it as well as it goes.

    By landmarks, which wander by a pixel or two, and from there by the pixels: the best of both.
    """
    looked_at = _face_but_mouth(of)
    best = 0.0
    for matrix in _alignments(portrait, of, frame, at, looked_at):
        moved = cv2.warpAffine(
            frame, matrix, (VIEW, VIEW), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        error = np.square(moved.astype(np.float64) - portrait).mean(2)[looked_at > 0].mean()
        best = max(best, float(10 * np.log10(255**2 / max(float(error), BLACK))))
    return best


def chip(picture: Picture, points: Points) -> Picture:
    """A face as dlib's network reads it [150 150 3]: eyes and nose where it expects them."""
    wanted = (np.array(CHIP_POINTS) + CHIP_ROOM) / (1 + 2 * CHIP_ROOM) * CHIP
    corners = [corner for _, _, outer, inner, _ in EYES for corner in (outer, inner)]
    matrix = similarity(points[[*corners, NOSE_BASE], :2], wanted)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 1:  # what the smaller picture cannot hold would come back as something else
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * np.sqrt(1 / scale**2 - 1) + 1e-3)  # type: ignore[assignment]
    return cv2.warpAffine(picture, matrix, (CHIP, CHIP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def similarity(points: Points, wanted: Points) -> Points:
    """The turn, size and shift [2 3] that brings points [n 2] nearest to those wanted, in the mean square."""
    middle, goal = points.mean(0), wanted.mean(0)
    x, y = (points - middle).T
    u, v = (wanted - goal).T
    size = (x * x + y * y).sum()
    a, b = (x * u + y * v).sum() / size, (x * v - y * u).sum() / size
    turn = np.array([[a, -b], [b, a]])
    return np.concatenate([turn, (goal - turn @ middle)[:, None]], 1)


def grey_of(picture: Picture) -> Picture:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def _alignments(portrait: Picture, of: Points, frame: Picture, at: Points, looked_at: Picture) -> Iterator[Any]:
    """Maps [2 3] from a place in the portrait to one in the frame."""
    still = [point for point in range(SKIN) if point not in LIPS]
    pairs = (at[still, :2].astype(np.float32), of[still, :2].astype(np.float32))
    by_points, _ = cv2.estimateAffinePartial2D(*pairs, method=cv2.LMEDS)
    soft = [cv2.GaussianBlur(grey_of(one), (0, 0), 1.0) for one in (portrait, frame)]
    for start in (by_points, np.array([[1.0, 0, 0], [0, 1.0, 0]])):
        if start is None:
            continue
        back = cv2.invertAffineTransform(start).astype(np.float32)
        yield back
        try:
            _, found = cv2.findTransformECC(soft[0], soft[1], back.copy(), cv2.MOTION_AFFINE, ALIGNING, looked_at, 5)
            yield found
        except cv2.error:  # pixels that do not say where they belong
            continue


def _face_but_mouth(points: Points) -> Picture:
    flat = points[:SKIN, :2]
    mask = np.zeros((VIEW, VIEW), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(flat.astype(np.int32)), 1)
    lips = flat[list(LIPS)]
    middle = (int(lips[:, 0].mean()), int(lips[:, 1].mean()))
    cv2.circle(mask, middle, int(float(np.ptp(lips[:, 0])) * MOUTH_ROOM), 0, -1)
    return mask


def _steps(grey: Picture, flat: Points) -> float:
    x0, y0, x1, y1 = _box(flat)
    return _mean_step(grey[y0:y1, x0:x1].astype(np.float64), 1)


def _mean_step(grey: Points, axis: int) -> float:
    return float(np.abs(np.diff(grey, axis=axis)).mean()) if grey.shape[axis] > 1 and grey.size else 0.0


def _box(flat: Points) -> tuple[int, int, int, int]:
    x0, y0 = np.maximum(flat.min(0).astype(int), 0)
    x1, y1 = np.maximum(flat.max(0).astype(int), 0)
    return int(x0), int(y0), int(x1), int(y1)
