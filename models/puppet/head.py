"""The head in a portrait: its own axes, and how it turns about the neck. Without perspective.

Shapes: f frames, n points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.puppet.topology import CHIN, EAR_LEFT, EAR_RIGHT, FOREHEAD
from models.puppet.track import Track

Points = NDArray[np.float64]
PIVOT_DOWN, PIVOT_BACK = 0.30, 0.05  # of the face's height below the ears, and of its width behind them


@dataclass(frozen=True)
class Head:
    """`axes` [3 3]: columns across, down and back, as directions in the picture; width and height in pixels."""

    ears: Points
    axes: Points
    width: float
    height: float

    def own(self, points: Points) -> Points:
        """Points [n 3] of the picture -> in the head's frame, around the middle between the ears."""
        return (points - self.ears) @ self.axes

    def pictured(self, offsets: Points) -> Points:
        """Offsets [... 3] in the head's frame -> in the picture's."""
        return offsets @ self.axes.T

    def turned(self, points: Points, held: Track, side: int) -> Points:
        """Points [n 3] or [f n 3] of the picture -> where the head takes them in every frame [f n 3]."""
        pivot = self.ears + self.axes[:, 1] * PIVOT_DOWN * self.height + self.axes[:, 2] * PIVOT_BACK * self.width
        x, y, z = np.moveaxis(np.broadcast_to(points - pivot, (len(held), *points.shape[-2:])), -1, 0)
        sines = {name: np.sin(getattr(held, name))[:, None] for name in ("yaw", "pitch", "roll")}
        cosines = {name: np.cos(getattr(held, name))[:, None] for name in ("yaw", "pitch", "roll")}
        x, z = x * cosines["yaw"] - z * sines["yaw"], z * cosines["yaw"] + x * sines["yaw"]
        y, z = y * cosines["pitch"] + z * sines["pitch"], z * cosines["pitch"] - y * sines["pitch"]
        x, y = x * cosines["roll"] - y * sines["roll"], x * sines["roll"] + y * cosines["roll"]
        shift = np.stack([held.shift_x, held.shift_y, np.zeros(len(held))], -1) * (side / 2)
        return np.stack([x, y, z], -1) * held.scale[:, None, None] + pivot + shift[:, None]


def head_of(landmarks: Points) -> Head:
    """Landmarks [478 3] in pixels -> the head. Raises ValueError where they are no face."""
    across = landmarks[EAR_RIGHT] - landmarks[EAR_LEFT]
    width = float(np.linalg.norm(across))
    down = landmarks[CHIN] - landmarks[FOREHEAD]
    height = float(np.linalg.norm(down))
    if not (np.isfinite(landmarks).all() and width > 8 and height > 8):
        raise ValueError(f"landmarks span {width:.1f} x {height:.1f} pixels: expected a face of at least 8 x 8")
    across = across / width
    down = down - across * (across @ down)
    down = down / np.linalg.norm(down)
    axes = np.stack([across, down, np.cross(across, down)], 1)
    return Head((landmarks[EAR_LEFT] + landmarks[EAR_RIGHT]) / 2, axes, width, height)


def eased(share: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, smooth between."""
    held = np.clip(share, 0, 1)
    return held * held * (3 - 2 * held)
