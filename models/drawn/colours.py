"""Colours that people and their things have: sRGB, 0..1."""

from __future__ import annotations

import colorsys
from itertools import pairwise

RGB = tuple[float, float, float]

SKIN: tuple[tuple[float, RGB], ...] = (
    (-50, (0.33, 0.21, 0.155)),
    (-30, (0.46, 0.30, 0.21)),
    (-5, (0.63, 0.42, 0.29)),
    (15, (0.78, 0.57, 0.42)),
    (32, (0.89, 0.70, 0.56)),
    (45, (0.94, 0.78, 0.66)),
    (62, (0.97, 0.85, 0.76)),
)
"""By individual typology angle in degrees: dark to very light."""

HAIR: tuple[RGB, ...] = (
    (0.10, 0.09, 0.10),
    (0.17, 0.12, 0.10),
    (0.29, 0.18, 0.12),
    (0.42, 0.26, 0.15),
    (0.58, 0.38, 0.20),
    (0.80, 0.62, 0.34),
    (0.90, 0.77, 0.50),
    (0.62, 0.25, 0.12),
    (0.45, 0.15, 0.12),
    (0.62, 0.61, 0.62),
    (0.86, 0.85, 0.84),
)

IRIS: tuple[RGB, ...] = (
    (0.27, 0.15, 0.08),
    (0.40, 0.24, 0.11),
    (0.50, 0.36, 0.16),
    (0.30, 0.46, 0.26),
    (0.24, 0.47, 0.66),
    (0.36, 0.55, 0.74),
    (0.42, 0.50, 0.54),
)


def skin(angle: float) -> RGB:
    """Skin of an individual typology angle, between the ramp's steps."""
    for (low, dark), (high, light) in pairwise(SKIN):
        if angle <= high:
            return mix(dark, light, max(0.0, (angle - low) / (high - low)))
    return SKIN[-1][1]


def mix(a: RGB, b: RGB, share: float) -> RGB:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def hsv(hue: float, saturation: float, value: float) -> RGB:
    return colorsys.hsv_to_rgb(hue % 1, saturation, value)
