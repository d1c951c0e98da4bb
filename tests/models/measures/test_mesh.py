"""Numbers of landmarks: the same of a small face, a large one, a leaning one."""

from __future__ import annotations

import numpy as np
import pytest

from models.measures.mesh import face_numbers, face_square, height_of
from tests.support.mesh_points import mesh_points


@pytest.mark.parametrize("more", [{}, {"height": 60.0, "middle": (900.0, 80.0)}, {"roll": 0.4}])
def test_openings_are_shares_of_the_face(more: dict) -> None:
    found = face_numbers(mesh_points(opening=0.08, lids=0.25, **more))
    assert found.opening == pytest.approx(0.08)
    assert found.lids == pytest.approx(0.25)
    assert found.gaze == pytest.approx((0.0, 0.0), abs=1e-9)


def test_depth_counts_as_length() -> None:
    points = mesh_points(opening=0.06)
    points[14, 2] += 0.08 * 256
    assert face_numbers(points).opening == pytest.approx(0.1)


def test_eyes_look_aside() -> None:
    points = mesh_points()
    points[[468, 473], 0] += 0.02 * 256
    assert face_numbers(points).gaze == pytest.approx((0.02 / 0.12, 0.0))


def test_a_place_is_told_in_widths_of_the_face() -> None:
    places = ((200.0, 200.0), (200 + 0.7 * 256, 200.0))
    one, other = (face_numbers(mesh_points(middle=middle)).place for middle in places)
    assert np.subtract(other, one) == pytest.approx((1.0, 0.0))


def test_the_square_is_twice_the_face() -> None:
    points = mesh_points(height=100.0, middle=(300.0, 200.0))
    x, y, side = face_square(points)
    assert side == pytest.approx(2 * height_of(points)) == pytest.approx(200)
    assert (x + side / 2, y + side / 2) == pytest.approx((300, 200), abs=3)
