"""Where a lower lip begins below teeth that a portrait shows: landmarks of a smile often end within the teeth.

What is bright and hardly red below the upper lip is teeth; where it goes on beyond the lower lip's inner contour, that
contour is brought down to its end. Else a row of white would stay on the lip when the mouth moves.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.puppet.head import Points
from models.puppet.teeth import DEPTH, HEIGHT, SPAN, WIDTH, smiling, straightened, tooth_share
from models.puppet.topology import EAR_LEFT, EAR_RIGHT, INNER_UPPER, LOWER_RINGS

FOLLOWS = (1.0, 0.66, 0.33)  # how far the lip's rings go with its inner contour, which is the first
FURTHEST = 0.05  # widths of the face that a contour is brought down at most
ALONE, SMOOTHING = 21, 15  # columns: what is seen in less than half of so many counts for nothing


def below_teeth(picture: NDArray[np.uint8], landmarks: Points) -> Points:
    """picture [h w 3], landmarks [478 3] in its pixels -> the same, the lower lip's rings below the teeth."""
    if not smiling(landmarks):
        return landmarks
    share = tooth_share(picture, landmarks)
    if share is None:
        return landmarks
    _, room = straightened(picture, landmarks)
    unit = float(np.linalg.norm(landmarks[EAR_RIGHT, :2] - landmarks[EAR_LEFT, :2]))
    more = np.array([_beyond(share[:, column], int((room[:, column] > 0.6).sum())) for column in range(WIDTH)])
    more = np.median(sliding_window_view(np.pad(more, ALONE // 2), ALONE), -1) * DEPTH * unit / (HEIGHT - 1)
    more = cv2.GaussianBlur(more[None].astype(np.float32), (SMOOTHING, 1), 0)[0]
    upper = landmarks[list(INNER_UPPER), :2]
    along = (upper[-1] - upper[0]) / np.linalg.norm(upper[-1] - upper[0])
    down, middle = np.array([-along[1], along[0]]), (upper[0] + upper[-1]) / 2
    x = np.linspace(-SPAN / 2, SPAN / 2, WIDTH) * unit
    moved = landmarks.copy()
    for ring, follows in zip(LOWER_RINGS, FOLLOWS, strict=False):
        points = list(ring[1:-1])
        off = np.interp((landmarks[points, :2] - middle) @ along, x, more)
        moved[points, :2] += follows * off[:, None] * down
    return moved


def _beyond(teeth: NDArray[np.float32], known: int) -> int:
    """Rows by which teeth of a column go on beyond the `known` ones; 0 where they do not end soon: that is no tooth."""
    if known == 0 or teeth[max(known - 2, 0) : known].max() < 0.5:
        return 0
    end = known
    while end < HEIGHT and teeth[end] > 0.5:
        end += 1
    return end - known if end - known <= FURTHEST * HEIGHT / DEPTH and end < HEIGHT else 0
