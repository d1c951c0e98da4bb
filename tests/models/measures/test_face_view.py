"""Pixels of a face, on a picture made up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.measures.face_view import CHIP, chip, decibels_to, mouth_detail, sharpness, similarity, view
from models.measures.mesh import LIPS
from tests.support.mesh_points import mesh_points

AT = mesh_points(opening=0.05)


def cloudy(side: int = 512, seed: int = 0, fine: float = 3.0) -> NDArray[np.uint8]:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((side, side, 3)), (0, 0), fine)
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


def moved(picture: NDArray[np.uint8], dx: float, dy: float) -> NDArray[np.uint8]:
    matrix = np.array([[1.0, 0, dx], [0, 1, dy]])
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def test_a_view_of_a_large_picture_is_that_of_a_small_one() -> None:
    small = cloudy(600, fine=8)
    large = cv2.resize(small, (2400, 2400), interpolation=cv2.INTER_CUBIC)
    one, other = view(small, (44.0, 30.0, 400.0)), view(large, (176.0, 120.0, 1600.0))
    assert one.shape == other.shape == (512, 512, 3)
    assert np.abs(one.astype(float) - other).mean() < 2.5


def test_beyond_the_edge_the_border_goes_on() -> None:
    found = view(np.full((100, 100, 3), 77, np.uint8), (-50.0, -50.0, 200.0))
    assert (found == 77).all()


def test_a_blurred_face_is_less_sharp() -> None:
    sharp = cloudy()
    assert sharpness(cv2.GaussianBlur(sharp, (0, 0), 4), AT) < 0.6 * sharpness(sharp, AT)
    assert sharpness(np.full((512, 512, 3), 9, np.uint8), AT) == 0


def test_a_smeared_mouth_has_less_detail() -> None:
    picture = cloudy()
    smeared = picture.copy()
    low, high = AT[list(LIPS), :2].min(0).astype(int) - 4, AT[list(LIPS), :2].max(0).astype(int) + 5
    mouth = slice(low[1], high[1]), slice(low[0], high[0])
    smeared[mouth] = cv2.GaussianBlur(picture[mouth], (0, 0), 8)
    assert mouth_detail(picture, AT) == pytest.approx(1, abs=0.15)
    assert mouth_detail(smeared, AT) < 0.5 * mouth_detail(picture, AT)


def test_the_same_face_elsewhere_is_the_same_face() -> None:
    """Also where landmarks are two pixels off."""
    portrait = cloudy(fine=5)
    frame = moved(portrait, 7.4, -3.2)
    exactly, roughly = (np.add(AT, shift) for shift in ((7.4, -3.2, 0), (9.4, -1.2, 0)))
    assert decibels_to(portrait, AT, frame, exactly) > 38
    assert decibels_to(portrait, AT, frame, roughly) > 36
    assert decibels_to(portrait, AT, cloudy(seed=1, fine=5), AT) < 15


def test_the_mouth_is_no_part_of_the_likeness() -> None:
    portrait = cloudy(fine=5)
    other = portrait.copy()
    middle, reach = (256, 320), 40
    cv2.circle(other, middle, reach, (0, 0, 0), -1)
    assert decibels_to(portrait, AT, other, AT) > 45
    cv2.circle(other, (256, 200), reach, (0, 0, 0), -1)
    assert decibels_to(portrait, AT, other, AT) < 30


def test_a_similarity_is_found() -> None:
    points = np.random.default_rng(0).standard_normal((5, 2))
    turn = 1.7 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    found = similarity(points, points @ turn.T + [4, 5])
    assert found == pytest.approx(np.concatenate([turn, [[4], [5]]], 1))


def test_eyes_lie_where_the_face_network_expects_them() -> None:
    """A leaning face is upright in its chip."""
    points = mesh_points(roll=0.35)
    picture = np.zeros((512, 512, 3), np.uint8)
    for corner in (33, 263):
        cv2.circle(picture, (round(points[corner, 0]), round(points[corner, 1])), 5, (255, 255, 255), -1)
    rows, columns = np.nonzero(chip(picture, points)[..., 0] > 60)
    left, right = columns < CHIP / 2, columns > CHIP / 2
    assert rows[left].mean() == pytest.approx(rows[right].mean(), abs=1)
    assert (columns[right].mean() - columns[left].mean()) / CHIP == pytest.approx(0.74 / 1.5, abs=0.06)
