"""A picture as if it were painted in oil: strokes along its lines, paint that catches the light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.blends.shapes import Plane, smoothed
from models.puppet.raster import pixels


def painted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [h w 3] -> the same size."""
    height, width = picture.shape[:2]
    scale = height / 960
    flat = picture.astype(np.float32)
    for _ in range(3):  # areas of one colour
        flat = np.asarray(cv2.bilateralFilter(flat, round(11 * scale) | 1, 22, 5 * scale), np.float32)
    along = _direction(flat, 5 * scale)
    strokes = _swept(flat, along, round(7 * scale))
    noise = np.random.default_rng(33).normal(size=(height, width)).astype(np.float32)
    bristles = _swept(noise[..., None], along, round(14 * scale))[..., 0]
    bristles /= bristles.std()
    broad = smoothed(bristles, 2.2 * scale)
    broad /= broad.std()
    fine = flat - smoothed(flat, 2.0 * scale)
    colour = strokes + 0.6 * fine
    middle = colour.mean(2, keepdims=True)
    colour = middle + (colour - middle) * 1.22  # oil is more colourful than a photograph
    light = np.asarray(cv2.Sobel(bristles, cv2.CV_32F, 1, 1, ksize=3), np.float32)
    light /= light.std()
    lit = colour + (2.6 * light.clip(-2.5, 2.5) + 2.0 * bristles + 2.6 * broad)[..., None]
    return np.asarray(lit.round().clip(0, 255), np.uint8)


def _direction(picture: Plane, reach: float) -> Plane:
    """[h w 2]: unit vectors along the picture's lines (structure tensor), smooth."""
    grey = smoothed(picture.mean(2), 1.5)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    xx, xy, yy = (smoothed(one, reach) for one in (across * across, across * down, down * down))
    # Where nothing has a direction, strokes fall from the upper left.
    xx, xy, yy = xx + 0.4, xy - 0.35, yy + 0.4
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)


def _swept(picture: Plane, along: Plane, steps: int) -> Plane:
    """The mean along the lines, `steps` pixels to either side."""
    height, width = picture.shape[:2]
    total, weight = picture.copy(), 1.0
    for sign in (1.0, -1.0):
        at, way = pixels(width, height).copy(), along * np.float32(sign)
        for _ in range(steps):
            at = at + way
            x, y = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
            fresh = np.asarray(cv2.remap(along, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
            turned = np.sign((fresh * way).sum(-1, keepdims=True))
            way = np.asarray(fresh * np.where(turned == 0, 1, turned), np.float32)
            taken = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            total += taken.reshape(picture.shape)
        weight += steps
    return np.asarray(total / weight, np.float32)
