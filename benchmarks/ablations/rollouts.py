"""Minutes of latents of people whom no training has seen, by the product's own chain, all of an arm as one batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.ablations.arms import Arm
from benchmarks.talking.titles import sitter, spoken
from models.families import Arrays, ClipOptions, Hints, Lane
from models.networks import Chain, Prepare
from models.speech_level import speech_level
from models.training.speech import Corpus

CLIP, SIZE = 16, 512


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
    family = arm.family()
    prepare, chain = Prepare(family, str(weights), "cpu"), Chain(family, str(weights), "cpu")
    options = ClipOptions(steps, 1.0, SIZE)
    given = [_prepared(prepare, person, clips * CLIP, corpus) for person, _ in left]
    states = [chain.start(conditioning, 0, SIZE) for conditioning, _ in given]
    made: list[list[torch.Tensor]] = [[] for _ in left]
    reach = family.feature_reach
    for clip in range(clips):
        lanes = [
            Lane(person, clip, conditioning, state, heard[clip * CLIP : (clip + 1) * CLIP + 2 * reach], None, options)
            for (person, _), (conditioning, heard), state in zip(left, given, states, strict=True)
        ]
        results = chain.next_clip(list(lanes))
        for place, result in enumerate(results):
            assert result is not None
            made[place].append(torch.from_numpy(result[0]))
            states[place] = result[1]
    for (_, path), parts in zip(left, made, strict=True):
        fresh = path.with_suffix(".part")
        save_file({"latents": torch.cat(parts)}, fresh)
        fresh.rename(path)
    return paths


def _prepared(prepare: Prepare, person: int, frames: int, corpus: Corpus | None) -> tuple[Arrays, np.ndarray]:
    """Conditioning, and features [reach + frames + reach, …] whose ends are repeated."""
    who = sitter(person)
    conditioning, _ = prepare.conditioning(who.picture, SIZE, Hints(who.face_box, who.lip_box))
    speech = spoken(frames, corpus, person).numpy()
    heard = prepare.features(speech, 0, frames, 0, 0, speech_level([speech]))
    reach = prepare.family.feature_reach
    return conditioning, np.concatenate([heard[:1].repeat(reach, 0), heard, heard[-1:].repeat(reach, 0)])


def latents_of(path: Path) -> torch.Tensor:
    return load_file(path)["latents"].float()
