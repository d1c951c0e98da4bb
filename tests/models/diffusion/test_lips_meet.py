"""What nearly shuts between two sounds shuts; what ends, begins or goes on stays as it was told."""

from __future__ import annotations

import torch

from models.diffusion.lips_meet import AROUND, parted, with_lips


def shares(*openings: float) -> list[float]:
    """Of the frames that have AROUND others on both sides."""
    found: list[float] = parted(torch.tensor(openings)).tolist()
    assert len(found) == len(openings) - 2 * AROUND
    return found


def test_a_dip_between_two_sounds_is_a_closure() -> None:
    assert shares(0.6, 0.6, 0.6, 0.1, 0.6, 0.6, 0.6) == [0.0]
    assert shares(0.6, 0.6, 0.6, 0.5, 0.6, 0.6, 0.6) == [1.0]
    assert 0 < shares(0.6, 0.6, 0.6, 0.25, 0.6, 0.6, 0.6)[0] < 1


def test_a_closure_of_three_frames_is_one() -> None:
    assert shares(0.5, 0.6, 0.6, 0.1, 0.08, 0.1, 0.6, 0.6, 0.5) == [0.0, 0.0, 0.0]


def test_what_ends_or_begins_takes_its_time() -> None:
    assert shares(0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1) == [1.0]
    assert shares(0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6) == [1.0]


def test_in_silence_lips_meet() -> None:
    assert shares(*[0.0] * 9) == [0.0] * 3
    assert max(shares(*[0.02] * 9)) < 0.2
    assert shares(*[0.1] * 9) == [1.0] * 3


def test_lips_come_together_where_they_are() -> None:
    lips = torch.tensor([[[[0.0, 10.0]] * 11, [[0.0, 20.0]] * 11]]).repeat(3, 1, 1, 1)
    half = with_lips(lips, torch.tensor([0.0, 0.5, 1.0]))
    gaps = (half[:, 1] - half[:, 0])[..., 1]
    torch.testing.assert_close(gaps[:, 5], torch.tensor([0.0, 5.0, 10.0]))
    assert torch.equal(half[2], lips[2])
    assert 10 < float(half[0, 0, 5, 1]) < 15
