"""Reads a watermark from the mean of some seconds of video: finds its scale and place, then its payload.

What is in common to the frames is host and mark; the search looks for the known part of the mark at every place
and, for pictures that were cropped, at every scale. Nothing has to be known of the title.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.watermark_code import decode, encode
from pipeline.watermark_pattern import HIGHEST, LOWEST, PUBLIC_KEY, carriers

TILE = 256  # pixels of a tile when it is searched
WORKING = 384  # short side of the mean picture
SMALLEST_SHARE = 0.72  # of the short side that a crop has left
_PROMISING = 6.0  # standard deviations of the search above which a place is tried
_SURE = 5.0  # standard deviations that the payload must stand out by
_TRIED = 6


@dataclass(frozen=True)
class Reading:
    """`payload`: 12 hexadecimal digits. `scale`: share of the short side that is left, 1 for an uncropped picture.
    `confidence`: how far known part and payload stand out, in standard deviations."""

    payload: str
    scale: float
    confidence: float


class Mean:
    """Mean luma of frames as they come, at the size that reading works on."""

    def __init__(self) -> None:
        self.frames = 0
        self._sum: np.ndarray | None = None

    def add(self, luma: np.ndarray) -> None:
        """`luma`: uint8 [height, width], any size, the same for all."""
        height, width = luma.shape
        scale = WORKING / min(height, width)
        size = (round(width * scale), round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        small = cv2.resize(luma, size, interpolation=how).astype(np.float32)
        self._sum = small if self._sum is None else self._sum + small
        self.frames += 1

    @property
    def picture(self) -> np.ndarray:
        """float32, short side 384. Raises ValueError before the first frame."""
        if self._sum is None:
            raise ValueError("no frames yet")
        return self._sum / self.frames


def read_mark(mean: np.ndarray, key: str = PUBLIC_KEY) -> Reading | None:
    """The mark in a mean picture (see `Mean`), None where there is none."""
    flat = _flattened(mean)
    template = np.conj(_spectrum(key))
    found = []
    for size in _sizes():
        spectrum = np.fft.rfft2(_on_tile(flat, size))
        spectrum *= _whitener(spectrum)
        match = np.fft.irfft2(spectrum * template)
        strength = match / match.std()
        place = int(strength.argmax())
        found.append((float(strength.flat[place]), size, *divmod(place, TILE)))
        if size == TILE and found[0][0] > 2 * _PROMISING:
            break
    for strength, size, down, right in sorted(found, reverse=True)[:_TRIED]:
        if strength < _PROMISING:
            break
        for near in _near(size):
            if reading := _read_at(flat, near, down, right, key):
                return reading
    return None


def _sizes() -> Iterator[float]:
    """Sizes of the picture's short side to try, in pixels of the tile: uncropped first."""
    yield TILE
    size = TILE * 1.01
    while size > TILE * SMALLEST_SHARE:
        yield size
        size -= 0.7


def _near(size: float) -> tuple[float, ...]:
    return (size,) if size == TILE else (size, size - 0.35, size + 0.35)


def _flattened(mean: np.ndarray) -> np.ndarray:
    """The picture without its shading, every part weighted by how little else is to be seen there.

    Widths in pixels of the working size; found by trial on photographs, cropped, halved and compressed.
    """
    detail = mean - cv2.GaussianBlur(mean, (0, 0), 2.5)
    detail = cv2.GaussianBlur(detail, (0, 0), 0.8)
    power = cv2.GaussianBlur(detail * detail, (0, 0), 3.0)
    return detail / (power + 1.0)


def _on_tile(flat: np.ndarray, size: float) -> np.ndarray:
    """The picture scaled so that its short side has `size` pixels, folded onto one tile."""
    scale = size / min(flat.shape)
    height, width = (round(edge * scale) for edge in flat.shape)
    shift = (scale - 1) / 2  # middles of pixels
    matrix = np.array([[scale, 0, shift], [0, scale, shift]])
    scaled = cv2.warpAffine(flat, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    tile = np.zeros((TILE, TILE), np.float32)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            part = scaled[top : top + TILE, left : left + TILE]
            tile[: part.shape[0], : part.shape[1]] += part
    return tile


def _bands() -> np.ndarray:
    """Frequency of every place of a tile's half spectrum, in periods a tile."""
    down, right = np.fft.fftfreq(TILE, 1 / TILE), np.fft.rfftfreq(TILE, 1 / TILE)
    return np.hypot(down[:, None], right)


_FREQUENCY = _bands()
_RING = np.rint(_FREQUENCY).astype(np.intp)
_USED = (_FREQUENCY >= LOWEST) & (_FREQUENCY <= HIGHEST)


def _whitener(spectrum: np.ndarray) -> np.ndarray:
    """What makes every ring of frequencies as strong as any other; 0 outside the mark's band."""
    power = np.bincount(_RING.ravel(), (np.abs(spectrum) ** 2).ravel()) / np.bincount(_RING.ravel())
    power = np.convolve(power, np.ones(5) / 5, "same")
    return np.where(_USED, 1 / np.sqrt(power[_RING] + 1e-12), 0)


def _spectrum(key: str) -> np.ndarray:
    """Half spectrum of the known part of a tile."""
    return np.fft.rfft2(_cosines(0.0).T @ carriers(key).known.astype(np.float64) @ _cosines(0.0))


def _cosines(place: float) -> np.ndarray:
    """[orders, TILE]: the cosines of a mark that begins at `place` of the tile."""
    return np.cos(2 * np.pi / TILE * np.arange(HIGHEST + 1)[:, None] * (np.arange(TILE) + 0.5 - place))


def _read_at(flat: np.ndarray, size: float, down: int, right: int, key: str) -> Reading | None:
    spectrum = np.fft.rfft2(_on_tile(flat, size))
    spectrum *= _whitener(spectrum)
    white = np.fft.irfft2(spectrum)
    tables = carriers(key)
    best: tuple[float, np.ndarray] | None = None
    for dy in (-0.5, 0.0, 0.5):
        rows = _cosines(down + dy) @ white
        for dx in (-0.5, 0.0, 0.5):
            coefficients = rows @ _cosines(right + dx).T
            score = float(np.sum(coefficients * tables.known))
            if best is None or score > best[0]:
                best = score, coefficients
    assert best is not None
    score, coefficients = best
    soft = tables.soft(coefficients)
    payload = decode(soft)
    if payload is None:
        return None
    used = coefficients[(tables.bit >= 0) | (tables.known != 0)]
    agreed = score + float(np.sum(soft * encode(payload)))
    confidence = agreed / (float(used.std()) * np.sqrt(used.size))
    return Reading(payload, round(size / TILE, 3), round(float(confidence), 1)) if confidence >= _SURE else None
