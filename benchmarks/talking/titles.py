"""Titles of drawn people whom no training has seen, rendered by `pipeline.render` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.data.drawn_portrait import Portrait, draw_portrait
from models.data.speech import Corpus, read_recording
from models.drawn.splits import Split
from models.speech.spectrum import SAMPLE_RATE, SAMPLES_A_FRAME

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "speech.flac"  # of a voice that training never hears
PAUSES = (0.5, 1.1, 0.7, 1.6)  # seconds, where the example is said again and again
SPLIT: Split = "test"


@dataclass(frozen=True)
class Asked:
    """How everything is rendered."""

    folder: Path
    weights: str | None
    family: str
    resolution: int
    base_size: int
    steps: int | None
    background: str


@dataclass(frozen=True)
class Title:
    name: str
    sitter: Portrait
    sound: Tensor
    """[640·f] at 16 kHz."""
    prompts: tuple[tuple[float, str], ...] = ()
    """Seconds, and what is asked for from then on."""
    resolution: int | None = None


def sitter(number: int) -> Portrait:
    return draw_portrait(SPLIT, number, 512)


def spoken(frames: int, corpus: Corpus | None, seed: int = 0) -> Tensor:
    """Held-out speech [640·frames]: stretches of the corpus, else the example with pauses, from its `seed`th pause."""
    if corpus is not None:
        return corpus.stretch(seed, frames, held_out=True)
    said = read_recording(EXAMPLE)
    parts: list[Tensor] = [torch.zeros(0)]
    while sum(map(len, parts)) < frames * SAMPLES_A_FRAME:
        pause = PAUSES[(len(parts) // 2 + seed) % len(PAUSES)]
        parts += [said, torch.zeros(int(pause * SAMPLE_RATE))]
    return torch.cat(parts)[: frames * SAMPLES_A_FRAME]


def shuffled(sound: Tensor, seed: int = 0) -> Tensor:
    """The same sound, its whole seconds in another order: none where it was, if there are two."""
    pieces = list(sound[: len(sound) // SAMPLE_RATE * SAMPLE_RATE].split(SAMPLE_RATE))
    rest = sound[len(pieces) * SAMPLE_RATE :]
    order = np.random.default_rng(seed).permutation(len(pieces))
    turned = {int(here): pieces[int(there)] for here, there in zip(order, np.roll(order, 1), strict=True)}
    return torch.cat([*(turned[place] for place in range(len(pieces))), rest])


def render(titles: list[Title], asked: Asked) -> dict[str, Path]:
    """Final files by name. What is done already in the folder is not rendered again."""
    folder = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(titles, asked)
    log = folder / "render.log"
    with log.open("a") as file:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline.render", str(manifest), "--executor", "inline", "--skip-done"],
            stdout=file,
            stderr=file,
        )
    if ended.returncode:
        raise click.ClickException(f"rendering ended with {ended.returncode}: the reason is in {log}")
    return {title.name: folder / "out" / title.name / "final.mp4" for title in titles}


def _manifest(titles: list[Title], asked: Asked) -> Path:
    entries = []
    for title in titles:
        picture = asked.folder / f"person-{title.sitter.seed}.png"
        if not picture.exists():
            Image.fromarray(title.sitter.picture).save(picture)
        entry: dict[str, Any] = {
            "id": title.name,
            "portrait": picture.name,
            "audio": _written(title.sound, asked.folder / f"{title.name}.wav").name,
            "face_box": list(title.sitter.face_box),
            "lip_box": list(title.sitter.lip_box),
        }
        if title.prompts:
            entry["prompts"] = [{"at": at, "text": text} for at, text in title.prompts]
        if title.resolution:
            entry["resolution"] = title.resolution
        entries.append(entry)
    defaults: dict[str, Any] = {"resolution": asked.resolution, "base_size": asked.base_size, "subject": "synthetic"}
    defaults["background"] = asked.background
    if asked.steps:
        defaults["steps"] = asked.steps
    manifest: dict[str, Any] = {"version": 1, "output": "out", "family": asked.family, "defaults": defaults}
    if asked.weights:
        manifest["weights"] = str(Path(asked.weights).resolve()) if "://" not in asked.weights else asked.weights
    path = asked.folder / "catalog.yaml"
    path.write_text(json.dumps(manifest | {"titles": entries}, indent=1))  # JSON is YAML
    return path


def _written(sound: Tensor, path: Path) -> Path:
    pcm = (sound.clamp(-1, 1) * 32767).round().numpy().astype("<i2").tobytes()
    if path.exists() and path.read_bytes()[44:] == pcm:
        return path  # its date says to the renderer that nothing has changed
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return path
