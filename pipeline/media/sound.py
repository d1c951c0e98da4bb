"""Sound in: the join of a title's files as one AAC track and one 16 kHz stream of speech.

Everything streams: neither a file nor the join is ever in memory as a whole.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg as graph
import numpy as np
from einops import rearrange, repeat
from ffmpeg.nodes import FilterableStream, OutputStream

from pipeline.core.errors import InputError
from pipeline.core.timeline import (
    SOUND_PER_FRAME,
    SOUND_RATE,
    SPEECH_PER_FRAME,
    SPEECH_RATE,
    frames_of,
    round_half_up,
    seconds_of,
    starts_in_join,
)
from pipeline.media import ffmpeg
from pipeline.media.hls_sound import SoundFragments, write_fragments
from pipeline.media.sound_in.clock import with_silence
from pipeline.media.sound_in.decoding import decoding_of
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.mixing import for_face, mixed
from pipeline.media.sound_in.padding import lengths
from pipeline.media.tags import Chapter, with_ends

Separate = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
"""Sound [s, 2] at 44.1 kHz in blocks → the voices in it, as many samples."""

MUSIC_RATE = 44_100  # what separators of voice and music hear
BLOCK = SOUND_RATE  # samples read at a time
LOUDEST = 16.0  # times full scale
SLACK = 96  # samples by which a resampled file may differ from its place in the join, 2 ms
BITRATE = {1: 96_000, 2: 128_000}


@dataclass(frozen=True)
class SoundFiles:
    """What `write_sound` left in its folder: `track` with an edit list (sample-exact), `speech` s16le mono 16 kHz."""

    track: Path
    hls: Path
    speech: Path
    channels: int
    fragments: SoundFragments


def joined_chapters(names: Sequence[str], facts: Sequence[AudioFacts]) -> tuple[Chapter, ...]:
    """Chapters of the join: each file's own, moved to its place; of several files, one without any is one itself."""
    chapters: list[Chapter] = []
    starts = starts_in_join(lengths(facts), rate=1000)
    for name, fact, start, end in zip(names, facts, starts[:-1:2], starts[1::2], strict=True):
        own = with_ends(fact.chapters, end - start)
        if not own and len(facts) > 1:
            own = (Chapter(0, end - start, dict(fact.tags).get("title") or Path(name).stem),)
        chapters += [Chapter(start + c.start, min(start + c.end, end), c.title) for c in own if start + c.start < end]
    return tuple(chapters)


def _blocks(path: Path, facts: AudioFacts, samples: int, channels: int) -> Iterator[np.ndarray]:
    """A file at 48 kHz as blocks of float32 [samples, channels], in all exactly `samples` long."""
    count = 0
    for block in with_silence(_decoded(path, facts), _gaps_at(facts, SOUND_RATE)):
        wave = block[: max(0, samples - count)] if count + len(block) > samples else block
        count += len(block)
        yield repeat(wave, "t 1 -> t c", c=channels) if wave.shape[1] < channels else wave
    if abs(count - samples) > SLACK:
        raise InputError(
            f"{path.name}: now decodes to {count} samples at 48 kHz, {samples} were counted before; "
            "the file has changed, run again"
        )
    if count < samples:
        yield np.zeros((samples - count, channels), np.float32)


def _decoded(path: Path, facts: AudioFacts) -> Iterator[np.ndarray]:
    """What the file decodes to, at 48 kHz, as blocks of float32 [samples, 1 or 2]."""
    given = min(facts.channels, 2)
    source = mixed(ffmpeg.outside_sound(facts.track, facts.untrimmed), facts.channels, facts.mix, SOUND_RATE)
    with decoding_of(path, facts, source.output("pipe:1", format="f32le", acodec="pcm_f32le")) as stream:
        while block := stream.read(BLOCK * given * 4):
            yield rearrange(_usable(np.frombuffer(block, "<f4")), "(t c) -> t c", c=given)


def _gaps_at(facts: AudioFacts, rate: int) -> list[tuple[int, int]]:
    """Its gaps at another rate, the borders rounded once each."""
    borders = [
        [round_half_up(Fraction(rate * place, facts.rate)) for place in (start, start + length)]
        for start, length in facts.gaps
    ]
    return [(start, stop - start) for start, stop in borders]


def _usable(wave: np.ndarray) -> np.ndarray:
    """Float files may hold anything; the encoder stops at what is no number, and at what is almost infinite."""
    return np.clip(np.nan_to_num(wave, nan=0.0), -LOUDEST, LOUDEST)


def channels_of(facts: Sequence[AudioFacts]) -> int:
    """Channels of a title's track."""
    return min(2, max(fact.channels for fact in facts))


def join(
    paths: Sequence[Path], facts: Sequence[AudioFacts], frames: int, channels: int, face: bool = False
) -> Iterator[np.ndarray]:
    """The files on the 48 kHz grid, the silence behind each, and then more, in all exactly 1920 samples a frame.

    `face`: as the face hears them, which is another channel of files that are out of phase.
    """
    starts = starts_in_join(lengths(facts))
    for number, (path, fact) in enumerate(zip(paths, facts, strict=True)):
        start, end, padded_end = starts[2 * number : 2 * number + 3]
        blocks = _blocks(path, fact, end - start, channels)
        yield from for_face(blocks, fact) if face else blocks
        if padded_end > end:
            yield np.zeros((padded_end - end, channels), np.float32)
    yield np.zeros((frames * SOUND_PER_FRAME - starts[-1], channels), np.float32)


