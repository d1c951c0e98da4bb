"""How the lower face moves with the mouth: jaw, lips, corners, cheeks.

All offsets are in the head's frame (x across, y down, z back), in pixels. Whatever the portrait's own mouth does (a
smile, an open mouth), lips meet at opening 0 and the corners go part of the way to where they lie at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.puppet.head import Head, Points, eased
from models.puppet.topology import (
    ABOVE_LIP,
    CHIN,
    CORNERS,
    INNER_LOWER,
    INNER_UPPER,
    LOWER_RINGS,
    NOSE_BASE,
    UPPER_RINGS,
    canonical,
)
from models.puppet.track import Track

DROP = 0.72  # how far a mouth opened wide parts, in half widths of the mouth at rest
UPPER_SHARE = 0.16  # of the parting that the upper lip takes
OPEN_AT_REST = 0.03  # inner lips over the mouth's width: below, a portrait's mouth counts as shut
RELAX = 0.75  # how far corners of a smiling portrait go back to rest when the person speaks
RING_SHARES = (1.0, 0.9, 0.75, 0.6)  # of the lips' rings, from the mouth outwards


@dataclass(frozen=True)
class MouthRig:
    """Weights of every landmark [478]; the centre and sizes in the head's frame."""

    centre: Points
    half: float
    """Half the mouth's width in the portrait."""
    rest_half: float
    """Half its width at rest."""
    across: Points
    """x over `half`, -1.3..1.3."""
    below: Points
    """y below the mouth's centre in pixels."""
    jaw: Points
    upper: Points
    near: Points
    """1 at the lips, falling to 0 around them."""
    cheek: Points
    gap: Points
    """How far the portrait's own lips are parted at each landmark's place, of what can be closed."""
    corner_lift: float
    """How far the portrait's corners lie above those at rest."""

    def offsets(self, held: Track) -> Points:
        """[f 478 3]."""
        f = np.zeros((len(held), 1))
        opening, rounding, width, smile = (
            getattr(held, name)[:, None] + f for name in ("opening", "rounding", "width", "smile")
        )
        x = self.across * self.half
        found = np.zeros((len(held), len(self.jaw), 3))
        # Parting: full along more of the lips when they are rounded.
        parting = DROP * self.rest_half * opening
        bow = np.clip(1 - (self.across / 1.02) ** 2, 0, 1)
        fuller = np.where(bow > 0, 1 / np.sqrt(np.maximum(bow, 0.12)) - 1, 0)
        full = 1 + (0.5 + 0.4 * rounding) * fuller
        lips = np.where(self.near > 0.6, np.minimum(full, 1.6), 1.0)
        found[..., 1] += (1 - UPPER_SHARE) * parting * self.jaw * lips - UPPER_SHARE * parting * self.upper * lips
        # Lips of an open portrait come together first.
        found[..., 1] += self.gap * np.where(self.upper > 0, 0.28 * self.upper, -0.72 * np.maximum(self.jaw, 0))
        # Corners: back to rest, then as the sound and the expression ask.
        back = RELAX * (1 - np.clip(smile, 0, 1))
        inwards = -(self.half - self.rest_half) / self.half * back
        stretch = inwards + 0.10 * width - 0.24 * rounding - 0.05 * opening + 0.13 * np.clip(smile, -0.3, 1)
        found[..., 0] += stretch * np.clip(x, -1.25 * self.half, 1.25 * self.half) * self.near
        bend = np.clip(np.abs(self.across), 0, 1) ** 2
        corner = self.corner_lift * back - (0.24 * np.clip(smile, 0, 1) + 0.20 * np.clip(smile, -1, 0)) * self.half
        found[..., 1] += corner * self.near * (bend - 0.25)
        found[..., 1] += (0.5 * self.corner_lift * back - 0.10 * self.half * smile) * self.cheek
        found[..., 0] += 0.03 * self.half * smile * self.cheek * np.sign(self.across)
        # Rounded lips are thicker and come forward.
        thick = np.abs(self.below) < 0.55 * self.half
        found[..., 1] += 0.12 * rounding * self.below * self.near * thick
        found[..., 2] -= 0.10 * self.half * rounding * self.near * np.exp(-(self.across**2))
        # Lips that press together are a little thinner.
        pressed = np.clip(1 - opening / 0.06, 0, 1) * np.clip(1 - rounding, 0, 1)
        found[..., 1] -= 0.05 * pressed * self.below * self.near * thick
        return found


