"""The colours of a person's mouth, taken from the portrait's own light: whites of the eyes, skin, lips."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.head import Points
from models.puppet.lids import patch
from models.puppet.mouth_inside import Look
from models.puppet.teeth import Teeth
from models.puppet.topology import EAR_LEFT, EAR_RIGHT, EYES, LOWER_RINGS

CHEEKS = (205, 425, 50, 280)
LIGHTS = np.array([0.299, 0.587, 0.114])


def look_of(picture: NDArray[np.uint8], landmarks: Points, teeth: Teeth) -> Look:
    """picture [s s 3], landmarks [478 3] -> how the inside of this mouth looks."""
    unit = float(np.linalg.norm(landmarks[EAR_RIGHT] - landmarks[EAR_LEFT]))
    radius = max(2, int(0.02 * unit))
    skin = np.mean([patch(picture, landmarks[place, :2], radius) for place in CHEEKS], 0)
    lip = np.mean([patch(picture, landmarks[place, :2], max(1, radius // 2)) for place in LOWER_RINGS[2][3:8]], 0)
    light = float(skin @ LIGHTS)
    whites = [white for eye in EYES if (white := _white(picture, landmarks[list(eye.ring), :2])) is not None]
    tint = np.mean(whites, 0) if whites else np.full(3, light)
    # Teeth have the light's tint, a little warmer, and are about as bright as lit skin, whatever its tone.
    tint = 0.75 * tint / max(float(tint @ LIGHTS), 1) + 0.25 * np.array([1.02, 1.0, 0.95])
    bright = float(np.clip(0.45 * light + 0.55 * min(1.5 * light, 190), 45, 205))
    glow = light / 150
    return Look(
        teeth=teeth,
        white=np.clip(tint * bright, 0, 225),
        tongue=0.55 * lip + 0.45 * np.array([150.0, 72.0, 80.0]) * glow,
        dark=np.array([40.0, 16.0, 18.0]) * min(glow, 1.2) + 3,
        unit=unit,
    )


def _white(picture: NDArray[np.uint8], ring: Points) -> NDArray[np.float64] | None:
    """The lightest, least coloured fifth of an eye [3]; None where the eye is too small."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(ring).astype(np.int32)], 1)
    seen = picture[mask > 0].astype(np.float64)
    if len(seen) < 20:
        return None
    value = seen.max(1) - 0.7 * np.ptp(seen, axis=1)
    found: NDArray[np.float64] = seen[value >= np.percentile(value, 80)].mean(0)
    return found
