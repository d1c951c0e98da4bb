"""Landmarks of a face that is made up, and a network that knows them: for tests of what is measured on faces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.measures.mesh import LIPS

Points = NDArray[np.float64]
Said = Callable[[int], Points | None]  # of the n-th picture


def mesh_points(
    *,
    opening: float = 0.0,
    lids: float = 0.3,
    middle: tuple[float, float] = (256.0, 256.0),
    height: float = 256.0,
    roll: float = 0.0,
) -> Points:
    """[478 3]: lips `opening` of the face's height apart, lids `lids` of the eye's width."""
    points = np.zeros((478, 3))
    around = np.arange(468) * 2.399963  # places in an ellipse, evenly
    reach = np.sqrt((np.arange(468) + 0.5) / 468)
    points[:468, 0], points[:468, 1] = 0.32 * reach * np.cos(around), 0.45 * reach * np.sin(around)
    placed: dict[int, tuple[float, float]] = {
        10: (0, -0.5), 152: (0, 0.5), 234: (-0.35, 0), 454: (0.35, 0), 6: (0, -0.15), 197: (0, -0.05), 2: (0, 0.12),
        13: (0, 0.25 - opening / 2), 14: (0, 0.25 + opening / 2),
    }  # fmt: skip
    for place, lip in enumerate(LIPS):
        angle = np.pi + 2 * np.pi * place / len(LIPS)
        placed[lip] = (0.12 * np.cos(angle), 0.25 + (0.04 + opening / 2) * np.sin(angle))
    for side, (upper, lower, outer, inner, iris) in zip(
        (-1, 1), ((159, 145, 33, 133, 468), (386, 374, 263, 362, 473)), strict=True
    ):
        placed |= {
            outer: (side * 0.22, -0.12), inner: (side * 0.1, -0.12), iris: (side * 0.16, -0.12),
            upper: (side * 0.16, -0.12 - 0.06 * lids), lower: (side * 0.16, -0.12 + 0.06 * lids),
        }  # fmt: skip
    for point, at in placed.items():
        points[point, :2] = at
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    points[:, :2] = points[:, :2] @ turn.T
    return points * height + [*middle, 0.0]


class KnownFace:
    """As `models.measures.watching.Sensors`: the same face in every picture by itself, given ones in a film's."""

    def __init__(self, film: Said, still: Said = lambda number: mesh_points()) -> None:
        self.film, self.alone = film, still
        self.frame = self.asked = self.described = 0

    def still(self, picture: NDArray[np.uint8]) -> Points | None:
        self.asked += 1
        return self.alone(self.asked - 1)

    def restart(self) -> None:
        self.frame = 0

    def follow(self, picture: NDArray[np.uint8]) -> Points | None:
        assert picture.shape == (512, 512, 3)
        self.frame += 1
        return self.film(self.frame - 1)

    def describe(self, face: NDArray[np.uint8]) -> Points:
        """Brighter faces are farther away."""
        assert face.shape == (150, 150, 3)
        self.described += 1
        return np.full(128, face.mean() / 255 / np.sqrt(128))
