"""The inside of a mouth, drawn between the lips' contours in coordinates of its own.

Everything is placed by how far it lies below the upper lip, above the lower lip and beside the middle, in widths of the
face: teeth keep their size whatever the lips do, and nothing is drawn but between the lips.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.puppet.head import Points, eased
from models.puppet.surroundings import polygon_mask
from models.puppet.teeth import DEPTH, HEIGHT, SPAN, WIDTH, Teeth

LEAST_GAP = 0.5  # pixels between the lips from which there is something to see
FINE = 96  # points of a contour
HIDDEN = 0.028  # of the teeth's height, in widths of the face, that the upper lip covers at rest
RAISED = 0.020  # how much of that it gives free when it shows teeth
LOWER_SIZE, LOWER_SEEN = 0.80, 0.034  # of the lower teeth against the upper; how much of them is seen
SHADOW = 0.012  # widths of the face over which lips darken what is behind them


@dataclass(frozen=True)
class Look:
    """Of one person's mouth. Colours [3] as in the picture."""

    teeth: Teeth
    white: NDArray[np.float64]
    tongue: NDArray[np.float64]
    dark: NDArray[np.float64]
    unit: float
    """The face's width in pixels."""


@lru_cache(maxsize=1)
def _smoothing() -> NDArray[np.float64]:
    """[FINE 11]: values at the contour's points -> along it, smooth (natural cubic spline)."""
    n = 11
    system, right = np.eye(n), np.zeros((n, n))
    for row in range(1, n - 1):
        system[row, row - 1 : row + 2] = (1, 4, 1)
        right[row, row - 1 : row + 2] = (6, -12, 6)
    second = np.linalg.solve(system, right)
    place = np.linspace(0, n - 1, FINE)
    left = np.minimum(place.astype(int), n - 2)
    b = place - left
    a = 1 - b
    unit = np.eye(n)
    found: NDArray[np.float64] = (
        a[:, None] * unit[left] + b[:, None] * unit[left + 1]
        + ((a**3 - a)[:, None] * second[left] + (b**3 - b)[:, None] * second[left + 1]) / 6
    )  # fmt: skip
    return found


def smooth_contour(points: Points) -> Points:
    """[11 2], from corner to corner -> [FINE 2]."""
    return _smoothing() @ points


def draw_inside(
    frame: NDArray[np.float32],
    upper: Points,
    lower: Points,
    look: Look,
    *,
    teeth: float,
    rounding: float,
    smile: float = 0.0,
) -> NDArray[np.float32]:
    """Draw into `frame` [h w 3] what is seen between two contours [11 2] from the left corner to the right -> the mask
    [h w] of what was drawn, 0..1."""  # fmt: skip
    mask = np.zeros(frame.shape[:2], np.float32)
    top, bottom = smooth_contour(upper), smooth_contour(lower)
    along = upper[-1] - upper[0]
    long = float(np.linalg.norm(along))
    if long < 4:
        return mask
    along = along / long
    down = np.array([-along[1], along[0]])
    # Contours as heights over the line between the corners; where lips cross they touch.
    places = np.linspace(0, long, FINE)
    high, deep = (_heights(line, upper[0], along, down, places) for line in (top, bottom))
    deep = np.maximum(deep, high)
    widest = float((deep - high).max())
    if widest < LEAST_GAP:
        return mask
    polygon = np.concatenate(
        [_back(places, high, upper[0], along, down), _back(places, deep, upper[0], along, down)[::-1]]
    )
    low = np.maximum(np.floor(polygon.min(0)).astype(int) - 3, 0)
    end = np.minimum(np.ceil(polygon.max(0)).astype(int) + 4, np.array(frame.shape[1::-1]))
    if (end - low).min() < 2:
        return mask
    part = (slice(low[1], end[1]), slice(low[0], end[0]))
    shape = (int(end[1] - low[1]), int(end[0] - low[0]))
    share = cv2.GaussianBlur(polygon_mask(polygon, shape, low), (0, 0), 0.55)
    share = share * float(np.clip((widest - LEAST_GAP) / 0.8, 0, 1))
    x, y = np.meshgrid(np.arange(low[0], end[0]) - upper[0, 0], np.arange(low[1], end[1]) - upper[0, 1])
    s, t = x * along[0] + y * along[1], x * down[0] + y * down[1]
    below = (t - np.interp(s, places, high)) / look.unit
    above = (np.interp(s, places, deep) - t) / look.unit
    aside = (s - long / 2) / look.unit
    colour = _colours(below, above, aside, widest / look.unit, long / look.unit, look, teeth, rounding, smile)
    frame[part] = frame[part] * (1 - share[..., None]) + colour * share[..., None]
    mask[part] = share
    return mask


