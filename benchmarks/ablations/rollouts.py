"""Minutes of latents of people whom no training has seen, kept as files."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.ablations.arms import Arm
from benchmarks.talking.latents import CLIP, Said, chained
from benchmarks.talking.titles import spoken
from models.data.speech import Corpus


def roll_out(
    arm: Arm, weights: Path, vae: Path, out: Path, people: list[int], clips: int, corpus: Corpus | None, steps: int
) -> list[Path]:
    """One file of latents [16·clips 8 32 32] a person; those that are there stay. -> their paths."""
    paths = [out / f"{arm.name}-{person}-{clips}.safetensors" for person in people]
    left = [(person, path) for person, path in zip(people, paths, strict=True) if not path.exists()]
    if not left:
        return paths
    out.mkdir(parents=True, exist_ok=True)
    if not (weights / "vae.safetensors").exists():
        shutil.copy(vae, weights / "vae.safetensors")
    said = [Said(person, spoken(clips * CLIP, corpus, person)) for person, _ in left]
    for (_, path), latents in zip(left, chained(arm.family(), str(weights), said, clips, steps), strict=True):
        fresh = path.with_suffix(".part")
        save_file({"latents": latents}, fresh)
        fresh.rename(path)
    return paths


def latents_of(path: Path) -> torch.Tensor:
    return load_file(path)["latents"].float()
