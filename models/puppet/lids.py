"""A closing lid shows skin that the portrait hides in its crease: painted in the tone of the skin around the eye."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.head import Points
from models.puppet.surroundings import polygon_mask
from models.puppet.topology import EYES, Eye

COVER = 0.85  # of the moved pixels that the tone replaces on a closed lid
GRAIN = 0.35
LASHES = 0.75
LASH_COLOUR = np.array([18.0, 13.0, 12.0])


def lid_tones(picture: NDArray[np.uint8], landmarks: Points, down: Points) -> tuple[NDArray[np.float64], ...]:
    """Colours [3] of both eyes' lids, from the skin just below and above the eye; `down` [2] along the face."""
    found = []
    for eye in EYES:
        width = float(np.linalg.norm(landmarks[eye.upper[0], :2] - landmarks[eye.upper[-1], :2]))
        below, above = landmarks[eye.lower[4], :2], landmarks[eye.crease[3], :2]
        radius = max(1, int(0.06 * width))
        under = np.mean([patch(picture, below + down * width * far, radius) for far in (0.30, 0.42)], 0)
        over = [patch(picture, above - down * width * far, radius) for far in (0.0, 0.08, 0.2)]
        lightest = max(
            over, key=lambda one: float(one.sum())
        )  # not the shadow of the crease, nor what is painted on it
        found.append((0.6 * under + 0.4 * lightest) * 0.9)
    return tuple(found)


def patch(picture: NDArray[np.uint8], place: Points, radius: int) -> NDArray[np.float64]:
    """The median colour [3] around a place."""
    side = len(picture)
    x, y = (int(np.clip(value, radius, side - radius - 1)) for value in place)
    around = picture[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return np.median(around.reshape(-1, 3), axis=0).astype(np.float64)


def paint_lid(frame: NDArray[np.float32], eye: Eye, points: Points, tone: NDArray[np.float64], closed: float) -> None:
    """`points` [478 2] in the frame; `closed` 0..1; in place."""
    upper, crease = points[list(eye.upper)], points[list(eye.crease)]
    width = float(np.linalg.norm(upper[0] - upper[-1]))
    polygon = np.concatenate([upper, crease[::-1]])
    reach = 2 + int(0.1 * width)
    low = np.maximum(polygon.min(0).astype(int) - reach, 0)
    high = np.minimum(polygon.max(0).astype(int) + reach + 1, frame.shape[1::-1])
    if (high - low).min() < 2 or width < 4:
        return
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    shape = (int(high[1] - low[1]), int(high[0] - low[0]))
    skin = cv2.GaussianBlur(polygon_mask(polygon, shape, low), (0, 0), 0.05 * width) * closed * COVER
    line = np.zeros(shape, np.uint8)
    drawn = np.round((upper - low) * 16).astype(np.int32)
    cv2.polylines(line, [drawn], False, 255, max(1, round(0.035 * width)), cv2.LINE_AA, 4)
    lashes = cv2.GaussianBlur(line.astype(np.float32) / 255, (0, 0), 0.018 * width + 0.4) * closed * LASHES
    # The lid bulges: lightest in its middle.
    rows = np.arange(low[1], high[1])[:, None]
    crease_y, edge_y = crease[:, 1].mean(), upper[1:-1, 1].mean()
    bulge = np.clip((rows - (crease_y + edge_y) / 2) / (abs(edge_y - crease_y) + 1), -1, 1)
    shaded = tone * (0.98 + 0.10 * np.cos(bulge * np.pi))[..., None]
    smooth = cv2.GaussianBlur(frame[part], (0, 0), 0.05 * width + 0.5)
    grain = GRAIN * (frame[part] - smooth)  # of the skin, without most of what lashes were stretched to
    frame[part] = frame[part] * (1 - skin[..., None]) + (shaded + grain) * skin[..., None]
    dark = 0.6 * LASH_COLOUR + 0.15 * tone
    frame[part] = frame[part] * (1 - lashes[..., None]) + dark * lashes[..., None]
