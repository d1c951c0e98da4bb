"""The picture six percent larger: its middle stays where it is, and nothing of it is moved or coloured."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.media.canvas import chroma_planes, planes_of
from pipeline.media.punch import PunchIn


@pytest.mark.parametrize(("width", "height"), [(64, 64), (256, 320), (512, 288), (1080, 1350)])
def test_what_lies_at_a_place_goes_out_from_the_middle(width: int, height: int) -> None:
    """A ramp across becomes 1.06 times as flat; its value in the middle stays."""
    ramp = np.broadcast_to(np.linspace(40, 200, width)[None, :, None], (height, width, 3)).astype(np.uint8)
    before = planes_of(ramp)
    after = PunchIn(width, height).on(before)
    assert after.shape == before.shape
    one, other = (planes[height // 2].astype(float) for planes in (before, after))
    inside = slice(width // 8, -width // 8)
    slopes = [np.polyfit(np.arange(width)[inside], line[inside], 1)[0] for line in (one, other)]
    assert slopes[0] / slopes[1] == pytest.approx(1.06, abs=0.02)
    assert other[width // 2] == pytest.approx(one[width // 2], abs=1.5)
    assert np.abs(chroma_planes(after, height).astype(int) - 128).max() <= 1


def test_the_same_picture_gives_the_same_bits() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (96, 64), np.uint8)
    punch = PunchIn(64, 64)
    first, second = punch.on(picture), punch.on(picture)
    assert np.array_equal(first, second)
    assert np.array_equal(first, PunchIn(64, 64).on(picture))
