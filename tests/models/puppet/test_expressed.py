"""An expression moves what it is made of, as far as the puppet does, and nothing far from it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.diffusion.movement import CELLS, at_points
from models.puppet.expressed import Expressed
from models.puppet.topology import BROWS, CHIN, EYES, INNER_UPPER, OVAL
from models.puppet.track import Track, track
from tests.models.puppet.test_puppet import SIDE, face

SCALE = 512 / SIDE
BROW = [point for brow in BROWS for point in brow]


def numbers(held: Track) -> NDArray[np.float64]:
    return np.stack([getattr(held, name) for name in held.__dataclass_fields__], 1)


def portrait() -> Expressed:
    return Expressed(face() * SCALE, 512, CELLS)


def test_nothing_that_is_said_is_an_expression() -> None:
    held = track(3, opening=0.7, rounding=0.5, yaw=0.2, blink=1.0)
    assert np.abs(portrait().movement(numbers(held))).max() < 1e-9


def test_raised_brows_go_up_and_the_chin_stays() -> None:
    moved = portrait().movement(numbers(track(2, brow=np.array([0.0, 1.0]))))
    assert np.abs(moved[0]).max() == 0
    assert (moved[1, BROW, 1] < -3).all()
    assert np.abs(moved[1, [CHIN, *INNER_UPPER]]).max() < 0.1


def test_tired_lids_fall_and_a_smile_lifts_the_corners() -> None:
    moved = portrait().movement(numbers(track(2, lids=np.array([0.5, 1.0]), smile=np.array([0.0, 1.0]))))
    assert all(moved[0, eye.upper[4], 1] > 2 for eye in EYES)
    assert (moved[1, [INNER_UPPER[0], INNER_UPPER[-1]], 1] < -1).all()


def test_flow_brings_landmarks_where_they_are_to_go() -> None:
    """Most of the way: cells are coarse, and what is around a landmark stays."""
    one = portrait()
    wanted = one.movement(numbers(track(1, brow=1.0)))
    flow = torch.from_numpy(one.flow(wanted))
    assert flow.shape == (1, 2, CELLS, CELLS)
    made = -at_points(flow, torch.from_numpy(one.points).float()[None]).numpy()
    share = (made * wanted)[0, BROW].sum() / np.square(wanted[0, BROW]).sum()
    assert 0.6 < share < 1.1
    assert np.abs(flow[:, :, -1]).max() < 0.1
    low = [point for point in OVAL if one.points[point, 1] > 300]
    assert np.abs(made[0, low]).max() < 0.5
