"""Faces whose points are known, to learn landmarks from: portraits, puppets of them, drawn people.

What takes time is made once and kept in a folder: puppets and drawn people as JPEG, their points beside them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.data.portraits import Portrait, read_left_out, read_portraits
from models.drawn.identity import identities
from models.drawn.motion import stills
from models.drawn.portrait_renderer import draw
from models.drawn.splits import Split, first_seeds, split_of
from models.drawn.truth import landmarks as drawn_landmarks
from models.drawn.truth import to_pixels
from models.faces.face_points import pyramid
from models.families.noise_keys import noise_key
from models.puppet.puppet import Puppet
from models.puppet.surroundings import fits
from models.puppet.teeth import read_teeth
from models.puppet.topology import POINTS
from models.puppet.track import Track, track_of

LEFT_OUT = Path(__file__).parent / "portraits_left_out.txt"
NEVER = frozenset({"child", "covered", "dark"})
STRAIGHT = 18.0  # degrees of a head that a puppet is made of
DRAWN = (468, 473, 1, 61, 291, 0, 13, 14, 17, 33, 133, 362, 263, 159, 145, 386, 374, 152)
"""Which of the 478 points the landmarks of drawn people are, in the order of `truth.LANDMARKS`."""
NOT_KNOWN = (468, 473)  # the eyes' middles are not irises
SIDE = 320  # of pictures that are kept


@dataclass(frozen=True)
class KnownFace:
    levels: list[Tensor]
    """The picture and its halves, uint8 [3 h w]."""
    points: Tensor
    """[478 3] in pixels."""
    known: Tensor
    """[478]: 1 where a point is known, else 0."""
    name: str


def portraits_of(folder: Path, split: Split, *, movable: bool = False) -> list[Portrait]:
    """Portraits of a split; `movable`: those that a puppet can be made of."""
    found = read_portraits(folder, left_out=read_left_out(LEFT_OUT), reasons=None if movable else NEVER)
    found = [one for one in found if split_of(int(one.number)) == split]
    return [one for one in found if _straight(one)] if movable else found


def _straight(one: Portrait) -> bool:
    return max(abs(one.yaw), abs(one.pitch), abs(one.roll)) < STRAIGHT


def known_portraits(folder: Path, split: Split) -> list[KnownFace]:
    everything = torch.ones(POINTS)
    return [
        KnownFace(pyramid(_tensor(one.picture())), torch.from_numpy(one.landmarks).float(), everything, one.name)
        for one in portraits_of(folder, split)
    ]


def known_puppets(folder: Path, split: Split, frames: int, kept: Path) -> list[KnownFace]:
    """`frames` of each portrait of a split, in poses all over the puppet's range."""
    path = kept / f"puppets-{split}-{frames}.safetensors"
    if not path.exists():
        _keep(path, _puppets(folder, split, frames))
    return list(_kept(path))


def known_drawn(number: int, split: Split, kept: Path) -> list[KnownFace]:
    path = kept / f"drawn-{split}-{number}.safetensors"
    if not path.exists():
        _keep(path, _drawn(number, split))
    return list(_kept(path))


def _puppets(folder: Path, split: Split, frames: int) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    rows = read_teeth()
    for one in portraits_of(folder, split, movable=True):
        picture = one.picture()
        side = min(picture.shape[:2])
        picture = np.ascontiguousarray(picture[:side, :side])
        if not fits(one.landmarks, side):
            continue
        seed = noise_key(int(one.number), "puppet", 0)
        moving = still_track(seed, frames)
        puppet = Puppet(picture, one.landmarks, rows[seed % len(rows)])
        points = puppet.points(moving)[:, :POINTS]
        for place, frame in enumerate(puppet.frames(moving)):
            at = torch.from_numpy(np.concatenate([frame.landmarks, points[place, :, 2:]], 1)).float()
            at[468:] = torch.from_numpy(one.landmarks[468:]).float()
            known = torch.ones(POINTS)
            known[468:] = 0  # eyes turn within their lids
            yield f"{one.name}-{place}", _tensor(frame.picture), at, known


def still_track(seed: int, frames: int) -> Track:
    """Unrelated poses: turned by up to 20 degrees, mouth and lids anywhere."""
    generator = torch.Generator().manual_seed(seed)
    return track_of(stills(frames, generator)).limited(0.35, 0.21, 0.2)


def _drawn(number: int, split: Split) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    for start in range(0, number, 8):
        seeds = first_seeds(split, 8, start=9_000_000 + 40 * start)
        people, held = identities(seeds), stills(8, torch.Generator().manual_seed(noise_key(start, "landmarks", 0)))
        pictures = (draw(people, held, SIDE).picture.clamp(0, 1) * 255).round().to(torch.uint8)
        places = to_pixels(drawn_landmarks(people, held), SIDE)
        for seed, picture, place in zip(seeds, pictures, places, strict=True):
            points, known = torch.zeros(POINTS, 3), torch.zeros(POINTS)
            points[list(DRAWN), :2] = place
            known[list(DRAWN)] = 1
            known[list(NOT_KNOWN)] = 0
            # Where a square around the face is cut: as high as from the brows to the chin, and a half more.
            brow = place[9:13].mean(0)
            points[10, :2] = brow + (brow - place[17]) * 0.5
            half = (place[12] - place[9]) * 0.78
            points[234, :2], points[454, :2] = brow - half, brow + half
            yield f"drawn-{seed}", picture, points, known


def _keep(path: Path, faces: Iterator[tuple[str, Tensor, Tensor, Tensor]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names, packed, points, known = [], [], [], []
    for name, picture, at, which in faces:
        shrink = SIDE / picture.shape[-1]
        image = Image.fromarray(picture.permute(1, 2, 0).numpy())
        image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS) if shrink != 1 else image
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=92, subsampling=0)
        names.append(name)
        packed.append(stream.getvalue())
        points.append(at * shrink)
        known.append(which)
    tensors = {
        "pictures": torch.from_numpy(np.frombuffer(b"".join(packed), np.uint8).copy()),
        "sizes": torch.tensor([len(one) for one in packed]),
        "points": torch.stack(points),
        "known": torch.stack(known),
        "names": torch.from_numpy(np.frombuffer("\n".join(names).encode(), np.uint8).copy()),
    }
    fresh = path.with_suffix(".part")
    save_file(tensors, fresh)
    fresh.rename(path)


def _kept(path: Path) -> Iterator[KnownFace]:
    tensors = load_file(path)
    data, at = tensors["pictures"].numpy().tobytes(), 0
    names = tensors["names"].numpy().tobytes().decode().split("\n")
    for name, size, points, known in zip(
        names, tensors["sizes"].tolist(), tensors["points"], tensors["known"], strict=True
    ):
        image = np.array(Image.open(io.BytesIO(data[at : at + size])))
        at += size
        yield KnownFace(pyramid(_tensor(image)), points, known, name)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).contiguous()
