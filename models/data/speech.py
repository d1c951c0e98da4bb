"""Recorded speech to train on: a folder with one folder of recordings a speaker, some speakers kept out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from models.families.noise_keys import noise_key
from models.speech.spectrum import SAMPLE_RATE, SAMPLES_A_FRAME, levelled

SUFFIXES = (".flac", ".wav")
GAIN = (0.6, 1.6)
PAUSE = (0.1, 1.5)  # seconds between recordings
NOISE = (1e-4, 2.5e-3)  # standard deviation of the noise over everything


class Corpus:
    """Recordings by speaker. `held_out` names the speakers that training must not hear."""

    def __init__(self, folder: Path, held_out: tuple[str, ...] = ()) -> None:
        speakers = {part.name: _recordings(part) for part in sorted(folder.glob("*")) if part.is_dir()}
        self._files = {name: files for name, files in speakers.items() if files}
        if not self._files:
            raise FileNotFoundError(
                f"{folder} holds no recordings: expected one folder a speaker with {' or '.join(SUFFIXES)} files; "
                "`python -m models.data.speech_data` makes one"
            )
        unknown = [name for name in held_out if name not in self._files]
        if unknown:
            raise ValueError(f"held_out names {unknown}: the speakers in {folder} are {sorted(self._files)}")
        self.held_out = held_out

    def speakers(self, held_out: bool = False) -> list[str]:
        return [name for name in self._files if (name in self.held_out) == held_out]

    def stretch(self, seed: int, frames: int, *, held_out: bool = False) -> Tensor:
        """One speaker saying several recordings with pauses, at some gain, in some noise -> [640·frames], -1..1."""
        speakers = self.speakers(held_out)
        if not speakers:
            raise ValueError(f"no speaker is left: held_out is {self.held_out}, speakers are {sorted(self._files)}")
        generator = torch.Generator().manual_seed(noise_key(seed, "speech", 0))

        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        files = self._files[speakers[int(uniform(0, 1) * len(speakers)) % len(speakers)]]
        wanted, parts, total = frames * SAMPLES_A_FRAME, [], 0
        while total < wanted:
            said = read_recording(files[int(uniform(0, 1) * len(files)) % len(files)])
            parts += [said, torch.zeros(int(uniform(*PAUSE) * SAMPLE_RATE))]
            total += len(parts[-2]) + len(parts[-1])
        skip = int(uniform(0, 1) * min(total - wanted, len(parts[0])))
        wave = torch.cat(parts)[skip : skip + wanted] * uniform(*GAIN)
        noise = torch.randn(wanted, generator=generator) * uniform(*NOISE)
        return (wave + noise).clamp(-1, 1)


def _recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


@lru_cache(maxsize=4096)
def read_recording(path: Path) -> Tensor:
    """A recording -> [s] at 16 kHz, mono, as loud as every title is made; what is nearly silent stays so."""
    wave = torch.from_numpy(np.concatenate([np.zeros(0, np.float32), *_blocks(path)]))
    return levelled(wave)


def _blocks(path: Path) -> Iterator[np.ndarray]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for block in resampler.resample(frame):
                yield block.to_ndarray().reshape(-1)
    for block in resampler.resample(None):
        yield block.to_ndarray().reshape(-1)
