"""What is heard and what a speaker does with it, without any picture: speech costs far less than puppets do.

Of a movement's networks only what hears learns from it: the same few numbers say how every portrait moves.
"""

from __future__ import annotations

from dataclasses import fields
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.data.puppet_takes import as_asked, direction_of
from models.data.speech import Corpus
from models.data.synthetic_speech import babble
from models.data.takes import AFTER, BEFORE
from models.diffusion.movement import windows
from models.drawn.closures import STEP, spoken_targets
from models.drawn.motion import Direction, motion
from models.drawn.mouth import MouthTargets
from models.families.config import MovementConfig
from models.families.noise_keys import noise_key
from models.families.vocabulary import asked
from models.puppet.track import track_of
from models.speech.spectrum import SAMPLES_A_FRAME, heard, levelled

FRAMES = 200  # of a stretch
PROMPTED = 0.6  # share of the stretches
AS_RECORDED, SPEEDS = 0.25, (0.78, 1.28)  # share at the speaker's own speed, and those of the others


class SpokenPool:
    def __init__(
        self, corpus: Corpus, stretches: int, config: MovementConfig, *, synthetic: int = 0, held_out: bool = False
    ) -> None:
        """Stretches of eight seconds of recorded words, as loud as titles are, and `synthetic` ones, of which it is
        known when lips meet; the same number gives the same ones."""
        self.config = config
        drawn = [_stretch(corpus, number, held_out) for number in range(stretches)]
        drawn += [_synthetic_stretch(number, held_out) for number in range(synthetic)]
        self._heard = torch.stack([one[0] for one in drawn])
        self._numbers = torch.stack([one[1] for one in drawn])
        self._prompts = torch.stack([one[2] for one in drawn])

    def draw(self, frames: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Windows [n window rows bands], prompts [n 10] and the 19 numbers [n 19] of frames from anywhere."""
        at = torch.randint(len(self._heard), (frames,), generator=generator).tolist()
        places = torch.randint(FRAMES, (frames,), generator=generator).tolist()
        seen = [
            windows(self._heard[one].float(), [BEFORE + place], self.config)[0]
            for one, place in zip(at, places, strict=True)
        ]
        return torch.stack(seen), self._prompts[at], self._numbers[at, places]


def as_somebody_else(speech: Tensor, frames: int) -> Tensor:
    """Sound [s] -> played in so many frames: a longer throat or a shorter one, as another person has."""
    samples = frames * SAMPLES_A_FRAME
    if len(speech) == samples:
        return speech
    return F.interpolate(speech[None, None], size=samples, mode="linear", align_corners=False)[0, 0]


def _stretch(corpus: Corpus, number: int, held_out: bool) -> tuple[Tensor, Tensor, Tensor]:
    seed = noise_key(number, "spoken stretch", 0)
    dice, frames = Random(seed), BEFORE + FRAMES + AFTER
    direction, words = direction_of(seed, dice, PROMPTED, may_turn=True, held_out=held_out)
    speed = 1.0 if dice.random() < AS_RECORDED else dice.uniform(*SPEEDS)
    said = corpus.stretch(seed % 2**31, round(frames * speed), held_out=held_out)
    speech = levelled(as_somebody_else(said, frames))
    return _told(seed, speech, spoken_targets(speech), direction, words)


def _synthetic_stretch(number: int, held_out: bool) -> tuple[Tensor, Tensor, Tensor]:
    seed = noise_key(number, "synthetic stretch", 0)
    direction, words = direction_of(seed, Random(seed), PROMPTED, may_turn=True, held_out=held_out)
    said = babble(seed % 2**31, BEFORE + FRAMES + AFTER)
    speech = levelled(said.speech)
    return _told(seed, speech, spoken_targets(speech, said.shut(STEP)), direction, words)


def _told(
    seed: int, speech: Tensor, targets: MouthTargets, direction: Direction, words: str
) -> tuple[Tensor, Tensor, Tensor]:
    """What is heard [f rows bands], the 19 numbers of its frames but for those around them, the prompt."""
    moving = as_asked(track_of(motion(seed % 2**31, targets, (direction,), composed=True)), direction)
    moving = moving.rows(slice(BEFORE, BEFORE + FRAMES))
    numbers = np.stack([getattr(moving, field.name) for field in fields(moving)], 1)
    return heard(speech).half(), torch.from_numpy(numbers).float(), torch.tensor(asked(words))
