"""Reads a watermark from some seconds of video: finds its scale and place, then its payload.

What is in common to the frames is host and mark; the search looks for the known part of the mark at every place
and, for pictures that were cropped, at every scale. Nothing has to be known of the title.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.provenance.watermark_code import decode, encode
from pipeline.provenance.watermark_pattern import HIGHEST, LOWEST, PUBLIC_KEY, carriers

TILE = 256  # pixels of a tile when it is searched
WORKING = 384  # short side of the pictures that are read
SMALLEST_SHARE = 0.72  # of the short side that a crop has left
_PROMISING = 6.0  # standard deviations of the search above which a place is tried
_SURE = 5.0  # standard deviations that the payload must stand out by
_TRIED = 6
_AWAY = (-0.35, 0.35, -0.175, 0.175)  # sizes tried beside a promising one, in pixels of the tile
_SHIFTS = (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75)  # and places


@dataclass(frozen=True)
class Reading:
    """`payload`: 12 hexadecimal digits. `scale`: share of the short side that is left, 1 for an uncropped picture.
    `confidence`: how far known part and payload stand out, in standard deviations."""

    payload: str
    scale: float
    confidence: float


class Seen:
    """What is in common to the frames of a video, as they come."""

    def __init__(self) -> None:
        self.frames = 0
        self._sum: np.ndarray | None = None
        self._details: np.ndarray | None = None

    def add(self, luma: np.ndarray) -> None:
        """`luma`: uint8 [height, width], any size, the same for all."""
        height, width = luma.shape
        scale = WORKING / min(height, width)
        size = (round(width * scale), round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        small = cv2.resize(luma, size, interpolation=how).astype(np.float32)
        details = _details(small, 1.5, 3.0)
        self._sum = small if self._sum is None else self._sum + small
        self._details = details if self._details is None else self._details + details
        self.frames += 1

    def views(self) -> Iterator[np.ndarray]:
        """Pictures in which a mark may stand out: the mean's details, and the mean of the frames' own details, in which
        a picture that changes all the time hides less. Raises ValueError before the first frame.
        """
        if self._sum is None or self._details is None:
            raise ValueError("no frames yet")
        yield _details(self._sum / self.frames, 2.5, 1.0)
        power = _smooth(self._details**2, 3.0)
        yield self._details / (power + power.mean())


def read_mark(seen: Seen, key: str = PUBLIC_KEY) -> Reading | None:
    """The mark in what was seen, None where there is none."""
    return next((reading for view in seen.views() if (reading := _read(view, key))), None)


def _read(flat: np.ndarray, key: str) -> Reading | None:
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
        for near in (size, *(size + away for away in _AWAY if size != TILE)):
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


def _details(picture: np.ndarray, width: float, least: float) -> np.ndarray:
    """The picture without its shading, every part weighted by how little else is to be seen there.

    `width` in pixels, `least` a power in squared grey levels; found by trial on photographs, cropped, halved and
    compressed.
    """
    detail = _smooth(picture - _smooth(picture, width), 0.8)
    return detail / (_smooth(detail * detail, 3.0) + least)


def _smooth(picture: np.ndarray, width: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), width)


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
    for dy in _SHIFTS:
        rows = _cosines(down + dy) @ white
        for dx in _SHIFTS:
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
