"""A frame from what is told of its movement: coarse flow, contours of lips and lids, a few numbers.

Flow of 32 x 32 cells moves all of a photograph but its lips and lids well: those are finer than a cell. They are moved
to the contours by the triangles around them, and what the portrait has nothing to show for is drawn: the inside of the
mouth, closed lids. The same drawing as the puppet's, at any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.eyeballs import eyeballs, show_eye
from models.puppet.fine_source import FineSource
from models.puppet.head import Points, head_of
from models.puppet.lids import lid_tones, paint_lid
from models.puppet.look import look_of
from models.puppet.mouth_inside import draw_inside
from models.puppet.puppet import LID_SEEN, Frame, softened
from models.puppet.raster import backward, pixels
from models.puppet.surroundings import polygon_mask, still_border
from models.puppet.teeth import Teeth
from models.puppet.topology import EYES, INNER_LOWER, INNER_UPPER, LOWER_RINGS, POINTS, UPPER_RINGS, canonical, strips

TOLD_SIDE, CELLS = 512, 32  # pixels in which movement is told; cells of its flow
FOLLOWS = (1.0, 0.85, 0.6, 0.3)  # how far the lips' rings go where the inner contour is to go
AROUND = 4  # pixels around lips and eyes that are drawn with them
CREASE = 0.4  # and how far a lid's crease goes with its edge


@dataclass(frozen=True)
class Told:
    """Of one frame, in pixels of a portrait of 512 x 512."""

    flow: Points  # [2 32 32], backwards
    lips: Points  # [2 11 2]
    lids: Points  # [2 2 9 2]
    teeth: float = 0.5
    rounding: float = 0.0
    smile: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    closed: float = 0.0
    """How far the lids are shut."""


class Composer:
    """One portrait [s s 3] with its landmarks [478 3] in its pixels."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Points, teeth: Teeth) -> None:
        self.picture, self.landmarks, self.side = np.ascontiguousarray(picture), landmarks, len(picture)
        self.scale = self.side / TOLD_SIDE
        self.balls = eyeballs(landmarks)
        self.tones = lid_tones(self.picture, landmarks, head_of(landmarks).axes[:2, 1])
        self.look = look_of(self.picture, landmarks, teeth)
        self.fine = FineSource(self.picture)
        fine = {point for rings in (UPPER_RINGS, LOWER_RINGS) for ring in rings for point in ring}
        fine |= {point for eye in EYES for point in (*eye.ring, *eye.crease)}
        triangles = canonical().triangles
        near = np.isin(triangles, sorted(fine)).any(1)
        self.triangles = np.concatenate([triangles[near], strips()])
        self.near = np.unique(self.triangles)

    def frame(self, told: Told) -> Frame:
        """Raises ValueError where what is told has another shape."""
        if told.flow.shape != (2, CELLS, CELLS) or told.lips.shape != (2, 11, 2) or told.lids.shape != (2, 2, 9, 2):
            raise ValueError(
                f"flow {told.flow.shape}, lips {told.lips.shape}, lids {told.lids.shape}: expected "
                f"(2, {CELLS}, {CELLS}), (2, 11, 2) and (2, 2, 9, 2)"
            )
        picture, source, hole, points = self._drawn(told)
        return Frame(picture, source - pixels(self.side), hole, points[:, :2])

    def picture_of(self, told: Told) -> NDArray[np.uint8]:
        """A frame's picture alone [s s 3]."""
        return self._drawn(told)[0]

    def _drawn(self, told: Told) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32], Points]:
        """Picture [s s 3], where its pixels were in the portrait [s s 2], its hole [s s] and points [478 3]."""
        cells = np.ascontiguousarray(told.flow.transpose(1, 2, 0), np.float32) * np.float32(self.scale)
        source = np.asarray(cv2.resize(cells, (self.side, self.side), interpolation=cv2.INTER_CUBIC), np.float32)
        points = self.points(source, told)
        own = pixels(self.side)
        cv2.add(source, own, source)
        still_border(source, own)
        picture = self.fine.read(source)
        hole = np.zeros((self.side, self.side), np.float32)
        part, corner = self._fine_part(points)
        self._draw_fine(picture[part], source[part], hole[part], points - np.append(corner, 0), told)
        return picture, source, hole, points

    def _fine_part(self, points: Points) -> tuple[tuple[slice, slice], NDArray[np.int64]]:
        """What is around lips and eyes of a frame, within its still border, and its first pixel (x, y)."""
        near = points[self.near, :2]
        low = np.clip(np.floor(near.min(0)).astype(int) - AROUND, 1, self.side - 3)
        high = np.clip(np.ceil(near.max(0)).astype(int) + AROUND + 1, low + 2, self.side - 1)
        return (slice(low[1], high[1]), slice(low[0], high[0])), low

    def _draw_fine(
        self,
        picture: NDArray[np.uint8],
        source: NDArray[np.float32],
        hole: NDArray[np.float32],
        points: Points,
        told: Told,
    ) -> None:
        """Lips, lids and what the portrait does not show, in place; `points` are the part's own pixels."""
        source[:] = backward(self.triangles, points, self.landmarks[:, :2], self.side, source)
        frame = softened(self.fine.read(source).astype(np.float32), source)
        flat = points[:, :2]
        for eye, ball, tone in zip(EYES, self.balls, self.tones, strict=True):
            plane = _plane(self.landmarks[[eye.upper[0], eye.upper[-1]], :2], flat[[eye.upper[0], eye.upper[-1]]])
            show_eye(self.picture, frame, source, ball, flat[list(eye.ring)], plane, told.gaze, told.closed)
            if told.closed > LID_SEEN:
                paint_lid(frame, eye, flat, tone, told.closed)
                lid = np.concatenate([flat[list(eye.upper)], flat[list(eye.crease)][::-1]])
                hole[:] = np.maximum(hole, told.closed * polygon_mask(lid, hole.shape, np.zeros(2, np.int64)))
        lips = flat[list(INNER_UPPER)], flat[list(INNER_LOWER)]
        mouth = draw_inside(frame, *lips, self.look, teeth=told.teeth, rounding=told.rounding, smile=told.smile)
        hole[:] = np.maximum(hole, mouth)
        picture[:] = np.clip(np.round(frame), 0, 255).astype(np.uint8)

    def points(self, flow: NDArray[np.float32], told: Told) -> Points:
        """Where the landmarks go [478 3]: with the flow [s s 2], those of lips and lids to their contours."""
        placed = forwards(flow, self.landmarks[:, :2])
        for rings, contour in ((UPPER_RINGS, told.lips[0]), (LOWER_RINGS, told.lips[1])):
            off = contour * self.scale - placed[list(rings[0])]
            for ring, share in zip(rings, FOLLOWS, strict=True):
                inner = list(ring[1:-1])
                placed[inner] += share * off[1:-1]
                if rings is UPPER_RINGS:
                    placed[[ring[0], ring[-1]]] += share * off[[0, -1]]
        for eye, (upper, lower) in zip(EYES, told.lids, strict=True):
            off = upper * self.scale - placed[list(eye.upper)]
            placed[list(eye.crease)] += CREASE * off[1:-1]
            placed[list(eye.lower)] = lower * self.scale
            placed[list(eye.upper)] = upper * self.scale
        return np.concatenate([placed, self.landmarks[:POINTS, 2:]], 1)


def forwards(flow: NDArray[np.float32], points: Points, rounds: int = 8) -> Points:
    """Where backward flow [s s 2] takes points [n 2] of the portrait: the place whose source each is."""
    at = points.copy()
    for _ in range(rounds):
        x, y = (at[:, axis : axis + 1].astype(np.float32) for axis in range(2))
        at = points - cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    return at


def _plane(corners: Points, moved: Points) -> Points:
    """The turn, scale and shift [2 3] that takes two points to two others."""
    one, other = corners[1] - corners[0], moved[1] - moved[0]
    ratio = complex(*other) / complex(*one)
    linear = np.array([[ratio.real, -ratio.imag], [ratio.imag, ratio.real]])
    return np.concatenate([linear, (moved[0] - linear @ corners[0])[:, None]], 1)
