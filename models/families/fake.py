"""Family `fake`: integer-hash stand-ins for the networks, in numpy.

Every number is a hash of all that it may depend on, so a wrong seed, state, halo, window or order changes the bytes.
The picture is a mosaic of flat 8x8 blocks, which video codecs handle at any size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from models.families.noise_keys import noise_key
from models.families.protocol import Arrays, ClipOptions, Family, Hints, Lane, Made, PictureOptions

CLIP = 16
SPEECH_PER_FRAME = 640
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(*parts: Any) -> np.ndarray:
    """Order-sensitive 64-bit hash of broadcastable unsigned integer arrays (finaliser of SplitMix64)."""
    h: Any = np.uint64(0)  # a number, and an array from the first array on
    with np.errstate(over="ignore"):
        for part in parts:
            h = (h ^ np.asarray(part).astype(np.uint64)) + _GOLDEN
            h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            h = h ^ (h >> np.uint64(31))
    return np.asarray(h)


def digest(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


class _Part:
    def __init__(self, family: Family, weights: str | None, device: str):
        self.family = family

    def numerics(self) -> dict[str, Any]:
        return {"arithmetic": "integer"}

    def release(self) -> None:
        """Nothing is held."""


class Prepare(_Part):
    def conditioning(self, portrait: np.ndarray, base_size: int, hints: Hints) -> tuple[Arrays, list[str]]:
        whose = None if hints.face_embedding is None else hints.face_embedding.tobytes()
        said = (hints.face_box, hints.lip_box, whose, hints.compat)
        key = digest(repr((portrait.shape, base_size, said)).encode() + portrait.tobytes())
        notes = [] if hints.face_box else ["no face_box given: the portrait was cropped at its centre"]
        return {"portrait": np.array([key], np.uint64)}, notes

    def features(
        self, speech: np.ndarray, left: int, frames: int, right: int, silence: int, level: float
    ) -> np.ndarray:
        quiet = np.zeros(silence * SPEECH_PER_FRAME, np.float32)
        cells = np.concatenate([speech, quiet]).reshape(-1, SPEECH_PER_FRAME)
        keys = np.array([digest(cell.tobytes()) for cell in cells], np.uint64)
        # A frame hears its neighbours as far as the halo goes, like an encoder with context.
        halo = self.family.feature_halo
        around = np.lib.stride_tricks.sliding_window_view(np.pad(keys, halo, mode="edge"), len(keys))
        return mix(*around)[left : left + frames + silence, None]


class Chain(_Part):
    remade: frozenset[int] = frozenset()

    def start(self, conditioning: Arrays, seed: int, base_size: int) -> Arrays:
        shape = self.family.latent_shape(base_size)
        cells = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape)
        motion = [mix(cells, conditioning["portrait"], seed, place) for place in range(self.family.motion_frames)]
        return {"motion": np.stack(motion).astype(np.uint16)}

    def sample(self, seed: int, options: ClipOptions) -> Lane:
        """A made-up input, as the self-test of lanes takes it."""
        portrait = {"portrait": mix(seed, 1).reshape(1)}
        state = self.start(portrait, seed, options.base_size)
        features = mix(seed, 2, np.arange(CLIP + 2 * self.family.feature_reach))[:, None]
        return Lane(seed, 0, portrait, state, features, None, options)

    def arithmetic(self, options: ClipOptions, lanes: int) -> dict[str, Any]:
        return {}

    def next_clip(self, lanes: list[Lane | None]) -> list[tuple[np.ndarray, Arrays] | None]:
        return [None if lane is None else self._clip(lane) for lane in lanes]

    def _clip(self, lane: Lane) -> tuple[np.ndarray, Arrays]:
        options = lane.options
        constant = mix(
            lane.conditioning["portrait"],
            noise_key(lane.seed, "latents", lane.clip, lane.attempt),
            digest((lane.text or "").encode()),
            digest(f"{options.steps}|{options.guidance_scale}|{options.compat}".encode()),
        )
        reach = self.family.feature_reach
        before, last = lane.state["motion"]
        latents = []
        for place in range(CLIP):
            heard = mix(*lane.features[place : place + 2 * reach + 1, 0])
            before, last = last, mix(before, last, constant, heard, place).astype(np.uint16)
            latents.append(last)
        return np.stack(latents), {"motion": np.stack([before, last])}

    def look(self, made: Made) -> dict[str, float]:
        """Of numbers that are hashes: how far they spread, and how far they go from one frame to the next, of 1."""
        cells = made.latents.astype(np.float64) / 65535
        steps = np.abs(np.diff(cells, axis=0))
        return {"spread": float(cells.std()), **({"steps": float(steps.mean(0).mean())} if len(cells) > 1 else {})}

    def joined(self, before: Arrays, latents: np.ndarray) -> np.ndarray:
        return latents  # no two frames of a mosaic have anything in common


class Upscale(_Part):
    def fit(self, options: PictureOptions, begun: Mapping[str, Any] | None) -> None:
        """Integers fit anywhere."""

    def shrink(self) -> bool:
        return False

    def wider(self) -> None:
        return None

    def decode(
        self, latents: np.ndarray, options: PictureOptions, conditioning: Arrays | None = None
    ) -> list[np.ndarray]:
        # The place in the group is hashed in, so a group that is not anchored on absolute frame numbers shows.
        return [mix(latent[0], place) for place, latent in enumerate(latents)]

    def still(self, frames: list[np.ndarray], conditioning: Arrays, options: PictureOptions) -> bool:
        """By chance, of all that it may depend on."""
        return bool(mix(conditioning["portrait"], *(mix(frame).sum(dtype=np.uint64) for frame in frames))[0] & 1)

    def restore(
        self, window: list[np.ndarray], places: range, conditioning: Arrays, options: PictureOptions
    ) -> Iterator[np.ndarray]:
        if len(window) != 16:
            raise ValueError(f"a window of {len(window)} frames: expected 16")
        said = f"{options.fidelity}|{options.background}|{options.resolution}|{options.compat}"
        said += f"|{options.enlarge}" if options.enlarge != "x2" else ""
        key = digest((f"{said}|plate" if options.plate == "on" else said).encode())
        seen = mix(key, conditioning["portrait"], *window)
        for place in places:
            yield self._enlarged(mix(seen, window[place], place), options.resolution)

    def face_found(self, frame: np.ndarray) -> bool:
        return True

    def planes(self, frame: np.ndarray) -> np.ndarray:
        return frame

    def _enlarged(self, cells: np.ndarray, resolution: int) -> np.ndarray:
        luma = _stretch((16 + (cells & np.uint64(0xFF)) % np.uint64(220)).astype(np.uint8), resolution)
        half = resolution // 2
        chroma = [
            _stretch((96 + ((cells >> np.uint64(shift)) & np.uint64(63))).astype(np.uint8), half) for shift in (8, 16)
        ]
        planes = np.empty((resolution * 3 // 2, resolution), np.uint8)
        planes[:resolution] = luma
        planes[resolution:] = np.concatenate([plane.reshape(-1) for plane in chroma]).reshape(-1, resolution)
        return planes


def _stretch(cells: np.ndarray, size: int) -> np.ndarray:
    """Nearest-neighbour enlargement to size x size."""
    index = np.arange(size) * cells.shape[0] // size
    return cells[index[:, None], index]


PARTS = {"prepare": Prepare, "chain": Chain, "upscale": Upscale}
