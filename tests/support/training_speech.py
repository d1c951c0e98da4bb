"""Speech for tests of training: syllables of noise in three formants, two speakers, one of them held out."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from models.data.speech import Corpus
from models.speech.spectrum import SAMPLE_RATE


def corpus(folder: Path) -> Corpus:
    rng = np.random.default_rng(0)
    for speaker in ("anna", "ben"):
        (folder / speaker).mkdir(parents=True)
        for number in range(3):
            time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
            syllables = np.clip(np.sin(2 * np.pi * 3 * time + rng.uniform(0, 6)), 0, 1)
            voice = sum(np.sin(2 * np.pi * pitch * time) for pitch in (130, 500, 1500)) / 3
            said = 0.2 * syllables * voice + 0.001 * rng.standard_normal(len(time))
            with wave.open(str(folder / speaker / f"{number}.wav"), "wb") as file:
                file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
                file.writeframes((said * 32767).astype("<i2").tobytes())
    return Corpus(folder, held_out=("ben",))