def write_sound(
    paths: Sequence[str | Path],
    facts: Sequence[AudioFacts],
    frames: int,
    folder: str | Path,
    voices: Separate | None = None,
    alive: Callable[[], None] = lambda: None,
) -> SoundFiles:
    """Joins a title's files sample-exactly and writes `track.m4a`, `hls.mp4` and `speech.pcm` into `folder`.

    File i starts at sample `starts_in_join[i]` of the join; silence fills it up to 1920·frames samples at 48 kHz. The
    track is encoded once; the HLS file holds the same packets without the encoder's priming packet. Speech is the mean
    of the channels of that join at 16 kHz, exactly 640·frames samples; with `voices`, of what that makes of the join
    at 44.1 kHz (kept in a file meanwhile, so memory does not grow). `alive` is called every second or so of sound.
    Raises InputError if a file has changed.
    """
    files = lengths(facts)
    if frames != frames_of(files):
        raise ValueError(f"{frames} frames for {float(seconds_of(files))} s of sound")
    sources, folder = [Path(path) for path in paths], Path(folder)
    track, hls, speech = folder / "track.m4a", folder / "hls.mp4", folder / "speech.pcm"
    channels = channels_of(facts)
    music = folder / "music.f32" if voices else None
    apart = any(fact.face for fact in facts)  # what drives the face is then another sound than the track's
    beside = None if apart else (music or speech)
    makes = (track, beside) if beside else (track,)
    _write(
        _encoder(channels, frames, track, beside, music is None), join(sources, facts, frames, channels), makes, alive
    )
    if apart:
        heard = _raw(SOUND_RATE, channels)
        output = _stereo(heard, music) if music else _speech(heard, frames, speech)
        _write(output, join(sources, facts, frames, channels, face=True), (music or speech,), alive)
    if voices and music:
        _write(_speech(_raw(MUSIC_RATE, 2), frames, speech), voices(_music(music)), (speech,), alive)
        music.unlink()
    return SoundFiles(track, hls, speech, channels, write_fragments(track, hls, frames, alive))


def _raw(rate: int, channels: int) -> OutputStream:
    """Blocks of float32 that the program reads from a pipe."""
    return graph.input("pipe:0", format="f32le", ar=rate, ac=channels)["a:0"]


def _write(
    output: OutputStream, blocks: Iterable[np.ndarray], makes: Sequence[Path], alive: Callable[[], None]
) -> None:
    with ffmpeg.running(output, stdin=subprocess.PIPE, alive=alive, makes=makes) as encoder:
        for block in blocks:
            encoder.feed(np.ascontiguousarray(block, "<f4").data)


def _encoder(channels: int, frames: int, track: Path, beside: Path | None, speech: bool) -> OutputStream:
    """One pass over the join (float32, 48 kHz, from a pipe) into the track, and speech or music `beside` it."""
    source = _raw(SOUND_RATE, channels)
    if beside is None:
        return encoded(source, channels, track)
    copies = source.filter_multi_output("asplit")
    compressed = encoded(copies[0], channels, track)
    other = _speech(copies[1], frames, beside) if speech else _stereo(copies[1], beside)
    return graph.merge_outputs(compressed, other)


def _stereo(heard: FilterableStream, path: Path) -> OutputStream:
    """What a separator of voice and music is given, in a file."""
    stereo = heard.filter("aresample", osr=MUSIC_RATE, ochl="stereo")
    return stereo.output(ffmpeg.to_file(path), format="f32le", acodec="pcm_f32le")


def _speech(heard: FilterableStream, frames: int, path: Path) -> OutputStream:
    """Sound of any rate as 640·frames samples at 16 kHz, the mean of its channels, in a file."""
    length = frames * SPEECH_PER_FRAME
    # with this bound on its gain the resampler takes the mean of the channels, else it keeps their power
    mono = heard.filter("aresample", osr=SPEECH_RATE, ochl="mono", rematrix_maxval=1)
    mono = mono.filter("apad", whole_len=length).filter("atrim", end_sample=length)
    return mono.output(ffmpeg.to_file(path), format="s16le", acodec="pcm_s16le", **_BITEXACT)


def _music(path: Path) -> Iterator[np.ndarray]:
    """Stereo sound of a file in blocks [s, 2]."""
    with path.open("rb") as file:
        while data := file.read(MUSIC_RATE * 8):
            yield np.frombuffer(data, "<f4").reshape(-1, 2)


_BITEXACT = {"fflags": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1}


def encoded(source: FilterableStream, channels: int, track: Path) -> OutputStream:
    """A stream of the program as the AAC track of a title, with an edit list for the encoder's priming."""
    bitrate = BITRATE[channels]
    return source.output(ffmpeg.to_file(track), format="ipod", acodec="aac", audio_bitrate=bitrate, **_BITEXACT)


def read_speech(data: bytes) -> np.ndarray:
    """Bytes of `speech.pcm`, or of a range of it, as float32 in [-1, 1)."""
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768
