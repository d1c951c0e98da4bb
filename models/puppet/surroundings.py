"""What is around the face: hair that turns with the head, a neck that follows less, a background that stands still."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.delaunay import centres, delaunay, inside
from models.puppet.head import Head, Points, eased
from models.puppet.topology import CHIN, OVAL, POINTS, SKIN
from models.puppet.track import Track

CELL = 22  # pixels between points at a side of 512
BORDER = 0.09  # share of the side over which motion fades to none
HAIR_X, HAIR_Y = 0.80, 0.88  # half axes of what turns as one with the head, in widths and heights of the face
BEHIND = 2.0  # sides of the picture: the face is seen before all that is around it, however it turns
HAIR_DEPTH, HAIR_ROUND = (
    0.03,
    0.34,
)  # widths of the face: how far hair lies behind the ears, and how slowly it gets there
STILL = 1.9  # times those half axes: beyond, nothing moves


@dataclass(frozen=True)
class Surroundings:
    """m points around the oval."""

    points: Points  # [m 3]
    triangles: NDArray[np.int32]  # numbers: landmarks first, then these points from POINTS on
    shares: Points  # [m 36] of the oval's points
    follows: Points  # [m] how much of the head's turn
    close: Points  # [m] 1 at the oval, falling away from it

    def moved(self, head: Head, held: Track, side: int, oval_turn: Points, oval_offset: Points) -> Points:
        """-> [f m 3]. What the oval's points do by turning and by expression [f 36 3] spreads to what is close."""
        turn = head.turned(self.points, held, side) - self.points
        close, follows = self.close[:, None], self.follows[:, None]
        moved = self.points + follows * (turn * (1 - close) + (self.shares @ oval_turn) * close)
        moved = moved + (self.shares @ oval_offset) * close
        moved[..., 2] = self.points[:, 2] + BEHIND * side
        return moved


def surroundings(landmarks: Points, head: Head, side: int) -> Surroundings:
    """Landmarks [478 3] in a picture of `side` x `side` pixels."""
    oval = landmarks[list(OVAL)]
    lines = np.linspace(0, side - 1, max(4, round(side / (CELL * side / 512))))
    grid = np.array([(x, y) for y in lines for x in lines])
    away = -inside(oval[:, :2], grid)
    keep = away > 0.3 * CELL * side / 512
    grid, away = grid[keep], away[keep]
    shares = 1 / (np.linalg.norm(grid[:, None] - oval[None, :, :2], axis=2) ** 3 + 1e-6)
    shares /= shares.sum(1, keepdims=True)
    near, far = shares @ oval[:, 2], head.ears[2] + HAIR_DEPTH * head.width
    depth = near + np.maximum(far - near, 0) * (1 - np.exp(-away / (HAIR_ROUND * head.width)))
    across, down = head.axes[:2, 0], head.axes[:2, 1]
    centre = landmarks[:SKIN, :2].mean(0) - down * 0.16 * head.height
    reach = np.hypot((grid - centre) @ across / (HAIR_X * head.width), (grid - centre) @ down / (HAIR_Y * head.height))
    follows = 1 - eased((reach - 1.02) / (STILL - 1.02))
    below = (grid - landmarks[CHIN, :2]) @ down
    follows = follows * np.where(below > -0.25 * head.height, 1 - eased(below / head.height + 0.25), 1)
    edge = np.minimum(np.minimum(grid[:, 0], side - 1 - grid[:, 0]), np.minimum(grid[:, 1], side - 1 - grid[:, 1]))
    fading = eased(edge / (BORDER * side))
    close = np.exp(-((away / (0.30 * head.height)) ** 2)) * fading
    flat = np.concatenate([oval[:, :2], grid])
    triangles = delaunay(flat)
    triangles = triangles[inside(oval[:, :2], centres(flat, triangles)) < 0]
    numbers = np.concatenate([np.array(OVAL), POINTS + np.arange(len(grid))])
    return Surroundings(
        np.concatenate([grid, depth[:, None]], 1), numbers[triangles].astype(np.int32), shares, follows * fading, close
    )


def still_border(source: NDArray[np.float32], own: NDArray[np.float32]) -> None:
    """The outermost pixels of `source` [h w 2] are their own, exactly; in place."""
    source[[0, -1]] = own[[0, -1]]
    source[:, [0, -1]] = own[:, [0, -1]]


def fits(landmarks: Points, side: int) -> bool:
    """Whether the whole oval lies inside of the picture, so that its border can stand still."""
    low, high = landmarks[:SKIN, :2].min(0), landmarks[:SKIN, :2].max(0)
    return bool(low.min() > 0.02 * side and high.max() < 0.98 * side)


def polygon_mask(polygon: Points, shape: tuple[int, int], origin: NDArray[np.int64]) -> NDArray[np.float32]:
    """A polygon [n 2] in pixels -> its smooth mask [h w], 0..1, whose first pixel is `origin` (x, y)."""
    drawn = np.zeros(shape, np.uint8)
    cv2.fillPoly(drawn, [np.round((polygon - origin) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return (drawn / 255).astype(np.float32)
