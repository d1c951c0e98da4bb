"""Lips of a portrait that smiles or talks, as its puppet would move them: they close first, whatever they do in it.

A network that tells contours has learned mostly from mouths that are shut; how an open one closes follows from its
landmarks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.puppet.head import Points, head_of
from models.puppet.mouth_rig import mouth_rig
from models.puppet.topology import CORNERS, INNER_LOWER, INNER_UPPER
from models.puppet.track import Track

SHUT, PARTED = 0.03, 0.10  # between the lips' middles, over the mouth's width: the network's word, and the puppet's
UPPER = 0.28  # of what parts them, that the upper lip comes down by, as `models.puppet.mouth_rig` has it


class PartedLips:
    """Of a portrait's landmarks [478 3] in pixels of a square of `side`."""

    def __init__(self, landmarks: Points, side: int) -> None:
        self._landmarks, self._side = landmarks, side
        self._head = head_of(landmarks)
        self._rig = mouth_rig(self._head, self._head.own(landmarks))
        gap = np.linalg.norm(landmarks[INNER_LOWER[5]] - landmarks[INNER_UPPER[5]])
        wide = np.linalg.norm(landmarks[CORNERS[1]] - landmarks[CORNERS[0]])
        self.share = float(np.clip((gap / wide - SHUT) / (PARTED - SHUT), 0, 1))
        """How much the puppet's lips count."""

    def contours(self, numbers: NDArray[np.float64], told: Points) -> Points:
        """The 19 numbers of frames [n 19] and what a network tells of their inner contours [n 2 11 2], in the same
        pixels -> the contours, with their corners' middle where it was told to be."""
        if self.share == 0:
            return told
        held = Track(*numbers.T)
        lips = self._lips(held)
        # Whatever still parts them when nothing is said: it is taken from all that is.
        rest = self._lips(replace(held, opening=np.zeros(len(held))))
        still = np.maximum(rest[:, 1] - rest[:, 0], 0) * [0, 1]
        lips[:, 0] += UPPER * still
        lips[:, 1] -= (1 - UPPER) * still
        away = told[:, :, [0, -1]].mean((1, 2)) - lips[:, :, [0, -1]].mean((1, 2))
        return told + self.share * (lips + away[:, None, None] - told)

    def _lips(self, held: Track) -> Points:
        """[n 2 11 2]."""
        face = self._landmarks + self._head.pictured(self._rig.offsets(held))
        return self._head.turned(face, held, self._side)[:, [INNER_UPPER, INNER_LOWER], :2]