def mouth_rig(head: Head, own: Points) -> MouthRig:
    """Landmarks in the head's frame [478 3] -> the rig."""
    centre = own[list(CORNERS)].mean(0)
    half = abs(own[CORNERS[1], 0] - own[CORNERS[0], 0]) / 2
    x, y = own[:, 0] - centre[0], own[:, 1] - centre[1]
    across = np.clip(x / half, -1.3, 1.3)
    chin = own[CHIN, 1] - centre[1]
    upper = np.zeros(len(own))
    for ring, share in zip(UPPER_RINGS, RING_SHARES, strict=True):
        upper[list(ring)] = share
    upper = upper * np.clip(1 - (x / (1.02 * half)) ** 2, 0, 1)
    lip_above = list(ABOVE_LIP)
    upper[lip_above] = 0.25 * np.clip(1 - (x[lip_above] / (1.2 * half)) ** 2, 0, 1)
    away = np.hypot(np.maximum(np.abs(x) - half, 0), np.maximum(np.abs(y) - 0.35 * half, 0))
    near = np.exp(-((away / (0.75 * half)) ** 2))
    near[list(NOSE_BASE)] *= 0.2
    cheeks = [np.exp(-(((x - side * 1.45 * half) / (0.8 * half)) ** 2 + ((y + 0.75 * half) / (0.75 * half)) ** 2))
              for side in (-1, 1)]  # fmt: skip
    cheek = cheeks[0] + cheeks[1]
    cheek[list(NOSE_BASE)] *= 0.1
    rest = canonical().points
    face = float(np.linalg.norm(rest[CORNERS[0]] - rest[CORNERS[1]])) / 2
    rest_half = min(half, face * head.width * 1.02)
    return MouthRig(
        centre=centre, half=half, rest_half=rest_half, across=across, below=y, jaw=_jaw(own, x, y, half, chin, head),
        upper=upper, near=near, cheek=cheek, gap=_own_gap(own, across), corner_lift=_lift(own, half),
    )  # fmt: skip


def _jaw(own: Points, x: Points, y: Points, half: float, chin: float, head: Head) -> Points:
    """How much of the jaw's way every landmark goes: a bow at the lower lip, all of the chin, a little beside it."""
    down, aside = y / chin, np.abs(x) / (head.width / 2)
    bow = np.clip(1 - (x / (1.05 * half)) ** 2, 0, 1)
    wide = np.exp(-((aside / 0.62) ** 2))
    share = eased(down / 0.75)
    jaw = eased((down + 0.02) / 0.06) * (bow * (1 - share) + wide * share)
    out = (np.abs(x) - half) / (0.35 * half)
    beside = 0.22 * np.exp(-(out**2)) * np.exp(-(((y - 0.1 * chin) / (0.45 * chin)) ** 2))
    jaw = np.maximum(jaw, beside * eased((np.abs(x) - 0.8 * half) / (0.3 * half)))
    for ring in UPPER_RINGS:
        jaw[list(ring)] = 0.20 * np.clip(np.abs(x[list(ring)]) / half, 0, 1) ** 3
    for ring in LOWER_RINGS:
        middle = list(ring[1:-1])
        bow = np.clip(1 - (x[middle] / (1.02 * half)) ** 2, 0, 1)
        jaw[middle] = 0.20 * (1 - bow) ** 1.5 + bow
    return jaw


def _own_gap(own: Points, across: Points) -> Points:
    upper, lower = own[list(INNER_UPPER)], own[list(INNER_LOWER)]
    width = abs(upper[-1, 0] - upper[0, 0])
    places = np.linspace(-1, 1, 33)
    middle = (upper[0, 0] + upper[-1, 0]) / 2
    along = middle + places * width / 2
    order, other = np.argsort(upper[:, 0]), np.argsort(lower[:, 0])
    gap = np.interp(along, lower[other, 0], lower[other, 1]) - np.interp(along, upper[order, 0], upper[order, 1])
    gap = np.maximum(gap, 0)
    if gap.max() < OPEN_AT_REST * width:
        return np.zeros_like(across)
    closed = np.maximum(gap - 0.008 * width, 0)  # what is left is the line between the lips
    found: Points = np.interp(across, places, closed)
    return found


def _lift(own: Points, half: float) -> float:
    """How much higher the corners lie than at rest, in pixels; 0 where they do not."""
    rest = canonical().points
    corners, middles = list(CORNERS), [UPPER_RINGS[-1][5], LOWER_RINGS[-1][5]]
    scale = 2 * half / float(np.linalg.norm(rest[CORNERS[0]] - rest[CORNERS[1]]))
    own_lift = own[middles[0], 1] - own[corners, 1].mean()
    rest_lift = (rest[middles[0], 1] - rest[corners, 1].mean()) * scale
    return float(np.clip(own_lift - rest_lift, 0, 0.6 * half))
