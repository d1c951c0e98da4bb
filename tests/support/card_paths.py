"""Everything that a worker's networks do with a title, at reduced width: run on a real card, or on a pretended one.

Nothing here says where it runs but `device`. Results are numpy arrays, as they leave a worker.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.families.protocol import Arrays, ClipOptions, Family, Hints, Lane, PictureOptions
from models.families.registry import FAMILIES, load_part
from models.speech.wav2vec import SAMPLES_A_FRAME
from models.weights.synthetic_tree import write_tree
from tests.support.tiny_hallo2 import TINY_FAMILY

MINI, MINI_WEIGHTS = FAMILIES["mini"], str(Path(__file__).resolve().parents[2] / "models/shipped/mini")
FACE = torch.tensor([[24.0, 24], [40, 24], [32, 34], [26, 44], [38, 44]])  # of a frame of 64 pixels
CLIPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "published noise": {"compat": "published"},
    "another solver, guidance and deep features left out": {
        "solver": "dpm++", "steps": 4, "guided_share": 0.5, "deep_every": 2,
    },
    "without guidance": {"guidance_scale": 1.0},
}  # fmt: skip
PICTURES = {
    "x2": PictureOptions(64, 128, 0.7, "x2"),
    "plate": PictureOptions(64, 256, 0.7, "x2", plate="on"),
    "lanczos": PictureOptions(64, 128, 1.0, "lanczos"),
    "published": PictureOptions(64, 128, 1.0, "x2", compat="published"),
    "codes alone": PictureOptions(64, 128, 0.0, "x2"),
}


def tiny_weights(folder: Path) -> str:
    write_tree(folder, TINY_FAMILY, text=True, half=False)
    return str(folder)


def speech(frames: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(SAMPLES_A_FRAME * frames).astype(np.float32) * 0.1


def portrait(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (side, side + side // 4, 3), np.uint8)


def prepared(family: Family, weights: str, device: str, base: int) -> tuple[Arrays, np.ndarray]:
    """Conditioning of a portrait, and features of 24 frames of speech."""
    part = load_part(family, "prepare", weights, device)
    box = tuple(base * share // 64 for share in (20, 20, 30, 30))
    conditioning, _ = part.conditioning(portrait(base + base // 4), base, Hints(face_box=box))
    return conditioning, part.features(speech(24), 0, 24, 0, 0, 0.1)


def lane_of(part: Any, conditioning: Arrays, features: np.ndarray, options: ClipOptions, text: str | None) -> Lane:
    reach = part.config.chain.audio_projection.radius
    state = part.start(conditioning, 5, options.base_size)
    return Lane(5, 0, conditioning, state, features[: 16 + 2 * reach], text, options)


def clip(part: Any, conditioning: Arrays, features: np.ndarray, lanes: int = 1, **changes: Any) -> np.ndarray:
    """Latents of one clip in each of `lanes` lanes, the same title in all of them."""
    options = replace(ClipOptions(2, 3.5, 64), **changes)
    lane = lane_of(part, conditioning, features, options, "a sad face")
    return np.stack([made[0] for made in part.next_clip([lane] * lanes)])


def frames_of(part: Any, latents: np.ndarray, options: PictureOptions, faces: bool = True) -> list[Any]:
    """Base frames of a window; `faces`: with landmarks that tremble, as a detector with real weights finds them."""
    group = part.family.decode_group
    found = [
        frame
        for first in range(0, len(latents), group)
        for frame in part.decode(latents[first : first + group], options)
    ]
    if not faces:
        return found
    random = torch.Generator().manual_seed(0)
    return [one._replace(faces=(FACE + 0.5 * torch.randn(5, 2, generator=random))[None]) for one in found]


def pictures(part: Any, frames: list[Any], conditioning: Arrays, options: PictureOptions) -> np.ndarray:
    """Planes of the twelve frames that a window owns."""
    restored = part.restore(frames, range(4, 16), conditioning, options)
    return np.stack([part.planes(one) for one in restored])
