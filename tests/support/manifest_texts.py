"""Manifests for tests, and stand-ins for the families that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    name: str
    text: bool = True
    default_steps: int = 40
    default_guidance: float = 3.5
    base_sizes: tuple[int, ...] = (512, 128, 256)
    moves: bool = False
    gate: object | None = None


FAMILIES = {
    "fake": Facts("fake", base_sizes=tuple(range(64, 1025, 16))),
    "mini": Facts("mini", default_steps=9, gate="a gate"),
    "plain": Facts("plain", text=False, base_sizes=(512,)),
}

HEAD = "version: 1\noutput: out\nfamily: mini\n"
TITLE = "titles:\n  - id: one\n    portrait: face.png\n    audio: voice.wav\n"

GIVEN: dict[str, Any] = {
    "resolution": 2048,
    "codec": "hevc",
    "crf": 30,
    "steps": 17,
    "guidance_scale": 2.5,
    "guided_share": 0.75,
    "deep_every": 2,
    "solver": "dpm++",
    "linears": "int8",
    "preset": "draft",
    "effort": "good",
    "fidelity": 0.25,
    "scenes": "chapters",
    "pad_joins": "off",
    "join": "cut",
    "gate": "off",
    "segment_frames": 96,
    "face_box": [10, 20, 300, 310],
    "lip_box": [50, 200, 100, 60],
    "face_embedding": "/e/face.npy",
    "base_size": 256,
    "keep": "final+hls",
    "vocals": "separate",
    "audio_context": "published",
    "compat": "published",
    "background": "lanczos",
    "enlarge": "published",
    "plate": "on",
    "allow_mixed": True,
    "compile": "on",
    "guidance_devices": 2,
    "frame": "square",
    "canvas": "3840x2160",
    "canvas_place": "left",
    "canvas_fill": "/e/desk.png",
    "author": "Ada",
    "cover": "/e/cover.jpg",
    "language": "pt-BR",
    "burn_captions": True,
    "accept_short": True,
    "loudness": -16.5,
    "renditions": [1080, 720],
    "owner": "Ada",
    "share": 2.0,
    "due": "2027-03-01T18:00:00Z",
    "marks": "off",
    "badge": True,
    "subject": "real",
    "consent": True,
}
