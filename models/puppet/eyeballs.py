"""What is seen between the lids: the portrait's own eyes, turned by the gaze."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.head import Head, Points, eased
from models.puppet.surroundings import polygon_mask
from models.puppet.topology import EYES
from models.puppet.track import Track

ACROSS, DOWN = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
REACH_X, REACH_Y = 0.10, 0.05  # how far a gaze of 1 moves the iris, in widths of the eye
ABOVE = 0.6  # pixels of the lid's edge that belong to the eye
SHADE = 0.3  # how much darker an eye is under a lid that is shut


@dataclass(frozen=True)
class Eyeball:
    ring: Points  # [16 2] in the portrait
    upper: Points  # [9 2] upper lid from left to right
    iris: Points  # [2]
    radius: float
    width: float
    plane: Points  # [3 3]: the eye's middle, and one pixel across and down from it


def eyeballs(landmarks: Points) -> tuple[Eyeball, Eyeball]:
    found = []
    for eye in EYES:
        ring = landmarks[list(eye.ring)]
        middle = ring.mean(0)
        upper = landmarks[list(eye.upper), :2]
        iris = landmarks[list(eye.iris), :2]
        plane = np.stack([middle, middle + ACROSS, middle + DOWN])
        found.append(
            Eyeball(
                ring[:, :2],
                upper[np.argsort(upper[:, 0])],
                iris[0],
                float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean()),
                float(np.linalg.norm(upper[0] - upper[-1])),
                plane,
            )
        )
    return found[0], found[1]


def planes_moved(eyes: tuple[Eyeball, Eyeball], head: Head, held: Track, side: int) -> Points:
    """Where the turning head takes the eyes' planes: maps [f 2 2 3] from the portrait to the frame."""
    placed = np.concatenate([eye.plane for eye in eyes])
    turned = head.turned(placed, held, side).reshape(len(held), 2, 3, 3)[..., :2]
    origin = turned[:, :, 0]
    linear = np.stack([turned[:, :, 1] - origin, turned[:, :, 2] - origin], -1)
    middles = np.stack([eye.plane[0, :2] for eye in eyes])
    offset = origin - np.einsum("feij,ej->fei", linear, middles)
    return np.concatenate([linear, offset[..., None]], -1)


def show_eye(
    picture: NDArray[np.uint8],
    frame: NDArray[np.float32],
    source: NDArray[np.float32],
    eye: Eyeball,
    ring: Points,
    plane: Points,
    gaze: tuple[float, float],
    closed: float,
) -> None:
    """Paint an eye within its lids: `ring` [16 2] in the frame; `frame` [h w 3] and `source` [h w 2] in place."""
    low = np.maximum(ring.min(0).astype(int) - 3, 0)
    high = np.minimum(ring.max(0).astype(int) + 4, frame.shape[1::-1])
    if (high - low).min() < 2:
        return
    back = np.linalg.inv(np.concatenate([plane, [[0, 0, 1]]]))[:2]
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    at = np.stack([x, y, np.ones_like(x)], -1) @ back.T
    moved = np.array([gaze[0] * REACH_X, gaze[1] * REACH_Y]) * eye.width
    away = np.linalg.norm(at - moved - eye.iris, axis=-1) / eye.radius
    at = at - moved * (1 - eased((away - 1.1) / 1.1))[..., None]
    # Where lids open wider than in the portrait the eye goes on as its mirror image, not as the portrait's lashes.
    edge = np.interp(at[..., 0], eye.upper[:, 0], eye.upper[:, 1])
    at[..., 1] += 2 * np.maximum(edge - ABOVE - at[..., 1], 0)
    at = at.astype(np.float32)
    seen = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.GaussianBlur(polygon_mask(ring, x.shape, low), (0, 0), 0.6)
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    share = mask[..., None]
    frame[part] = frame[part] * (1 - share) + seen * (1 - SHADE * closed) * share
    inside = mask > 0.5
    source[part][inside] = at[inside]
