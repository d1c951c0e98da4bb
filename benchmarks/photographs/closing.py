"""Do lips meet where a written sentence has p, b and m? Said by voices of espeak-ng that training never heard.

Its sounds are known with their times. Lips are watched by MediaPipe; those of vowels are told beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks.photographs.speaking import film, write
from models.data.synthetic_speech import Said, say
from models.measures.watching import Sensors, watch
from models.speech.spectrum import SAMPLES_A_FRAME

SENTENCES = (
    "Bob and Mary put my baby's map back by the pump.",
    "Many happy people jump up and grab a big warm apple pie before they go home.",
)
VOICES = ("en+steph", "en-us+zac")
FPS = 25
QUIET = 20  # frames of silence before and after
TOGETHER = 0.25  # of how far lips open at loud moments, below which they are together
VOWELS = tuple("aeiouAEIOU03V@")


def closing(picture: NDArray[np.uint8], weights: str, sensors: Sensors, folder: Path) -> list[dict[str, Any]]:
    """A row for each sentence and voice; films are kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _row(picture, weights, sensors, folder / f"{voice}-{number}.mp4", voice, sentence)
        for voice in VOICES
        for number, sentence in enumerate(SENTENCES)
    ]


def _row(
    picture: NDArray[np.uint8], weights: str, sensors: Sensors, target: Path, voice: str, sentence: str
) -> dict[str, Any]:
    said = say(sentence, voice, 150)
    speech = F.pad(said.speech, (QUIET * SAMPLES_A_FRAME, (QUIET + 16) * SAMPLES_A_FRAME))
    planes, shape = film(picture, speech, weights, 512)
    write(target, planes, shape)
    watched = watch(target, None, sensors)
    opening = np.array([np.nan if one is None else one.numbers.opening for one in watched.seen])
    loud = float(np.nanpercentile(opening, 90))
    least = _at(said, opening, lips_meet=True)
    shut = {name: [value <= TOGETHER * loud for other, value in least if other == name] for name in "pbm"}
    vowels = _at(said, opening, lips_meet=False)
    return {
        "voice": voice,
        "sentence": sentence,
        "loud": loud,
        "met": sum(map(sum, shut.values())) / sum(map(len, shut.values())),
        "by_sound": {name: f"{sum(values)} of {len(values)}" for name, values in shut.items()},
        "opening_at_them": float(np.mean([value for _, value in least])) / loud,
        "opening_at_vowels": float(np.mean([value for _, value in vowels])) / loud,
        "opening_in_silence": float(np.nanmedian(opening[:QUIET])) / loud,
    }


def _at(said: Said, opening: NDArray[np.float64], *, lips_meet: bool) -> list[tuple[str, float]]:
    """Of every p, b, m the least opening of its frames, of every vowel the most."""
    found = []
    for one in said.sounds:
        frames = opening[QUIET + int(one.start * FPS) : QUIET + int(np.ceil(one.end * FPS)) + 1]
        if one.lips_meet and lips_meet:
            found.append((one.name[0], float(np.nanmin(frames))))
        elif not lips_meet and one.name[:1] in VOWELS:
            found.append((one.name, float(np.nanmax(frames))))
    return found
