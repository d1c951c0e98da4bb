"""The scores that papers report, with networks that users bring: FID, FVD, E-FID, Sync-C and Sync-D, identity.

Shapes: n frames or clips, d features, s pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.measures.backbone import Array, Backbone, BackboneProblem, Network, open_backbone
from models.measures.cepstra import cepstra
from models.measures.frechet import frechet
from models.measures.picture import Box, Regions
from models.measures.video import pictures, sound

AGAINST_REFERENCE = ("fid", "fvd", "efid")
MOST_FRAMES = 2048  # of a video, evenly spread, for scores of single frames
CLIP = 16  # frames that a network of videos sees
SYNC_FRAMES, SYNC_HOPS, SYNC_SHIFT = 5, 20, 15
AT_ONCE = 16
AROUND_FACE = 1.3  # side of the square around a face, over the box's larger side


@dataclass(frozen=True)
class Watched:
    """A video of one face: the portrait's square x, y, side in it, and the boxes inside that square in its pixels."""

    path: Path
    square: tuple[float, float, float]
    regions: Regions


class Scores:
    """Networks opened once. `references`: videos of real people, or of the truth, that are to be resembled."""

    def __init__(self, backbones: dict[str, Backbone], references: Sequence[Watched]) -> None:
        """Raises BackboneProblem."""
        for name in backbones:
            if name in AGAINST_REFERENCE and not references:
                raise BackboneProblem(f"{name} compares with real videos: none is given as reference")
        self._networks = {name: (one, open_backbone(one)) for name, one in backbones.items()}
        self._real = {
            name: np.concatenate([self._features(name, video) for video in references])
            for name in backbones
            if name in AGAINST_REFERENCE
        }

    def of(self, video: Watched) -> dict[str, float]:
        """Raises BackboneProblem where a video is too short, or a network takes other inputs."""
        found: dict[str, float] = {}
        for name, (backbone, network) in self._networks.items():
            if name in AGAINST_REFERENCE:
                try:
                    found[name] = frechet(self._features(name, video), self._real[name])
                except ValueError as error:
                    raise BackboneProblem(f"{name} of {video.path.name}: {error}") from error
            elif name == "sync":
                found["sync_c"], found["sync_d"] = _sync(video, backbone, network)
            else:
                found["identity_similarity"] = _identity(self._frame_features(name, video))
        return {name: round(value, 4) for name, value in found.items()}

    def _features(self, name: str, video: Watched) -> Array:
        return self._clip_features(name, video) if name == "fvd" else self._frame_features(name, video)

    def _frame_features(self, name: str, video: Watched) -> Array:
        backbone, network = self._networks[name]
        face = None if name == "fid" else video.regions.face
        count = sum(1 for _ in _shown(video, 16, None))
        wanted = set(np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int).tolist())
        chosen = (one for at, one in enumerate(_shown(video, backbone.side, face)) if at in wanted)
        return _joined(backbone, network, chosen)

    def _clip_features(self, name: str, video: Watched) -> Array:
        backbone, network = self._networks[name]
        return _joined(backbone, network, _clips(_shown(video, backbone.side, None)))


def _shown(video: Watched, side: int, face: Box | None) -> Iterator[Array]:
    """Frames [3 side side] in 0..1: of the portrait's square, or of a square around the face."""
    x, y, width = video.square
    if face is not None:
        half = max(face[2] - face[0], face[3] - face[1]) * AROUND_FACE / 2
        x, y = x + (face[0] + face[2]) / 2 - half, y + (face[1] + face[3]) / 2 - half
        width = 2 * half
    for picture in pictures(video.path, x, y, width, side):
        if picture.shape[:2] != (side, side):  # a square that leaves the video
            picture = cv2.resize(picture, (side, side)).astype(np.float32, copy=False)
        yield np.ascontiguousarray(picture.transpose(2, 0, 1))


def _clips(frames: Iterator[Array]) -> Iterator[Array]:
    """Frames [3 s s] -> clips [3 16 s s]; a rest is left out."""
    held: list[Array] = []
    for frame in frames:
        held.append(frame)
        if len(held) == CLIP:
            yield np.stack(held, axis=1)
            held = []


def _joined(backbone: Backbone, network: Network, inputs: Iterator[Array]) -> Array:
    """Features [n d] of inputs, some at a time."""
    parts: list[Array] = []
    held: list[Array] = []
    for one in inputs:
        held.append(one)
        if len(held) == AT_ONCE:
            parts.append(_rows(backbone, network, held))
            held = []
    if held:
        parts.append(_rows(backbone, network, held))
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def _rows(backbone: Backbone, network: Network, held: list[Array]) -> Array:
    outputs = network(backbone.scaled(np.stack(held)))
    if backbone.output >= len(outputs):
        raise BackboneProblem(f"{backbone.path} has {len(outputs)} outputs: output is {backbone.output}")
    found = outputs[backbone.output]
    if len(found) != len(held):
        raise BackboneProblem(f"{backbone.path} gave {len(found)} rows for {len(held)} inputs: expected one each")
    return found.reshape(len(found), -1)


def _identity(embeddings: Array) -> float:
    """Mean cosine of every frame's embedding with that of the first, which the portrait stands for."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.maximum(lengths, 1e-9)
    return float((unit[1:] @ unit[0]).mean()) if len(unit) > 1 else 1.0


def _sync(video: Watched, backbone: Backbone, network: Network) -> tuple[float, float]:
    """Confidence and distance: five frames against 0.2 s of sound at every shift of up to 15 frames."""
    frames = list(_shown(video, backbone.side, video.regions.face))
    heard = cepstra(np.concatenate([np.zeros(0, np.float32), *sound(video.path)]))
    count = min(len(frames) - SYNC_FRAMES + 1, (len(heard) - SYNC_HOPS) // 4 + 1)
    if count < 2 * SYNC_SHIFT:
        raise BackboneProblem(f"{video.path.name}: sync needs {2 * SYNC_SHIFT + SYNC_FRAMES} frames, with their sound")
    seen, said = [], []
    for start in range(0, count, AT_ONCE):
        places = range(start, min(start + AT_ONCE, count))
        shown = np.stack([np.stack(frames[at : at + SYNC_FRAMES], axis=1) for at in places])
        spoken = np.stack([heard[4 * at : 4 * at + SYNC_HOPS].T[None] for at in places])
        outputs = network(backbone.scaled(shown), spoken)
        if len(outputs) != 2:
            raise BackboneProblem(f"{backbone.path} has {len(outputs)} outputs: sync needs two, of frames and of sound")
        seen.append(outputs[0].reshape(len(places), -1))
        said.append(outputs[1].reshape(len(places), -1))
    return sync_scores(np.concatenate(seen), np.concatenate(said))


def sync_scores(seen: NDArray[np.float32], said: NDArray[np.float32]) -> tuple[float, float]:
    """Features of frames and of sound [n d] -> confidence (median less least) and the least mean distance."""
    length = len(seen)
    means = []
    for shift in range(-SYNC_SHIFT, SYNC_SHIFT + 1):
        low, high = max(0, -shift), min(length, length - shift)
        means.append(float(np.linalg.norm(seen[low:high] - said[low + shift : high + shift], axis=1).mean()))
    return float(np.median(means) - min(means)), float(min(means))
