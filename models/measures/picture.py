"""Numbers of one picture of a talking face. Nothing here has learned anything.

Shapes: h w pixels; pictures are float32 [h w 3] in 0..1; boxes x0, y0, x1, y1 in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Box = tuple[float, float, float, float]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
DARK = 0.75  # of the surrounding brightness: what is darker is an iris or a lash
SKIN = 80  # percentile of the brightness around lips: skin, unless there is a beard
MOUTH = 0.9  # of that: what is darker is an open mouth, also a soft one
LIPS_HIGHER = 1.6  # a mouth opens out of the box that it has when it is shut
LIPS_HIGHEST = 0.55  # and at least so high, over its width
LIPS_MIDDLE = (0.2, 0.8)  # across
EYES = (0.22, 0.52)  # of the face box's height, where eyes are
LIKENESS = 24  # a side, of the small picture by which a face is recognised


@dataclass(frozen=True)
class Regions:
    """Where to look, the same in every frame."""

    face: Box
    lips: Box

    def scaled(self, by: float, dx: float = 0.0, dy: float = 0.0) -> Regions:
        def move(box: Box) -> Box:
            return (box[0] * by + dx, box[1] * by + dy, box[2] * by + dx, box[3] * by + dy)

        return Regions(move(self.face), move(self.lips))


@dataclass(frozen=True)
class Seen:
    """Of one frame."""

    mouth: float
    """How much darker than skin the lips and what is between them are: grows as the mouth opens.

    With the opening of 36 drawn mouths: r = 0.95 in the median, 0.87 in the mean, -0.32 at worst.
    """
    eyes: float
    """The same of the eyes: falls when they shut."""
    sharpness: float
    """Mean step between neighbouring pixels of the face."""
    grain: float
    """What a 3 x 3 median takes away: speckle, which sharpness mistakes for detail."""
    colour: tuple[float, float, float]
    """Mean of the face."""
    likeness: NDArray[np.float32]
    """The face, small and out of focus, at mean 0 and length 1 [LIKENESS² · 3]."""
    place: tuple[float, float]
    """How far the face has moved from the first frame, in face widths."""
    change: float
    """Mean difference of the face from the frame before."""
    flicker: float
    """Mean difference of everything but the face, hair and shoulders from the frame before."""


def look(picture: Picture, regions: Regions, before: Picture | None, first: Picture) -> Seen:
    """Measure a frame beside the one before and the title's first."""
    grey, face = picture @ LUMA, _cut(picture, regions.face)
    grey_face = _cut(grey, regions.face)
    change = flicker = 0.0
    if before is not None:
        step = np.abs(grey - before @ LUMA)
        change, flicker = float(_cut(step, regions.face).mean()), float(_corners(step).mean())
    middle = cv2.medianBlur(np.ascontiguousarray(grey_face), 3)
    place = _moved(_cut(first @ LUMA, regions.face), grey_face)
    width = regions.face[2] - regions.face[0]
    return Seen(
        mouth=mouth_darkness(_lips(grey, _shifted(regions.lips, place[0] * width, place[1] * width))),
        eyes=darkness(_eyes(grey, regions.face)),
        sharpness=float(np.abs(np.diff(grey_face, axis=0)).mean() + np.abs(np.diff(grey_face, axis=1)).mean()),
        grain=float(np.abs(grey_face - middle).mean()),
        colour=tuple(face.reshape(-1, 3).mean(0).tolist()),
        likeness=_likeness(face),
        place=place,
        change=change,
        flicker=flicker,
    )


def darkness(grey: NDArray[np.float32]) -> float:
    """Mean of how far pixels lie below DARK times the median."""
    return float(np.clip(DARK * np.median(grey) - grey, 0, None).mean()) if grey.size else 0.0


def mouth_darkness(grey: NDArray[np.float32]) -> float:
    """Mean of how far pixels lie below MOUTH times the skin's brightness, as a share of that brightness."""
    if not grey.size:
        return 0.0
    skin = max(float(np.percentile(grey, SKIN)), 1e-3)
    return float(np.clip(MOUTH - grey / skin, 0, None).mean())


def _shifted(box: Box, dx: float, dy: float) -> Box:
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def _lips(grey: NDArray[np.float32], lips: Box) -> NDArray[np.float32]:
    x0, y0, x1, y1 = lips
    width, middle = x1 - x0, (y0 + y1) / 2
    half = max((y1 - y0) * LIPS_HIGHER, width * LIPS_HIGHEST) / 2
    low, high = LIPS_MIDDLE
    return _cut(grey, (x0 + low * width, middle - half, x0 + high * width, middle + half))


def _eyes(grey: NDArray[np.float32], face: Box) -> NDArray[np.float32]:
    x0, y0, x1, y1 = face
    width, height = x1 - x0, y1 - y0
    return _cut(grey, (x0 + 0.12 * width, y0 + EYES[0] * height, x1 - 0.12 * width, y0 + EYES[1] * height))


def _likeness(face: Picture) -> NDArray[np.float32]:
    small = cv2.resize(cv2.GaussianBlur(face, (0, 0), max(face.shape[:2]) / 60), (LIKENESS, LIKENESS))
    flat = small.reshape(-1, 3)
    flat = (flat - flat.mean(0)).ravel()
    return (flat / max(float(np.linalg.norm(flat)), 1e-6)).astype(np.float32)


def _moved(first: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[float, float]:
    if min(first.shape) < 8:
        return 0.0, 0.0
    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(np.ascontiguousarray(first), np.ascontiguousarray(now), window)
    return dx / first.shape[1], dy / first.shape[1]


def _corners(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """The upper corners, where a portrait has its background."""
    height, width = grey.shape
    upper = grey[: height // 4]
    return np.concatenate([upper[:, : width // 8], upper[:, -(width // 8) :]], axis=1)


def _cut(picture: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    x0, y0 = (min(max(round(low), 0), limit - 1) for low, limit in zip(box[:2], (width, height), strict=True))
    x1, y1 = max(round(box[2]), x0 + 1), max(round(box[3]), y0 + 1)
    return picture[y0:y1, x0:x1]
