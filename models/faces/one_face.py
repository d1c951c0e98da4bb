"""The one face that a portrait is of: where it is, how it is held; or why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.faces.face_points import LIPS, FaceReading
from models.faces.portrait import FaceTurned, NoFace, SeveralFaces
from models.puppet.head import head_of
from models.puppet.topology import CHIN, FOREHEAD, SKIN, canonical

CERTAIN = 0.6  # from which a reading is taken for a face
SMALLEST, LARGEST = 0.12, 0.97  # height of a face in the picture's
ALIKE = 0.5  # of the largest face's height, from which another is a second person and not somebody in the background
TURNED = 35.0  # degrees of a head that can still be moved


@dataclass(frozen=True)
class PortraitFace:
    """Pixels of the portrait, a pixel's middle at .5; angles in degrees, positive yaw to the picture's right."""

    points: Tensor  # [478 3]
    face_box: tuple[float, float, float, float]  # x, y, width, height
    lip_box: tuple[float, float, float, float]
    height: float  # from forehead to chin
    yaw: float
    pitch: float
    roll: float


def one_face(readings: list[FaceReading], width: int, height: int) -> PortraitFace:
    """Readings of a picture of `width` x `height` -> its face.

    Raises NoFace where there is none or one that is too small or large, SeveralFaces, FaceTurned: PortraitProblem all.
    """
    faces = sorted((one for one in readings if one.certain >= CERTAIN), key=lambda one: -_height(one.points))
    if not faces:
        raise NoFace(
            f"no face was found in the portrait of {width} x {height}: give another picture, in which the face is at "
            f"least {SMALLEST:.0%} of the height and not covered, or say where it is by face_box and lip_box"
        )
    first = faces[0]
    rivals = [one for one in faces[1:] if _height(one.points) >= ALIKE * _height(first.points)]
    if rivals:
        places = ", ".join(f"({_middle(one.points)[0]:.0f}, {_middle(one.points)[1]:.0f})" for one in (first, *rivals))
        raise SeveralFaces(
            f"{1 + len(rivals)} faces were found in the portrait, at {places}: cut the picture, or give face_box"
        )
    share = _height(first.points) / height
    if not SMALLEST <= share <= LARGEST:
        raise NoFace(
            f"the face is {share:.0%} of the portrait's height: expected {SMALLEST:.0%} to {LARGEST:.0%}; cut the "
            "picture differently"
        )
    face = face_of(first)
    if abs(face.yaw) > TURNED:
        raise FaceTurned(
            f"the head is turned by {abs(face.yaw):.0f} degrees to the {'right' if face.yaw > 0 else 'left'}: expected "
            f"at most {TURNED:.0f}; give a picture that looks nearer to the camera"
        )
    return face


def face_of(reading: FaceReading) -> PortraitFace:
    """A reading's face, whatever it is like."""
    points = reading.points
    yaw, pitch, roll = angles(points)
    skin = points[:SKIN, :2]
    return PortraitFace(points, _box(skin), _box(points[list(LIPS), :2]), _height(points), yaw, pitch, roll)


def angles(points: Tensor) -> tuple[float, float, float]:
    """Points of a face [478 3] -> yaw, pitch and roll of its head in degrees, against the mean face's."""
    here, rest = (_angles(one) for one in (points.double().numpy(), canonical().points * 100))
    return here[0] - rest[0], here[1] - rest[1], here[2] - rest[2]


def _angles(points: NDArray[np.float64]) -> tuple[float, float, float]:
    axes = head_of(points).axes
    yaw = math.degrees(math.atan2(axes[2, 0], math.hypot(axes[0, 0], axes[1, 0])))
    pitch = -math.degrees(math.atan2(axes[2, 1], math.hypot(axes[0, 1], axes[1, 1])))
    return yaw, pitch, math.degrees(math.atan2(axes[1, 0], axes[0, 0]))


def _height(points: Tensor) -> float:
    return float((points[CHIN, :2] - points[FOREHEAD, :2]).norm())


def _middle(points: Tensor) -> list[float]:
    found: list[float] = ((points[CHIN, :2] + points[FOREHEAD, :2]) / 2).tolist()
    return found


def _box(points: Tensor) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = points.amin(0).tolist(), points.amax(0).tolist()
    return x0, y0, x1 - x0, y1 - y0
