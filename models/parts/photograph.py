"""A photograph that speaks: what is heard becomes movement, movement becomes frames of the portrait's own pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.diffusion.movement import (
    LATENTS_SIDE,
    LID_POINTS,
    LIP_POINTS,
    NUMBERS,
    SIDE,
    Looked,
    Moved,
    MovementNet,
    decided_blinks,
    windows,
)
from models.puppet.composed import Composer, Told
from models.puppet.eye_rig import closed_lids
from models.puppet.face_map import face_map
from models.puppet.puppet import Frame
from models.puppet.teeth import Teeth
from models.puppet.topology import CONTOURS

AT_ONCE = 32  # frames in a call of the network

Encode = Callable[[Tensor], Tensor]
"""Pixels [n 3 H W] in -1 … 1 -> latents [n c h w]."""


@dataclass(frozen=True)
class Portrait:
    """A square around a face [s s 3], red first, and its landmarks [478 3] in its pixels."""

    picture: NDArray[np.uint8]
    landmarks: NDArray[np.float64]


class Seen(NamedTuple):
    """What is known of a portrait before anything is heard."""

    looked: Looked
    latents: Tensor  # [1 8 h w]
    contours: Tensor  # [58 2] the portrait's own, in pixels of 512


def look_at(network: MovementNet, encode: Encode, pixels: Tensor, landmarks: NDArray[np.float64]) -> Seen:
    """A square around a face [3 s s] in -1..1, on the network's device, and its landmarks [478 3] in its pixels."""
    side = pixels.shape[-1]
    latents = encode(F.interpolate(pixels[None], (LATENTS_SIDE, LATENTS_SIDE), mode="area")).float()
    maps = torch.from_numpy(face_map(landmarks, side))[None].to(pixels.device)
    own = contours_of(landmarks, side)
    return Seen(network.look(latents, maps, own[None].to(pixels.device)), latents, own)


def contours_of(landmarks: NDArray[np.float64], side: int) -> Tensor:
    """Landmarks [478 3] in a square of `side` pixels -> the portrait's own contours [58 2] in pixels of 512."""
    return torch.from_numpy(landmarks[list(CONTOURS), :2] * (SIDE / side)).float()


@torch.no_grad()
def moved_by(network: MovementNet, encode: Encode, portrait: Portrait, heard: Tensor, frames: range) -> Moved:
    """What is heard [f rows bands] from a title's beginning -> how the portrait moves in some of its frames."""
    pixels = torch.from_numpy(portrait.picture).permute(2, 0, 1).float() / 127.5 - 1
    looked, latents, _ = look_at(network, encode, pixels, portrait.landmarks)
    parts = []
    for start in range(frames.start, frames.stop, AT_ONCE):
        some = list(range(start, min(start + AT_ONCE, frames.stop)))
        codes = network.hear(windows(heard, some, network.config), torch.zeros(len(some), network.config.prompts))
        mine = type(looked)(*(field.expand(len(some), *field.shape[1:]) for field in looked))
        parts.append(network(mine, latents.expand(len(some), -1, -1, -1), codes))
    return Moved(*(torch.cat(list(column)) for column in zip(*parts, strict=True)))


def told(moved: Moved) -> list[Told]:
    """What the composer needs of every frame; blinks are decided."""
    return told_of(moved.flow, moved.contours, moved.numbers, decided_blinks(moved.blink))


def told_of(flow: Tensor, contours: Tensor, numbers: Tensor, closed: Tensor) -> list[Told]:
    """Flow [n 2 32 32], contours of lips and lids [n 58 2], numbers [n 19], how far lids are shut [n]."""
    column = {name: numbers[:, place].tolist() for place, name in enumerate(NUMBERS)}
    drawn = closed_lids(np.array(column["lids"]), closed.double().numpy())  # tired lids are seen as lids too
    lips, lids = contours.double().split([LIP_POINTS, LID_POINTS], 1)
    found = []
    for frame, shut in enumerate(closed.tolist()):
        upper, lower = lids[frame].numpy().reshape(2, 2, 9, 2).transpose(1, 0, 2, 3)
        number = {name: values[frame] for name, values in column.items()}
        found.append(
            Told(
                flow=flow[frame].double().numpy(),
                lips=lips[frame].numpy().reshape(2, 11, 2),
                # Lids go the whole way when they blink, whatever the mean of all blinks is.
                lids=np.stack([upper + shut * (lower - upper), lower], 1),
                teeth=float(np.clip(number["teeth"], 0, 1)),
                rounding=float(np.clip(number["rounding"], 0, 1)),
                smile=float(np.clip(number["smile"], -1, 1)),
                gaze=(float(np.clip(number["gaze_x"], -1, 1)), float(np.clip(number["gaze_y"], -1, 1))),
                closed=float(drawn[frame]),
            )
        )
    return found


def speaking(portrait: Portrait, teeth: Teeth, movement: Moved) -> Iterator[Frame]:
    """Frames of the portrait, at its own resolution."""
    composer = Composer(portrait.picture, portrait.landmarks, teeth)
    for one in told(movement):
        yield composer.frame(one)
