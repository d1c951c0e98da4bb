"""Speech of espeak-ng's voices whose sounds are known, each with the time at which it begins.

Of recorded words nobody has marked when lips meet; of these it is known exactly. Needs the library of espeak-ng
(Debian: libespeak-ng1). A process has one synthesiser.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.speech.spectrum import SAMPLE_RATE, SAMPLES_A_FRAME

LIBRARY = "libespeak-ng.so.1"
RETRIEVE, WITH_SOUNDS, SOUND, TEXT_IN_UTF8 = 1, 1, 7, 1  # of espeak-ng/speak_lib.h
RATE, PITCH = 1, 3  # its parameters
LANGUAGES = ("en", "en-us", "en-GB-scotland", "fr", "de", "es", "it", "nl", "pt", "sv", "pl", "cs")
VARIANTS = (
    *("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5"),
    *("+Andrea", "+Annie", "+linda", "+Denis", "+Michael", "+Marco", "+Lee", "+Henrique", "+Hugo", "+belinda"),
)
WORDS = (
    *("my", "mother", "bought", "a", "big", "map", "of", "the", "old", "harbour", "and", "put", "it", "by", "lamp"),
    *("people", "come", "from", "many", "places", "to", "see", "boats", "empty", "morning", "simple", "problem"),
    *("bread", "apple", "window", "seven", "light", "number", "maybe", "member", "happy", "sleep", "robin", "climb"),
    *("river", "house", "thinking", "never", "further", "shoes", "they", "laugh", "wide", "yellow", "garden", "quiet"),
    *("summer", "temple", "about", "baby", "paper", "bumble", "time", "home", "him", "stop", "up", "job", "grab"),
)
LIPS_MEET = ("p", "b", "m")
PARTS = 0.015  # seconds before the next sound at which lips part again: the burst of a p or b is heard
SPEEDS, PITCHES = (105, 220), (15, 85)  # words a minute; of espeak-ng's hundred


@dataclass(frozen=True)
class Sound:
    name: str
    """As espeak-ng writes it."""
    start: float
    end: float
    """Seconds."""

    @property
    def lips_meet(self) -> bool:
        return self.name[:1] in LIPS_MEET


@dataclass(frozen=True)
class Said:
    speech: Tensor  # [s] at 16 kHz, whole frames
    sounds: list[Sound]

    def shut(self, step: int) -> Tensor:
        """Steps of so many samples in which lips are together [steps], true or false."""
        found = torch.zeros(len(self.speech) // step, dtype=torch.bool)
        for one in self.sounds:
            if one.lips_meet:
                start, end = one.start * SAMPLE_RATE / step, (one.end - PARTS) * SAMPLE_RATE / step
                found[round(start) : max(round(end), round(start) + 1)] = True
        return found


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("unique", ctypes.c_uint), ("text", ctypes.c_int), ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("id", _Id),
    )  # fmt: skip


_Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Synthesiser:
    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        self.rate = int(self._library.espeak_Initialize(RETRIEVE, 500, None, WITH_SOUNDS))
        if self.rate <= 0:
            raise OSError("espeak-ng does not start: its data is missing; install espeak-ng-data")
        self._blocks: list[np.ndarray] = []
        self._starts: list[tuple[str, int]] = []
        self._callback = _Heard(self._heard)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: str, speed: int, pitch: int) -> tuple[np.ndarray, list[tuple[str, int]]]:
        """Samples at `rate`, and every sound with the sample at which it begins."""
        self._blocks, self._starts = [], []
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"voice {voice!r}: espeak-ng has none of this name")
        self._library.espeak_SetParameter(RATE, speed, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        said = text.encode()
        self._library.espeak_Synth(said, len(said) + 1, 0, 1, 0, TEXT_IN_UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate([np.zeros(0, np.int16), *self._blocks]), list(self._starts)

    def _heard(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if count > 0 and samples:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        place = 0
        while events[place].type != 0:
            if events[place].type == SOUND:
                self._starts.append((events[place].id.string.decode(errors="replace"), events[place].sample))
            place += 1
        return 0


@lru_cache(maxsize=1)
def _synthesiser() -> _Synthesiser:
    return _Synthesiser()


def say(text: str, voice: str = "en", speed: int = 160, pitch: int = 50) -> Said:
    """What espeak-ng makes of a text, as long as whole frames are.

    Raises OSError where its library is not installed, ValueError for a voice that it does not have.
    """
    one = _synthesiser()
    samples, starts = one.say(text, voice, speed, pitch)
    length = round(len(samples) * SAMPLE_RATE / one.rate)
    wave = torch.from_numpy(samples).float() / 32768
    at_rate = F.interpolate(wave[None, None], size=length, mode="linear", align_corners=False)[0, 0]
    speech = F.pad(at_rate, (0, -length % SAMPLES_A_FRAME))
    ends = [*(start for _, start in starts[1:]), len(samples)]
    sounds = [
        Sound(name, start / one.rate, end / one.rate)
        for (name, start), end in zip(starts, ends, strict=True)
        if end > start
    ]
    return Said(speech, sounds)


def babble(seed: int, frames: int) -> Said:
    """Random words of a random voice, `frames` frames of them, a little noise over everything. The same number gives
    the same words; espeak-ng breathes differently each time."""
    dice = Random(seed)
    voice = dice.choice(LANGUAGES) + dice.choice(VARIANTS)
    speed, pitch = dice.randint(*SPEEDS), dice.randint(*PITCHES)
    parts, sounds, total = [], [], 0
    while total < frames * SAMPLES_A_FRAME:
        said = say(" ".join(dice.choice(WORDS) for _ in range(dice.randint(2, 12))), voice, speed, pitch)
        sounds += [
            Sound(one.name, one.start + total / SAMPLE_RATE, one.end + total / SAMPLE_RATE) for one in said.sounds
        ]
        pause = torch.zeros(dice.randint(0, 20) * SAMPLES_A_FRAME)
        parts += [said.speech, pause]
        total += len(said.speech) + len(pause)
    speech = torch.cat(parts)[: frames * SAMPLES_A_FRAME]
    noise = torch.randn(len(speech), generator=torch.Generator().manual_seed(seed)) * dice.uniform(1e-4, 2.5e-3)
    length = len(speech) / SAMPLE_RATE
    return Said((speech + noise).clamp(-1, 1), [one for one in sounds if one.end <= length])
