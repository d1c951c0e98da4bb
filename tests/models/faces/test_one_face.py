"""One face, or a reason why there is none, in plain words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.faces.face_points import FaceReading
from models.faces.one_face import angles, one_face
from models.faces.portrait import PortraitProblem
from models.puppet.head import head_of
from models.puppet.topology import canonical
from models.puppet.track import track


def reading(
    x: float = 300.0, y: float = 300.0, size: float = 200.0, certain: float = 0.95, yaw: float = 0.0, pitch: float = 0.0
) -> FaceReading:
    points = canonical().points * size + [x, y, 0]
    held = track(1, yaw=np.radians(yaw), pitch=np.radians(pitch))
    return FaceReading(torch.from_numpy(head_of(points).turned(points, held, 600)[0]).float(), certain)


def test_the_face_of_a_portrait() -> None:
    face = one_face([reading(), reading(50, 60, 30), reading(400, 400, 190, certain=0.3)], 600, 600)
    x, y, width, height = face.face_box
    assert x < 300 < x + width
    assert height == pytest.approx(face.height, rel=0.1)
    lips = face.lip_box
    assert lips[1] > y + height / 2
    assert lips[2] < width / 2
    assert abs(face.yaw) < 2
    assert abs(face.roll) < 2


@pytest.mark.parametrize("yaw", [-30.0, -10.0, 15.0, 30.0])
def test_a_turned_head_is_told_from_its_points(yaw: float) -> None:
    assert angles(reading(yaw=yaw).points)[0] == pytest.approx(yaw, abs=3)
    assert angles(reading(pitch=yaw / 2).points)[1] == pytest.approx(yaw / 2, abs=3)


@pytest.mark.parametrize(
    ("readings", "message"),
    [
        ([], "no face was found .* 600 x 600: give another picture"),
        ([reading(certain=0.4)], "no face was found"),
        ([reading(150), reading(450, size=160)], r"2 faces were found in the portrait, at \(150, .*give face_box"),
        ([reading(size=40)], "of the portrait's height: expected 12% to 97%"),
        ([reading(yaw=45)], "turned by 4[0-9] degrees to the right"),
        ([reading(yaw=-45)], "to the left"),
    ],
)
def test_why_there_is_none(readings: list[FaceReading], message: str) -> None:
    with pytest.raises(PortraitProblem, match=message):
        one_face(readings, 600, 600)
