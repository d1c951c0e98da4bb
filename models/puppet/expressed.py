"""Brows, lids and corners of the mouth, as far as an expression asks for them.

A network tells how raised brows are, and how much somebody smiles, in numbers that hold for everybody; of faces that it
has not seen, the movement that it makes of them falls short. What a puppet makes of the same numbers follows from the
portrait's landmarks alone. So the network's own movement for an expression, which is what it tells with it less what it
tells without, is brought to the puppet's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.puppet.eye_rig import eye_rig
from models.puppet.head import Points, head_of
from models.puppet.mouth_rig import mouth_rig
from models.puppet.topology import POINTS
from models.puppet.track import Track

NEUTRAL = {"brow": 0.0, "brow_inner": 0.0, "brow_uneven": 0.0, "squint": 0.0, "lids": 1.0, "smile": 0.0}
"""What an expression is made of, and what each is without one."""
REACH = 0.055  # of the face's height, over which a landmark's movement is that of what is around it
FAINT = 0.35  # of a landmark's weight, that what lies beyond any is given none of


class Expressed:
    """Of a portrait's landmarks [478 3] in pixels of a square of `side`, in which flow has `cells` cells a side."""

    def __init__(self, landmarks: Points, side: int, cells: int) -> None:
        self._head = head_of(landmarks)
        own = self._head.own(landmarks)
        self._mouth, self._eyes = mouth_rig(self._head, own), eye_rig(self._head, own)
        self.points = landmarks[:POINTS, :2]
        middles = (np.arange(cells) + 0.5) * side / cells - 0.5
        x, y = np.meshgrid(middles, middles)
        away = np.square(x[..., None] - self.points[:, 0]) + np.square(y[..., None] - self.points[:, 1])
        weight = np.exp(-0.5 * away / (REACH * self._head.height) ** 2)
        self._spread = weight / (weight.sum(-1, keepdims=True) + FAINT)  # [cells cells points]

    def movement(self, numbers: NDArray[np.float64]) -> Points:
        """The 19 numbers of frames [n 19] -> how far their expression moves every landmark [n p 2]."""
        held = Track(*numbers.T)
        rest = replace(held, **{name: np.full(len(held), value) for name, value in NEUTRAL.items()})
        offsets = [rig.offsets(held) - rig.offsets(rest) for rig in (self._mouth, self._eyes)]
        return self._head.pictured(offsets[0] + offsets[1])[:, :POINTS, :2]

    def flow(self, movement: Points) -> NDArray[np.float32]:
        """How far landmarks are to move further [n p 2] -> backward flow to be added [n 2 cells cells]."""
        return -np.einsum("hwp,npd->ndhw", self._spread, movement).astype(np.float32)
