"""Frames made of coarse flow and contours look as the puppet's own, and lips lie where they are told to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.puppet.composed import CELLS, TOLD_SIDE, Composer, Told, forwards
from models.puppet.eye_rig import lid_closed
from models.puppet.puppet import Puppet
from models.puppet.teeth import read_teeth
from models.puppet.topology import INNER_LOWER, INNER_UPPER
from models.puppet.track import track
from tests.models.puppet.test_puppet import SIDE, face, picture

HELD = track(
    3, yaw=np.array([0.0, 0.1, -0.08]), opening=np.array([0.0, 0.5, 0.9]), blink=np.array([0.0, 0.0, 1.0]),
    roll=np.array([0.0, 0.05, -0.03]), teeth=np.array([0.5, 0.7, 0.3]),
)  # fmt: skip


def told(puppet: Puppet) -> list[tuple[np.ndarray, Told]]:
    """The puppet's frames, and what is told of them."""
    scale, found = TOLD_SIDE / SIDE, []
    for place, frame in enumerate(puppet.frames(HELD)):
        flow = cv2.resize(frame.flow, (CELLS, CELLS), interpolation=cv2.INTER_AREA).transpose(2, 0, 1) * scale
        said = Told(flow, frame.lips * scale, frame.lids * scale, teeth=float(HELD.teeth[place]),
                    closed=float(lid_closed(HELD)[place]))  # fmt: skip
        found.append((frame.picture, said))
    return found


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(one.astype(float) - other).mean(), 1e-9)))


@pytest.mark.parametrize("gap", [0.0, 10.0])
def test_what_is_told_of_a_puppet_makes_its_frame(gap: float) -> None:
    drawn, landmarks, teeth = picture(), face(gap), read_teeth()[0]
    composer = Composer(drawn, landmarks, teeth)
    mouth = (slice(170, 230), slice(120, 200))
    for seen, said in told(Puppet(drawn, landmarks, teeth)):
        made = composer.frame(said)
        assert decibels(made.picture, seen) > 34
        assert decibels(made.picture[mouth], seen[mouth]) > 26
        assert np.abs(made.lips * TOLD_SIDE / SIDE - said.lips)[:, 1:-1].max() < 1e-6
        assert not made.flow[0].any()


def test_lips_are_moved_finer_than_the_flow() -> None:
    """Against the same flow with the contours left where the flow takes them."""
    drawn, landmarks, teeth = picture(3), face(), read_teeth()[0]
    composer = Composer(drawn, landmarks, teeth)
    seen, said = told(Puppet(drawn, landmarks, teeth))[1]
    size = (SIDE, SIDE)
    planes = [cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_CUBIC) for plane in said.flow]
    carried = forwards(np.stack(planes, -1) * np.float32(SIDE / TOLD_SIDE), landmarks[:, :2])
    lips = carried[[list(INNER_UPPER), list(INNER_LOWER)]] * TOLD_SIDE / SIDE
    blunt = Told(said.flow, lips, said.lids, teeth=said.teeth)
    mouth = (slice(170, 230), slice(120, 200))
    sharp, blurred = (decibels(composer.frame(one).picture[mouth], seen[mouth]) for one in (said, blunt))
    assert sharp > blurred + 2


def test_a_larger_portrait_is_moved_alike() -> None:
    """What is told holds at any resolution: twice the size, the same frame but finer."""
    drawn, landmarks, teeth = picture(), face(), read_teeth()[0]
    _, said = told(Puppet(drawn, landmarks, teeth))[1]
    large = cv2.resize(drawn, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
    big = Composer(large, landmarks * 2 + 0.5, teeth).frame(said).picture
    small = Composer(drawn, landmarks, teeth).frame(said).picture
    assert decibels(cv2.resize(big, (SIDE, SIDE), interpolation=cv2.INTER_AREA), small) > 30
    with pytest.raises(ValueError, match="expected"):
        Composer(drawn, landmarks, teeth).frame(Told(said.flow[:1], said.lips, said.lids))


def test_points_go_where_the_flow_takes_them() -> None:
    x, y = np.meshgrid(np.arange(64.0), np.arange(64.0))
    flow = np.stack([3 * np.sin(y / 20), 2 + 0 * x], -1).astype(np.float32)
    points = np.array([[30.0, 30.0], [12.5, 40.0]])
    at = forwards(flow, points)
    back = at + np.stack([3 * np.sin(at[:, 1] / 20), np.full(2, 2.0)], 1)
    assert np.abs(back - points).max() < 0.02
