"""What a puppet does over time: numbers a frame, 25 frames a second."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
REST = {"scale": 1.0, "lids": 1.0, "teeth": 0.5}


@dataclass(frozen=True)
class Track:
    """Fields [f]. Angles in radians, against the portrait's own: positive yaw turns to the picture's right, positive
    pitch looks up, positive roll leans clockwise. Shifts are shares of half the picture's side."""

    yaw: Numbers
    pitch: Numbers
    roll: Numbers
    shift_x: Numbers
    shift_y: Numbers
    scale: Numbers
    gaze_x: Numbers  # -1..1
    gaze_y: Numbers
    blink: Numbers  # 0 open, 1 closed
    lids: Numbers  # how wide the eyes are held: 1 as in the portrait
    squint: Numbers  # 0..1
    brow: Numbers  # -1..1, as the following
    brow_inner: Numbers
    brow_uneven: Numbers
    smile: Numbers
    opening: Numbers  # of the mouth, 0..1: at 0 the lips meet
    width: Numbers  # -1..1
    rounding: Numbers  # 0..1
    teeth: Numbers  # 0..1

    def __len__(self) -> int:
        return len(self.yaw)

    def rows(self, chosen: Any) -> Track:
        """Some of the frames, by index or slice."""
        return Track(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def from_the_portrait(self) -> Track:
        """The same motion, head and eyes against those of the first frame, as a portrait holds them."""
        names = ("yaw", "pitch", "roll", "shift_x", "shift_y", "gaze_x", "gaze_y")
        moved = {name: getattr(self, name) - getattr(self, name)[0] for name in names}
        return replace(self, **moved, scale=self.scale / self.scale[0])

    def limited(self, yaw: float, pitch: float, roll: float) -> Track:
        """The same, the head turned no further than this in radians."""
        held = {"yaw": np.clip(self.yaw, -yaw, yaw), "pitch": np.clip(self.pitch, -pitch, pitch)}
        return replace(self, **held, roll=np.clip(self.roll, -roll, roll))


def track(frames: int, **given: float | Numbers) -> Track:
    """`frames` frames at rest, but for what is given."""
    values = {field.name: given.get(field.name, REST.get(field.name, 0.0)) for field in fields(Track)}
    return Track(**{name: np.broadcast_to(np.asarray(value, np.float64), (frames,)) for name, value in values.items()})


def track_of(pose: Any) -> Track:
    """From anything that has the same fields as tensors or arrays [f]."""
    return Track(*(np.asarray(getattr(pose, field.name), np.float64) for field in fields(Track)))
