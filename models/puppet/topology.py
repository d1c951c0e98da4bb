"""Which landmark is what, and the triangles between them.

Points are numbered as in the 478-point face mesh. Left and right are the picture's. Triangles come from the mean
face (`derive`): lips and lids part along their contours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

POINTS, SKIN = 478, 468  # the last ten are irises
FACTS = Path(__file__).parent / "canonical.safetensors"

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Around the face, clockwise from the middle of the forehead."""
FOREHEAD, CHIN, EAR_LEFT, EAR_RIGHT = 10, 152, 234, 454
NOSE_TIP = 1

# Lips from the mouth outwards, each from the left corner to the right.
UPPER_RINGS = (
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
)
LOWER_RINGS = (
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
)
INNER_UPPER, INNER_LOWER = UPPER_RINGS[0], LOWER_RINGS[0]
CORNERS = (61, 291)
ABOVE_LIP = (164, 167, 393, 165, 391, 92, 322)
NOSE_BASE = (1, 2, 98, 327, 4, 5, 19, 94)


@dataclass(frozen=True)
class Eye:
    """Lids from the outer corner to the inner, corners included; the crease above; the iris, its centre first."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    crease: tuple[int, ...]
    socket: tuple[int, ...]
    iris: tuple[int, ...]

    @property
    def ring(self) -> tuple[int, ...]:
        return (*self.upper, *self.lower[-2:0:-1])


EYES = (
    Eye(
        (33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133),
        (247, 30, 29, 27, 28, 56, 190), (225, 224, 223, 222, 221), (468, 469, 470, 471, 472),
    ),
    Eye(
        (263, 466, 388, 387, 386, 385, 384, 398, 362), (263, 249, 390, 373, 374, 380, 381, 382, 362),
        (467, 260, 259, 257, 258, 286, 414), (445, 444, 443, 442, 441), (473, 474, 475, 476, 477),
    ),
)  # fmt: skip
CONTOURS = (*INNER_UPPER, *INNER_LOWER, *(point for eye in EYES for point in (*eye.upper, *eye.lower)))
"""Of lips and lids, as movement tells them: upper lip, lower lip, then each eye's upper and lower lid."""
BROWS = (
    (70, 63, 105, 66, 107, 46, 53, 52, 65, 55),
    (300, 293, 334, 296, 336, 276, 283, 282, 295, 285),
)
"""Outer to inner, upper edge then lower edge."""


@dataclass(frozen=True)
class Canonical:
    """The mean face: points [478 3] around the middle between the ears, the ears' distance 1; triangles [k 3]."""

    points: NDArray[np.float64]
    triangles: NDArray[np.int32]


@lru_cache(maxsize=1)
def canonical() -> Canonical:
    facts = load_file(FACTS)
    return Canonical(facts["points"].astype(np.float64), facts["triangles"].astype(np.int32))


def ribbon(one: tuple[int, ...], other: tuple[int, ...]) -> NDArray[np.int32]:
    """Triangles [k 3] between two lines of as many points."""
    found = []
    for place in range(len(one) - 1):
        found.append((one[place], one[place + 1], other[place]))
        found.append((other[place], one[place + 1], other[place + 1]))
    return np.array([three for three in found if len(set(three)) == 3], np.int32)


@lru_cache(maxsize=1)
def strips() -> NDArray[np.int32]:
    """Triangles [k 3] across the mouth and the eyes, so that flow is defined there too."""
    holes = ((INNER_UPPER, INNER_LOWER), *((eye.upper, eye.lower) for eye in EYES))
    return np.concatenate([ribbon(upper, lower) for upper, lower in holes])


@lru_cache(maxsize=1)
def mirror_map() -> tuple[int, ...]:
    """Which point each of the 478 is in a mirror."""
    pairs: dict[int, int] = {}
    for rings in (UPPER_RINGS, LOWER_RINGS):
        for ring in rings:
            pairs |= dict(zip(ring, ring[::-1], strict=True))
    for name in ("upper", "lower", "crease", "socket"):
        left, right = (getattr(eye, name) for eye in EYES)
        pairs |= dict(zip((*left, *right), (*right, *left), strict=True))
    points = canonical().points
    away = np.linalg.norm(points[:, None] * [-1, 1, 1] - points[None], axis=2)
    for place in np.argsort(away, axis=None):
        one, other = divmod(int(place), POINTS)
        if one not in pairs and other not in pairs:
            pairs[one], pairs[other] = other, one
    return tuple(pairs[point] for point in range(POINTS))
