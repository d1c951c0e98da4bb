"""Loudness: a title's sound measured as ITU-R BS.1770 and EBU R 128 have it, and brought to a level that is asked for.

One gain for the whole title, so that loud and soft stay as far apart as they were; where that would drive peaks above
the ceiling, a limiter that looks between the samples takes them down. Everything streams, two or three times.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.filter
import ffmpeg as graph
import numpy as np

from pipeline.core.timeline import SOUND_RATE
from pipeline.media import ffmpeg
from pipeline.media.hls_sound import SoundFragments, write_fragments
from pipeline.media.sound import channels_of, encoded, join
from pipeline.media.sound_in.facts import AudioFacts

CEILING = -1.5  # dBTP before encoding; the encoder may overshoot by some tenths
MOST_GAIN = 30.0  # dB; a recording as low as that is noise, mostly
TRIALS, CLOSE = 3, 0.3  # times that the limited sound is measured before it is encoded; LU
SILENT = -69.0  # LUFS; the gate leaves nothing to measure
_OVER = 4 * SOUND_RATE  # samples a second at which peaks between samples show
_FED = 24_000  # samples given to a filter at a time


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness in LUFS and highest true peak in dBTP; -inf for silence."""

    loudness: float
    peak: float


@dataclass(frozen=True)
class Levelled:
    """What `write_levelled` left in its folder, and what it did: gain in dB, whether peaks were limited."""

    track: Path
    hls: Path
    channels: int
    fragments: SoundFragments
    before: Loudness
    after: Loudness
    gain: float
    limited: bool

    def facts(self) -> dict[str, object]:
        """For the record: numbers that JSON can hold."""
        levels = {
            "before": self.before.loudness, "after": self.after.loudness,
            "peak_before": self.before.peak, "peak_after": self.after.peak,
        }  # fmt: skip
        finite = {name: round(value, 2) if math.isfinite(value) else None for name, value in levels.items()}
        return {"channels": self.channels, "gain": round(self.gain, 2), "limited": self.limited, **finite}


def write_levelled(
    paths: Sequence[Path],
    facts: Sequence[AudioFacts],
    frames: int,
    folder: Path,
    target: float,
    alive: Callable[[], None] = lambda: None,
) -> Levelled:
    """The join of a title's files at `target` LUFS as `level.m4a`, and its packets as `level-hls.mp4`.

    As many samples as the join has, 1920 a frame. `alive` is called every second or so of sound that has been heard.
    Raises InputError if a file has changed.
    """
    channels = channels_of(facts)

    def joined() -> Iterator[np.ndarray]:
        for block in join(paths, facts, frames, channels):
            alive()
            yield block

    before = measure(joined(), channels)
    gain, limited = 0.0, False
    if before.loudness > SILENT:
        gain = max(-MOST_GAIN, min(MOST_GAIN, target - before.loudness))
        limited = before.peak + gain > CEILING
    for _ in range(TRIALS if limited else 0):  # what the limiter takes is given back
        trial = measure(levelled(joined(), channels, gain, limited), channels)
        if (short := target - trial.loudness) < CLOSE:
            break
        gain = min(MOST_GAIN, gain + min(3.0, short))
    track, hls, meter = folder / "level.m4a", folder / "level-hls.mp4", _Meter(channels)
    source = graph.input("pipe:0", format="f32le", ar=SOUND_RATE, ac=channels)
    encoding = encoded(source, channels, track)
    with ffmpeg.running(encoding, stdin=subprocess.PIPE, alive=alive, makes=(track,)) as encoder:
        for block in levelled(joined(), channels, gain, limited):
            meter.hear(block)
            encoder.feed(np.ascontiguousarray(block, "<f4").data)
    return Levelled(
        track, hls, channels, write_fragments(track, hls, frames, alive), before, meter.read(), gain, limited
    )


def measure(blocks: Iterable[np.ndarray], channels: int) -> Loudness:
    """Loudness and peak of blocks of float32 [samples, channels] at 48 kHz."""
    meter = _Meter(channels)
    for block in blocks:
        meter.hear(block)
    return meter.read()


def levelled(blocks: Iterable[np.ndarray], channels: int, gain: float, limited: bool) -> Iterator[np.ndarray]:
    """The same blocks with a gain in dB and, if `limited`, no true peak above the ceiling; as many samples."""
    if not limited:
        factor = np.float32(10 ** (gain / 20))
        for block in blocks:
            yield block * factor
        return
    limit = 10 ** (CEILING / 20)
    chain = _Chain(
        channels,
        ("volume", f"{gain:.6f}dB:precision=float"),
        ("aresample", str(_OVER)),
        ("alimiter", f"limit={limit:.6f}:attack=5:release=80:level=0:latency=1"),
        ("aresample", str(SOUND_RATE)),
        ("aformat", "sample_fmts=flt"),
    )
    owed = 0
    for block in blocks:
        owed += len(block)
        for part in chain.feed(block):
            owed -= len(part)
            yield part
    for part in chain.end():
        part = part[: max(owed, 0)]
        owed -= len(part)
        yield part
    if owed > 0:
        yield np.zeros((owed, channels), np.float32)


class _Meter:
    """Hears blocks of samples; tells their loudness at the end."""

    def __init__(self, channels: int):
        self._chain = _Chain(channels, ("ebur128", "metadata=1:peak=true:framelog=quiet"))
        self._last: dict[str, str] = {}

    def hear(self, block: np.ndarray) -> None:
        for frame in self._chain.frames(block):
            self._last = dict(frame.metadata) or self._last

    def read(self) -> Loudness:
        for frame in self._chain.frames(None):
            self._last = dict(frame.metadata) or self._last
        peaks = [float(value) for name, value in self._last.items() if name.startswith("lavfi.r128.true_peaks_ch")]
        highest = max(peaks, default=0.0)
        return Loudness(
            float(self._last.get("lavfi.r128.I", "-inf")), 20 * math.log10(highest) if highest > 0 else -math.inf
        )


class _Chain:
    """Filters of the AV library on interleaved float samples."""

    def __init__(self, channels: int, *filters: tuple[str, str]):
        self._graph, self._time = av.filter.Graph(), 0
        self._layout = "mono" if channels == 1 else "stereo"
        self._channels = channels
        last = self._graph.add_abuffer(format="flt", sample_rate=SOUND_RATE, layout=self._layout)
        for name, options in filters:
            following = self._graph.add(name, options)
            last.link_to(following)
            last = following
        last.link_to(self._graph.add("abuffersink"))
        self._graph.configure()

    def frames(self, block: np.ndarray | None) -> Iterator[av.AudioFrame]:
        """What comes out for a block [samples, channels]; None ends the sound."""
        for start in range(0, len(block), _FED) if block is not None else (None,):
            frame = None
            if block is not None and start is not None:
                part = np.ascontiguousarray(block[start : start + _FED], np.float32)
                frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="flt", layout=self._layout)
                frame.sample_rate, frame.pts = SOUND_RATE, self._time
                self._time += len(part)
            self._graph.push(frame)
            while True:
                try:
                    found = self._graph.pull()
                except (BlockingIOError, EOFError):
                    break
                assert isinstance(found, av.AudioFrame)
                yield found

    def feed(self, block: np.ndarray) -> Iterator[np.ndarray]:
        for frame in self.frames(block):
            yield frame.to_ndarray().reshape(-1, self._channels)

    def end(self) -> Iterator[np.ndarray]:
        for frame in self.frames(None):
            yield frame.to_ndarray().reshape(-1, self._channels)