def _heights(line: Points, origin: Points, along: Points, down: Points, places: Points) -> Points:
    s, t = (line - origin) @ along, (line - origin) @ down
    order = np.argsort(s)
    found: Points = np.interp(places, s[order], t[order])
    return found


def _back(s: Points, t: Points, origin: Points, along: Points, down: Points) -> Points:
    return origin + s[:, None] * along + t[:, None] * down


def _colours(
    below: Points,
    above: Points,
    aside: Points,
    gap: float,
    long: float,
    look: Look,
    teeth: float,
    rounding: float,
    smile: float,
) -> Points:
    """Pixels [h w] placed in widths of the face -> their colours [h w 3]."""  # fmt: skip
    colour = np.broadcast_to(look.dark, (*below.shape, 3)).copy()
    # Tongue: a mound that lies on the floor of the mouth, seen when it is well open.
    mound = 0.62 * gap * np.clip(1 - (aside / (0.36 * long)) ** 2, 0, 1) ** 0.5
    tongue = eased((mound - above) / (0.35 * gap + 1e-3)) * eased((gap - 0.035) / 0.06)
    lit = 0.75 + 0.25 * np.exp(-(((above - 0.45 * gap) / (0.3 * gap + 1e-3)) ** 2))
    colour += (look.tongue * lit[..., None] - colour) * (0.9 * tongue)[..., None]
    # Lower teeth: carried by the lower lip, in the shade.
    seen = LOWER_SEEN * eased((gap - 0.03) / 0.07) * (0.45 + 0.55 * teeth)
    colour = _over(colour, look, aside / LOWER_SIZE, (seen - above) / LOWER_SIZE + 0.004, 0.70, above)
    # Upper teeth: carried by the skull, so a raised lip shows more of them.
    hidden = HIDDEN - RAISED * float(np.clip(0.6 * teeth + 0.6 * smile + 3.0 * gap, 0, 1)) + 0.006 * rounding
    colour = _over(colour, look, aside, below + hidden, 1.0 - 0.25 * rounding, below)
    edge = np.minimum(below, above)
    beside = 1 - 0.55 * eased((np.abs(aside) / long - 0.22) / 0.26)
    found: Points = colour * (0.42 + 0.58 * eased(edge / SHADOW + 0.12))[..., None] * beside[..., None]
    return found


def _over(colour: Points, look: Look, aside: Points, deep: Points, light: float, from_lip: Points) -> Points:
    """A row of teeth laid over what lies behind: `aside` and `deep` in widths of the face, in the row's own picture."""
    x = ((aside / SPAN + 0.5) * (WIDTH - 1)).astype(np.float32)
    y = (deep / DEPTH * (HEIGHT - 1)).astype(np.float32)
    tooth = cv2.remap(look.teeth.colour, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.remap(look.teeth.alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    share = share * (y >= 0)
    shaded = tooth * look.white * (light * (0.62 + 0.38 * eased(from_lip / 0.03)))[..., None]
    found: Points = colour * (1 - share[..., None]) + shaded * share[..., None]
    return found
