"""Latents of people whom no training has seen, by the product's own chain, all in one batch; nothing else is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.talking.titles import sitter
from models.families.protocol import Arrays, ClipOptions, Family, Hints, Lane
from models.measures.picture import Picture
from models.measures.video import SIDE
from models.parts.chain import Chain
from models.parts.prepare import Prepare
from models.speech.speech_level import speech_level

CLIP, SIZE = 16, 512
DECODED_AT_ONCE = 4


@dataclass(frozen=True)
class Said:
    """What one person says."""

    person: int
    """Number of an identity of the test split."""
    sound: Tensor
    """[640·f] at 16 kHz."""
    text: str | None = None
    """The prompt."""


def chained(family: Family, weights: str, said: list[Said], clips: int, steps: int) -> list[Tensor]:
    """-> latents [16·clips 8 32 32] of each, half precision."""
    prepare, chain = Prepare(family, weights, "cpu"), Chain(family, weights, "cpu")
    options, reach = ClipOptions(steps, 1.0, SIZE), family.feature_reach
    given = [_prepared(prepare, one, clips * CLIP) for one in said]
    states = [chain.start(conditioning, 0, SIZE) for conditioning, _ in given]
    made: list[list[Tensor]] = [[] for _ in said]
    for clip in range(clips):
        heard = slice(clip * CLIP, (clip + 1) * CLIP + 2 * reach)
        lanes = [
            Lane(one.person, clip, conditioning, state, features[heard], one.text, options)
            for one, (conditioning, features), state in zip(said, given, states, strict=True)
        ]
        for place, result in enumerate(chain.next_clip(list(lanes))):
            assert result is not None
            made[place].append(torch.from_numpy(result[0]))
            states[place] = result[1]
    return [torch.cat(parts) for parts in made]


@torch.inference_mode()
def decoded(vae: Any, latents: Tensor) -> Iterator[Picture]:
    """latents [f 8 h w] -> pictures as the measures look at them, float32 [256 256 3]."""
    for group in latents.split(DECODED_AT_ONCE):
        shown = F.interpolate(vae.decode(group, group=len(group)), (SIDE, SIDE), mode="area")
        yield from (np.ascontiguousarray(picture) for picture in shown.permute(0, 2, 3, 1).numpy())


def _prepared(prepare: Prepare, one: Said, frames: int) -> tuple[Arrays, np.ndarray]:
    """Conditioning, and features [reach + frames + reach, …] whose ends are repeated."""
    who = sitter(one.person)
    conditioning, _ = prepare.conditioning(who.picture, SIZE, Hints(who.face_box, who.lip_box))
    speech = one.sound.numpy()
    heard = prepare.features(speech, 0, frames, 0, 0, speech_level([speech]))
    reach = prepare.family.feature_reach
    return conditioning, np.concatenate([heard[:1].repeat(reach, 0), heard, heard[-1:].repeat(reach, 0)])
