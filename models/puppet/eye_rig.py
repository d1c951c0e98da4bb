"""How lids and brows move. Offsets are in the head's frame, in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.puppet.head import Head, Points
from models.puppet.topology import BROWS, EYES
from models.puppet.track import Track

FALL = 0.8  # how far lids fall of the eye's height where they are to be held shut half a way and more
CREASE, SOCKET = 0.42, 0.10  # how much of the lid's way the skin above follows


@dataclass(frozen=True)
class EyeRig:
    """Own places of the landmarks [478 3], and how much each follows the brows [478]: both, inner ends, uneven."""

    own: Points
    height: float
    brow: Points
    inner: Points
    uneven: Points

    def offsets(self, held: Track) -> Points:
        """[f 478 3]."""
        found = np.zeros((len(held), len(self.own), 3))
        both, inner, uneven = (getattr(held, name)[:, None] for name in ("brow", "brow_inner", "brow_uneven"))
        rise = 0.045 * both * self.brow + 0.035 * inner * self.inner + 0.035 * uneven * self.uneven
        found[..., 1] -= rise * self.height
        # Brows that are drawn down come together.
        found[..., 0] += 0.012 * self.height * np.clip(-inner, 0, 1) * np.sign(-self.own[:, 0]) * np.abs(self.inner)
        for eye in EYES:
            upper, lower = list(eye.upper), list(eye.lower)
            gap = self.own[lower] - self.own[upper]
            raised = (0.06 * held.blink + 0.25 * np.clip(held.squint, 0, 1))[:, None, None] * gap
            held_shut = np.clip((1 - held.lids) * FALL, -0.18, 0.85)
            closed = (held_shut + (1 - held_shut) * np.clip(held.blink, 0, 1))[:, None, None]
            moved = (gap - raised) * closed
            found[:, lower] -= raised
            found[:, upper] += moved
            middle = moved[:, 1:-1, 1]
            found[:, list(eye.crease), 1] += CREASE * middle
            found[:, list(eye.socket), 1] += SOCKET * middle.max(1, keepdims=True)
        return found


def lid_closed(held: Track) -> Points:
    """How far the lids are shut in every frame [f]: 0 as in the portrait, 1 closed."""
    return closed_lids(held.lids, held.blink)


def closed_lids(lids: Points, blink: Points) -> Points:
    """The same of how wide the eyes are held, and how far they blink [f]."""
    held_shut = np.clip((1 - lids) * FALL, 0, 0.85)
    closed: Points = held_shut + (1 - held_shut) * np.clip(blink, 0, 1)
    return closed


def eye_rig(head: Head, own: Points) -> EyeRig:
    """Landmarks in the head's frame [478 3] -> the rig."""
    ends = np.concatenate([own[list(brow)] for brow in BROWS])
    away = np.hypot(own[:, None, 0] - ends[None, :, 0], own[:, None, 1] - ends[None, :, 1]).min(1)
    brow = np.exp(-((away / (0.11 * head.height)) ** 2))
    for eye in EYES:
        brow[list(eye.ring)] = 0
        brow[list(eye.crease)] = 0.12
        brow[list(eye.socket)] *= 0.6
    level = own[[EYES[0].upper[0], EYES[1].upper[0]], 1].mean()
    brow[own[:, 1] > level + 0.02 * head.height] = 0
    # Along a brow: 1 at its inner end, falling below 0 at the outer one.
    reach = abs(own[BROWS[0][0], 0])
    along = 1 - 1.35 * np.clip(np.abs(own[:, 0]) / reach - 0.2, 0, 1)
    return EyeRig(own, head.height, brow, brow * along, brow * -np.tanh(own[:, 0] / (0.1 * head.width)))
