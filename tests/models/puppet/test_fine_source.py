"""A picture that is read between its pixels stays as it is where nothing moves, and sharp where something does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.puppet.fine_source import BAND, FineSource
from models.puppet.raster import pixels
from tests.models.puppet.test_puppet import picture


def noisy(side: int) -> np.ndarray:
    """Detail down to a pixel and a half."""
    noise = np.random.default_rng(3).integers(0, 256, (side, side, 3)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.8).round(), np.uint8)


def steps(one: np.ndarray) -> float:
    return float(np.abs(np.diff(one.astype(float), axis=1)).mean())


@pytest.mark.parametrize("side", [64, BAND, BAND + 40])
def test_what_stands_still_is_as_it_was(side: int) -> None:
    """Also where its bands of rows meet."""
    drawn = noisy(side)
    off = np.abs(FineSource(drawn).read(pixels(side)).astype(int) - drawn)
    assert off.max() <= 2
    assert off.mean() < 0.05


def test_half_a_pixel_aside_it_is_as_sharp_as_a_cubic_reading() -> None:
    drawn = picture()
    places = pixels(len(drawn)) + np.float32(0.5)
    plain = [
        cv2.remap(drawn, places[..., 0], places[..., 1], how, borderMode=cv2.BORDER_REPLICATE)
        for how in (cv2.INTER_CUBIC, cv2.INTER_LINEAR)
    ]
    fine = FineSource(drawn).read(places)
    assert steps(fine) > 0.95 * steps(plain[0])
    noise = noisy(128)
    places = pixels(128) + np.float32(0.5)
    linear = cv2.remap(noise, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    assert steps(FineSource(noise).read(places)) > 1.15 * steps(linear)


def test_beyond_its_edges_it_goes_on() -> None:
    drawn = noisy(32)
    outside = np.full((1, 1, 2), -20.0, np.float32)
    assert np.abs(FineSource(drawn).read(outside)[0, 0].astype(int) - drawn[0, 0]).max() <= 40
    assert (FineSource(drawn).read(outside) == FineSource(drawn).read(outside - 5)).all()
