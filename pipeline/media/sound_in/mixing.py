"""How a file's channels become the two of a title, and which of them drives the face."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ffmpeg.nodes import FilterableStream

from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.look import Look

NAMED = 8  # channels; a guess at which is which of more is none
FAR_BELOW = 10 ** (-12 / 10)  # power of the mean against that of a channel


def mix_of(look: Look, channels: int) -> str:
    """The first choice for a stream of so many channels; see `AudioFacts.mix`.

    A channel that nobody named is heard, and so is the third of three, whatever it is called: the guess at
    `L R bass` would drop a voice.
    """
    layout, guessed = look.heard.layout, look.heard.number in look.guessed
    if channels <= 2:
        return ""
    if layout.endswith("channels") or (guessed and channels > NAMED):
        return "mean"
    return "lfe" if layout == "2.1" or (guessed and layout.endswith(".1")) else ""


def mixed(source: FilterableStream, channels: int, mix: str, rate: int) -> FilterableStream:
    """A stream of the program as mono where it is mono, else as stereo, at `rate`."""
    if mix == "mean":
        every = "+".join(f"c{number}" for number in range(channels))
        source = source.filter("pan", f"stereo|c0<{every}|c1<{every}")  # <: the gains together are 1
    bass = {"lfe_mix_level": 1} if mix == "lfe" else {}
    return source.filter("aresample", osr=rate, ochl="mono" if channels == 1 else "stereo", rematrix_maxval=1, **bass)


class Phases:
    """Hears a stereo sound in blocks; tells whether one channel must drive the face."""

    def __init__(self) -> None:
        self._left = self._right = self._mean = 0.0

    def hear(self, block: np.ndarray) -> None:
        """float32 [samples, 2]."""
        block = np.clip(np.nan_to_num(block), -16, 16)
        left, right = (np.ascontiguousarray(block[:, side], np.float32) for side in (0, 1))
        mean = (left + right) / 2
        self._left += float(np.dot(left, left))
        self._right += float(np.dot(right, right))
        self._mean += float(np.dot(mean, mean))

    def face(self) -> str:
        """ "" where the mean of both does, else the louder of both."""
        louder = max(self._left, self._right)
        if self._mean >= FAR_BELOW * louder:
            return ""
        return "left" if self._left >= self._right else "right"


def for_face(blocks: Iterable[np.ndarray], facts: AudioFacts) -> Iterable[np.ndarray]:
    """The blocks of a file [samples, channels] as the face is to hear them: one channel in place of all."""
    side = {"left": 0, "right": 1}.get(facts.face)
    for block in blocks:
        yield block if side is None or block.shape[1] == 1 else np.repeat(block[:, side : side + 1], 2, axis=1)
