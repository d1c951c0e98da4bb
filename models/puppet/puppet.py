"""A portrait that moves: frames, where every pixel came from, what the portrait had nothing to show for, contours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.eye_rig import eye_rig, lid_closed
from models.puppet.eyeballs import eyeballs, planes_moved, show_eye
from models.puppet.head import Points, head_of
from models.puppet.lids import lid_tones, paint_lid
from models.puppet.look import look_of
from models.puppet.mouth_inside import draw_inside
from models.puppet.mouth_rig import mouth_rig
from models.puppet.raster import backward, pixels
from models.puppet.surroundings import fits, polygon_mask, still_border, surroundings
from models.puppet.teeth import Teeth
from models.puppet.topology import EYES, INNER_LOWER, INNER_UPPER, OVAL, canonical, strips
from models.puppet.track import Track

JUMP = 3.5  # pixels between neighbours' sources from which there is an edge
LID_SEEN = 0.04  # how far lids are shut from which they are painted


@dataclass(frozen=True)
class Frame:
    picture: NDArray[np.uint8]  # [s s 3]
    flow: NDArray[np.float32]  # [s s 2]: a pixel's place in the portrait, less its own; 0 at the border
    hole: NDArray[np.float32]  # [s s] 0..1: what the portrait has nothing to show for, mouth and lids
    landmarks: Points  # [478 2]

    @property
    def lips(self) -> Points:
        """Inner contours [2 11 2], upper then lower, from the left corner to the right."""
        return self.landmarks[[list(INNER_UPPER), list(INNER_LOWER)]]

    @property
    def lids(self) -> Points:
        """[2 2 9 2]: of the eye at the left and the right, upper and lower, from the outer corner to the inner."""
        return np.stack([self.landmarks[[list(eye.upper), list(eye.lower)]] for eye in EYES])


class Puppet:
    """Raises ValueError where the face does not lie within the picture."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Points, teeth: Teeth) -> None:
        """picture [s s 3], red first; landmarks [478 3] in its pixels."""
        side = len(picture)
        if picture.shape != (side, side, 3) or not fits(landmarks, side):
            low, high = landmarks.min(0)[:2].round(), landmarks.max(0)[:2].round()
            raise ValueError(
                f"a face from {low} to {high} in a picture of {picture.shape}: expected a square "
                "that holds all of the face"
            )
        self.picture, self.landmarks, self.side = np.ascontiguousarray(picture), landmarks.astype(np.float64), side
        self.head = head_of(self.landmarks)
        own = self.head.own(self.landmarks)
        self.mouth, self.eyes = mouth_rig(self.head, own), eye_rig(self.head, own)
        self.around = surroundings(self.landmarks, self.head, side)
        self.triangles = np.concatenate([canonical().triangles, strips(), self.around.triangles])
        self.sources = np.concatenate([self.landmarks[:, :2], self.around.points[:, :2]])
        self.balls = eyeballs(self.landmarks)
        self.tones = lid_tones(self.picture, self.landmarks, self.head.axes[:2, 1])
        self.look = look_of(self.picture, self.landmarks, teeth)

    def points(self, held: Track) -> Points:
        """All points of the mesh in every frame [f n 3], landmarks first."""
        offsets = self.head.pictured(self.mouth.offsets(held) + self.eyes.offsets(held))
        moved = self.landmarks + offsets
        face = self.head.turned(moved, held, self.side)
        oval = list(OVAL)
        around = self.around.moved(self.head, held, self.side, (face - moved)[:, oval], offsets[:, oval])
        return np.concatenate([face, around], 1)

    def frames(self, held: Track) -> Iterator[Frame]:
        """The portrait under every pose."""
        points, planes, closed = (
            self.points(held),
            planes_moved(self.balls, self.head, held, self.side),
            lid_closed(held),
        )
        for frame in range(len(held)):
            yield self._frame(held, frame, points[frame], planes[frame], float(closed[frame]))

    def _frame(self, held: Track, at: int, points: Points, planes: Points, closed: float) -> Frame:
        source = backward(self.triangles, points, self.sources, self.side)
        still_border(source, pixels(self.side))
        flat = points[:, :2]
        drawn = softened(self.warped(source), source)
        hole = np.zeros((self.side, self.side), np.float32)
        gaze = float(held.gaze_x[at]), float(held.gaze_y[at])
        for eye, ball, plane, tone in zip(EYES, self.balls, planes, self.tones, strict=True):
            show_eye(self.picture, drawn, source, ball, flat[list(eye.ring)], plane, gaze, closed)
            if closed > LID_SEEN:
                paint_lid(drawn, eye, flat, tone, closed)
                lid = np.concatenate([flat[list(eye.upper)], flat[list(eye.crease)][::-1]])
                hole = np.maximum(hole, closed * polygon_mask(lid, hole.shape, np.zeros(2, np.int64)))
        mouth = draw_inside(
            drawn, flat[list(INNER_UPPER)], flat[list(INNER_LOWER)], self.look, teeth=float(held.teeth[at]),
            rounding=float(held.rounding[at]), smile=float(held.smile[at]),
        )  # fmt: skip
        flow = source - pixels(self.side)
        picture = np.clip(np.round(drawn), 0, 255).astype(np.uint8)
        return Frame(picture, flow, np.maximum(hole, mouth), flat[:478])

    def warped(self, source: NDArray[np.float32]) -> NDArray[np.float32]:
        """The portrait's pixels from where `source` [s s 2] says [s s 3]."""
        return cv2.remap(
            self.picture, source[..., 0], source[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float32)


def softened(frame: NDArray[np.float32], source: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edges where one thing passes before another, a little soft, as a camera has them: pixels [s s 3] whose `source`
    [s s 2] jumps against a neighbour's."""
    jumps = np.zeros(source.shape[:2], np.float32)
    for axis in range(2):
        moved = np.abs(np.diff(source, axis=axis))
        step = np.maximum(moved[..., 0], moved[..., 1]) > JUMP
        here, there = [slice(None)] * 2, [slice(None)] * 2
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        jumps[tuple(here)][step] = 1
        jumps[tuple(there)][step] = 1
    if not jumps.any():
        return frame
    share = cv2.GaussianBlur(jumps, (0, 0), 0.8)[..., None].clip(0, 1)
    return frame * (1 - share) + cv2.GaussianBlur(frame, (0, 0), 0.9) * share


def crop_square(
    picture: NDArray[np.uint8], landmarks: Points, centre: tuple[float, float], reach: float, side: int = 512
) -> tuple[NDArray[np.uint8], Points]:
    """A square of the picture, `reach` pixels a side around `centre` -> brought to `side`, its landmarks with it."""
    scale = side / reach
    x0, y0 = centre[0] - reach / 2, centre[1] - reach / 2
    matrix = np.array([[scale, 0, -x0 * scale + (scale - 1) / 2], [0, scale, -y0 * scale + (scale - 1) / 2]])
    way = cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA
    if scale < 1:  # shrunk as a whole first, else pixels are skipped
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
        picture, matrix = np.asarray(small, np.uint8), np.array([[1.0, 0, -x0 * scale], [0, 1.0, -y0 * scale]])
    drawn = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    moved = landmarks * scale
    moved[:, 0] -= x0 * scale - (scale - 1) / 2
    moved[:, 1] -= y0 * scale - (scale - 1) / 2
    return np.ascontiguousarray(drawn, np.uint8), moved
