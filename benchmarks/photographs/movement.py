"""Photographs that speak beside their puppets: the same portrait, the same speech, one moved by the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import av
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from models.autoencoder.vae import Vae
from models.data.landmark_faces import portraits_of
from models.data.portraits import Portrait as PortraitFile
from models.data.puppet_takes import square_around
from models.data.speech import read_recording
from models.diffusion.movement import MovementNet
from models.drawn.closures import spoken_targets
from models.drawn.motion import motion
from models.drawn.splits import Split
from models.parts.photograph import Portrait, moved_by, speaking
from models.puppet.puppet import Frame, Puppet
from models.puppet.teeth import read_teeth
from models.puppet.track import track_of
from models.speech.spectrum import SAMPLES_A_FRAME, heard
from models.training.denoising import trained_autoencoder

SIDE = 512


@dataclass(frozen=True)
class Film:
    name: str
    portrait: Portrait
    opening: NDArray[np.float64]  # [f] what the sound asks of the mouth
    made: list[Frame]
    puppet: list[Frame]

    def write(self, folder: Path) -> None:
        """`<name>/film.mp4`: the network's frames beside the puppet's."""
        target = folder / self.name
        target.mkdir(parents=True, exist_ok=True)
        np.save(folder / "opening.npy", self.opening)
        with av.open(str(target / "film.mp4"), "w") as file:
            stream = file.add_stream("libx264", rate=25, options={"crf": "14"})
            stream.width, stream.height, stream.pix_fmt = 2 * SIDE, SIDE, "yuv420p"
            for made, puppet in zip(self.made, self.puppet, strict=True):
                both = np.concatenate([made.picture, puppet.picture], 1)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(both, format="rgb24")))
            file.mux(stream.encode())


def autoencoder_and_network(vae: Path, weights: Path) -> tuple[Vae, MovementNet]:
    network = MovementNet()
    network.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    return trained_autoencoder(vae), network.eval()


def sitters(
    faces: Path, split: Split | str, people: int
) -> Iterator[tuple[int, PortraitFile, tuple[NDArray[np.uint8], NDArray[np.float64]]]]:
    """Number, portrait, and the square around its face with landmarks, of as many people as have one."""
    done = 0
    for number, one in enumerate(portraits_of(faces, split, movable=True)):  # type: ignore[arg-type]
        found = square_around(one, Random(number), SIDE)
        if found is None or done == people:
            continue
        done += 1
        yield number, one, found


def films(
    faces: Path, weights: Path, vae: Path, split: Split | str, speech: Path, people: int, frames: int
) -> Iterator[Film]:
    autoencoder, network = autoencoder_and_network(vae, weights)
    rows = read_teeth()
    wave = read_recording(speech)
    frames = min(frames, len(wave) // SAMPLES_A_FRAME)
    wave = wave[: frames * SAMPLES_A_FRAME]
    targets, sound = spoken_targets(wave), heard(wave)
    for number, one, found in sitters(faces, split, people):
        portrait, teeth = Portrait(*found), rows[number % len(rows)]
        moving = track_of(motion(number, targets, composed=True)).from_the_portrait().limited(0.35, 0.21, 0.14)
        puppet = list(Puppet(*found, teeth).frames(moving))
        with torch.no_grad():
            movement = moved_by(network, autoencoder.encode, portrait, sound, range(frames))
        made = list(speaking(portrait, teeth, movement))
        yield Film(one.name, portrait, targets.opening.double().numpy(), made, puppet)


def moved_figures(film: Film) -> dict[str, float]:
    """Correlation of lips with the puppet's and with the sound, decibels to the puppet's frames at face and mouth,
    decibels of the first frame to the portrait, how far lids fall at least."""
    gaps, theirs = (np.array([_apart(frame) for frame in frames]) for frames in (film.made, film.puppet))
    landmarks = film.portrait.landmarks[:468, :2]
    face = _box(landmarks, 0.0)
    mouth = _box(film.portrait.landmarks[[61, 291, 0, 17], :2], 0.4)
    pairs = [(made.picture, puppet.picture) for made, puppet in zip(film.made, film.puppet, strict=True)]
    return {
        "name": float(film.name) if film.name.isdigit() else 0.0,
        "r": _alike(gaps, film.opening),
        "r_puppet": _alike(theirs, film.opening),
        "r_between": _alike(gaps, theirs),
        "face_db": float(np.mean([_decibels(made[face], puppet[face]) for made, puppet in pairs])),
        "mouth_db": float(np.mean([_decibels(made[mouth], puppet[mouth]) for made, puppet in pairs])),
        "first_db": _decibels(film.made[0].picture[face], film.portrait.picture[face]),
        "lids_least": float(min(_lids(frame) for frame in film.made)),
        "lids_least_puppet": float(min(_lids(frame) for frame in film.puppet)),
    }


def _apart(frame: Frame) -> float:
    return float(np.linalg.norm(frame.lips[1, 5] - frame.lips[0, 5]))


def _lids(frame: Frame) -> float:
    return float(np.linalg.norm(frame.lids[:, 1, 4] - frame.lids[:, 0, 4], axis=-1).mean())


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 1e-9 and other.std() > 1e-9 else 0.0


def _decibels(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def _box(points: NDArray[np.float64], more: float) -> tuple[slice, slice]:
    low, high = points.min(0), points.max(0)
    reach = more * (high[0] - low[0])
    x0, y0 = np.maximum((low - reach).astype(int), 0)
    x1, y1 = (high + reach).astype(int) + 1
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))
