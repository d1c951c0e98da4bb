"""A portrait that smiles with its mouth open: its lips are found below its teeth, and they close."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.puppet.parted_lips import PartedLips
from models.puppet.shown_teeth import below_teeth
from models.puppet.topology import INNER_LOWER, INNER_UPPER, LOWER_RINGS
from models.puppet.track import Track, track
from tests.models.puppet.test_puppet import SIDE, face

SKIN, TOOTH, LIP = (190, 130, 110), (225, 222, 210), (150, 60, 60)


def smiling(gap: float, wide: float = 1.35) -> NDArray[np.uint8]:
    """Teeth between the lips of a mouth open by `gap`, red below them."""
    drawn = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    for more, colour in ((9.0, LIP), (0.0, TOOTH)):
        points = face(gap + more, wide)[[*INNER_UPPER, *INNER_LOWER[::-1]], :2]
        cv2.fillPoly(drawn, [points.round().astype(np.int32)], colour)
    return drawn


def middle(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights of the lower lip's inner middle [3]."""
    return landmarks[list(INNER_LOWER[4:7]), 1]


def test_a_lip_that_was_read_within_the_teeth_is_brought_below_them() -> None:
    drawn, read, truth = smiling(14.0), face(9.0, 1.35), face(14.0, 1.35)
    assert np.abs(middle(read) - middle(truth)).min() > 4
    found = below_teeth(drawn, read)
    assert np.abs(middle(found) - middle(truth)).max() < 1.5
    rings = [found[list(ring[4:7]), 1] - read[list(ring[4:7]), 1] for ring in LOWER_RINGS]
    assert all((one >= other - 1e-9).all() for one, other in pairwise(rings))
    assert np.abs(rings[-1]).max() == 0


@pytest.mark.parametrize("what", ["right", "lip", "no smile", "no end"])
def test_what_is_no_tooth_moves_no_lip(what: str) -> None:
    wide = 0.95 if what == "no smile" else 1.35
    drawn, read = smiling(14.0, wide), face(9.0, wide)
    if what == "right":
        read = face(14.0, wide)
    elif what == "lip":
        drawn[np.all(drawn == TOOTH, -1)] = LIP
    elif what == "no end":  # a tongue or a pale chin
        drawn[np.all(drawn == LIP, -1)] = TOOTH
        drawn[int(read[13, 1]) :] = TOOTH
    assert np.abs(below_teeth(drawn, read) - read).max() < 2


def numbers(held: Track) -> NDArray[np.float64]:
    return np.stack([getattr(held, name) for name in held.__dataclass_fields__], 1)


def test_lips_of_an_open_mouth_meet_when_nothing_is_said() -> None:
    landmarks = face(12.0, 1.3)
    lips = PartedLips(landmarks, SIDE)
    assert lips.share == 1
    told = np.tile(landmarks[[INNER_UPPER, INNER_LOWER], :2], (3, 1, 1, 1))  # a network that lets it hang open
    found = lips.contours(numbers(track(3, opening=np.array([0.0, 0.3, 0.8]))), told)
    gaps = (found[:, 1] - found[:, 0])[..., 1]
    assert gaps[0].max() < 0.7
    assert gaps[1, 5] > 2
    assert gaps[2, 5] > gaps[1, 5] + 3
    assert np.allclose(found[:, :, [0, -1]].mean((1, 2)), told[:, :, [0, -1]].mean((1, 2)))


def test_a_mouth_that_is_shut_does_what_is_told() -> None:
    lips = PartedLips(face(), SIDE)
    told = np.random.default_rng(2).normal(100, 10, (2, 2, 11, 2))
    assert lips.share == 0
    assert lips.contours(numbers(track(2)), told) is told
