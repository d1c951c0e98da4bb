"""Sound in: what a file holds, and the join of a title's files as one AAC track and one 16 kHz stream of speech.

Everything streams: neither a file nor the join is ever in memory as a whole.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ffmpeg as graph
import numpy as np
from einops import rearrange, repeat

from pipeline.core.errors import InputError
from pipeline.core.timeline import (
    SOUND_PER_FRAME,
    SOUND_RATE,
    SPEECH_PER_FRAME,
    SPEECH_RATE,
    frames_of,
    seconds_of,
    starts_in_join,
)
from pipeline.media import ffmpeg, tags
from pipeline.media.hls_sound import SoundFragments, write_fragments
from pipeline.media.tags import Chapter, Tags

Separate = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
"""Sound [s, 2] at 44.1 kHz in blocks → the voices in it, as many samples."""

MUSIC_RATE = 44_100  # what separators of voice and music hear
BLOCK = SOUND_RATE  # samples read at a time
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # samples a second; telephones have 8,000, studios up to 384,000
MOST_CHANNELS = 64
# A small file can unfold to any length of silence: at most so many bytes of samples, or so many times its size.
MOST_UNFOLDED, MOST_TIMES = 1 << 30, 10_000
LONGEST = 200 * 3600  # seconds of one file; no recording is longer, a crafted file may claim to be
LOUDEST = 16.0  # times full scale
SLACK = 96  # samples by which a resampled file may differ from its place in the join, 2 ms
BITRATE = {1: 96_000, 2: 128_000}
READABLE = "wav, mp3, m4a, m4b, flac, ogg, opus and what else ffmpeg reads"
_ENDLESS = 0xFFFFFFFF  # a size in the header of a stream whose end is not known yet


@dataclass(frozen=True)
class AudioFacts:
    """What the pinned decoder yields for a file: samples per channel at `rate`, gapless trim and edit lists applied."""

    samples: int
    rate: int
    channels: int
    chapters: tuple[Chapter, ...] = ()
    tags: Tags = ()

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> AudioFacts:
        """From `dataclasses.asdict`, also after a way through JSON."""
        chapters = tuple(Chapter(**chapter) for chapter in found["chapters"])
        pairs = tuple((key, value) for key, value in found["tags"])
        return cls(found["samples"], found["rate"], found["channels"], chapters, pairs)


@dataclass(frozen=True)
class SoundFiles:
    """What `write_sound` left in its folder: `track` with an edit list (sample-exact), `speech` s16le mono 16 kHz."""

    track: Path
    hls: Path
    speech: Path
    channels: int
    fragments: SoundFragments


@contextmanager
def _open_sound(path: Path) -> Iterator[IO[bytes]]:
    try:
        if not path.is_file():
            raise InputError(f"{path.name}: no such file; give the path of a sound file ({READABLE})")
        if path.stat().st_size == 0:
            raise InputError(f"{path.name}: the file is empty (0 bytes); give a sound file ({READABLE})")
        stream = path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path.name}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from None
    with stream:
        yield stream


def _refused(path: Path, error: ffmpeg.FfmpegFailed) -> InputError:
    """The user's text for a file that the program would not decode."""
    name, said = path.name, error.said
    if error.late:
        return InputError(f"{name}: decoding was {said}; cut the file into smaller ones and list them")
    if "matches no streams" in said:
        return InputError(f"{name}: holds no sound (a video or an image without an audio stream); give a sound file")
    if "not on whitelist" in said or "extension" in said:
        return InputError(f"{name}: is a playlist or another kind of file that is not read as sound; use {READABLE}")
    return InputError(
        f"{name}: cannot be decoded as sound ({said}); the file is damaged, cut off or not sound: "
        f"export it again ({READABLE})"
    )


@contextmanager
def _decoding(path: Path, outputs: Any) -> Iterator[IO[bytes]]:
    """The program's standard output while it decodes a file; every failure becomes an InputError about the file."""
    with _open_sound(path) as source:
        try:
            with ffmpeg.running(outputs, stdin=source, stdout=subprocess.PIPE) as run:
                yield run.stdout
        except ffmpeg.FfmpegKilled:
            raise
        except ffmpeg.FfmpegFailed as error:
            raise _refused(path, error) from None
        if "CRC mismatch" in run.said:  # Ogg pages that are dropped do not make the program fail
            raise _refused(path, ffmpeg.FfmpegFailed(run.said))


def _wave_header(stream: IO[bytes]) -> tuple[int, int]:
    """Rate and channels of a float WAV stream, read up to its first sample; (0, 0) if nothing came."""
    if len(stream.read(12)) < 12:
        return 0, 0
    rate = channels = 0
    while len(head := stream.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return rate, channels
        content = stream.read(size + size % 2)
        if head[:4] == b"fmt ":
            channels, rate = int.from_bytes(content[2:4], "little"), int.from_bytes(content[4:8], "little")
    return 0, 0


def _check_form(path: Path, rate: int, channels: int) -> None:
    """Raises InputError for rates and channels that no recording has. (0, 0): the file holds no sample."""
    if (rate, channels) == (0, 0):
        return
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        raise InputError(
            f"{path.name}: {channels} channels of {rate:,} samples a second, expected at most {MOST_CHANNELS} channels "
            f"and {LOWEST_RATE:,} to {HIGHEST_RATE:,} samples; export it again"
        )


def _check_numbers(path: Path, block: bytes, start: float, pace: int) -> None:
    """Raises InputError where float samples from second `start` on, `pace` numbers a second, hold NaN."""
    wave = np.frombuffer(block, "<f4", len(block) // 4)
    wrong = np.isnan(wave)
    if wrong.any():
        place = start + int(wrong.argmax()) / pace
        raise InputError(
            f"{path.name}: samples are not numbers (NaN), {int(wrong.sum()):,} of them from {place:.3f} s on, expected "
            "numbers: the program that wrote the file failed there; export that passage again"
        )


def probe(path: str | Path) -> AudioFacts:
    """Decodes a whole file and counts. Raises InputError for whatever is not sound from its first to its last byte."""
    path = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        source = ffmpeg.outside_sound()
        wave = source.output("pipe:1", format="wav", acodec="pcm_f32le", fflags="+bitexact", rf64="never")
        text = source.output(ffmpeg.to_file(notes), format="ffmetadata", acodec="copy")
        with _decoding(path, graph.merge_outputs(wave, text)) as stream:
            rate, channels = _wave_header(stream)
            _check_form(path, rate, channels)
            count, most = 0, LONGEST * rate * channels * 4
            unfolded = max(MOST_UNFOLDED, MOST_TIMES * path.stat().st_size)
            while block := stream.read(1 << 20):
                _check_numbers(path, block, count // (4 * channels) / rate, rate * channels)
                count += len(block)
                if count > most:
                    raise InputError(f"{path.name}: longer than {LONGEST // 3600} hours; cut it into several titles")
                if count > unfolded:
                    raise InputError(
                        f"{path.name}: unfolds to more than {unfolded >> 20:,} MiB of samples from "
                        f"{path.stat().st_size:,} bytes; no recording does, export it again"
                    )
        chapters, kept = tags.read(notes.read_text("utf-8", "replace")) if notes.exists() else ((), ())
    if not count:
        raise InputError(f"{path.name}: holds no samples (zero length); give a file with sound in it")
    return AudioFacts(count // (4 * channels), rate, channels, chapters, kept)


def joined_chapters(names: Sequence[str], facts: Sequence[AudioFacts]) -> tuple[Chapter, ...]:
    """Chapters of the join: each file's own, moved to its place; of several files, one without any is one itself."""
    chapters: list[Chapter] = []
    starts = starts_in_join([(f.samples, f.rate) for f in facts], rate=1000)
    for name, fact, start, end in zip(names, facts, starts[:-1], starts[1:], strict=True):
        own = fact.chapters
        if not own and len(facts) > 1:
            own = (Chapter(0, end - start, dict(fact.tags).get("title") or Path(name).stem),)
        chapters += [Chapter(start + c.start, min(start + c.end, end), c.title) for c in own if start + c.start < end]
    return tuple(chapters)


def _blocks(path: Path, facts: AudioFacts, samples: int, channels: int) -> Iterator[np.ndarray]:
    """A file at 48 kHz as blocks of float32 [samples, channels], in all exactly `samples` long."""
    given = min(facts.channels, 2)
    resampled = ffmpeg.outside_sound().filter(
        "aresample", osr=SOUND_RATE, ochl="mono" if given == 1 else "stereo", rematrix_maxval=1
    )
    output = resampled.output("pipe:1", format="f32le", acodec="pcm_f32le")
    count = 0
    with _decoding(path, output) as stream:
        while block := stream.read(BLOCK * given * 4):
            wave = rearrange(_usable(np.frombuffer(block, "<f4")), "(t c) -> t c", c=given)
            wave = wave[: max(0, samples - count)] if count + len(wave) > samples else wave
            count += len(block) // (4 * given)
            yield repeat(wave, "t 1 -> t c", c=channels) if given < channels else wave
    if abs(count - samples) > SLACK:
        raise InputError(
            f"{path.name}: now decodes to {count} samples at 48 kHz, {samples} were counted before; "
            "the file has changed, run again"
        )
    if count < samples:
        yield np.zeros((samples - count, channels), np.float32)


def _usable(wave: np.ndarray) -> np.ndarray:
    """Float files may hold anything; the encoder stops at what is no number, and at what is almost infinite."""
    return np.clip(np.nan_to_num(wave, nan=0.0), -LOUDEST, LOUDEST)


def channels_of(facts: Sequence[AudioFacts]) -> int:
    """Channels of a title's track."""
    return min(2, max(fact.channels for fact in facts))


def join(paths: Sequence[Path], facts: Sequence[AudioFacts], frames: int, channels: int) -> Iterator[np.ndarray]:
    """The files on the 48 kHz grid and then silence, in all exactly 1920 samples a frame."""
    starts = starts_in_join([(fact.samples, fact.rate) for fact in facts])
    for path, fact, start, end in zip(paths, facts, starts[:-1], starts[1:], strict=True):
        yield from _blocks(path, fact, end - start, channels)
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
    files = [(fact.samples, fact.rate) for fact in facts]
    if frames != frames_of(files):
        raise ValueError(f"{frames} frames for {float(seconds_of(files))} s of sound")
    sources, folder = [Path(path) for path in paths], Path(folder)
    track, hls, speech = folder / "track.m4a", folder / "hls.mp4", folder / "speech.pcm"
    channels = channels_of(facts)
    music = folder / "music.f32" if voices else None
    both = _encoder(channels, frames, track, music or speech, music is None)
    with ffmpeg.running(both, stdin=subprocess.PIPE, alive=alive, makes=(track, music or speech)) as encoder:
        for block in join(sources, facts, frames, channels):
            encoder.feed(np.ascontiguousarray(block, "<f4").data)
    if voices and music:
        heard = graph.input("pipe:0", format="f32le", ar=MUSIC_RATE, ac=2)["a:0"]
        spoken = _speech(heard, frames, speech)
        with ffmpeg.running(spoken, stdin=subprocess.PIPE, alive=alive, makes=(speech,)) as encoder:
            for block in voices(_music(music)):
                encoder.feed(np.ascontiguousarray(block, "<f4").data)
        music.unlink()
    return SoundFiles(track, hls, speech, channels, write_fragments(track, hls, frames, alive))


def _encoder(channels: int, frames: int, track: Path, beside: Path, speech: bool) -> Any:
    """One pass over the join (float32, 48 kHz, from a pipe) into the track, and speech or music beside it."""
    source = graph.input("pipe:0", format="f32le", ar=SOUND_RATE, ac=channels)
    copies = source["a:0"].filter_multi_output("asplit")
    compressed = encoded(copies[0], channels, track)
    if speech:
        return graph.merge_outputs(compressed, _speech(copies[1], frames, beside))
    stereo = copies[1].filter("aresample", osr=MUSIC_RATE, ochl="stereo")
    return graph.merge_outputs(compressed, stereo.output(ffmpeg.to_file(beside), format="f32le", acodec="pcm_f32le"))


def _speech(heard: Any, frames: int, path: Path) -> Any:
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


def encoded(source: Any, channels: int, track: Path) -> Any:
    """A stream of the program as the AAC track of a title, with an edit list for the encoder's priming."""
    bitrate = BITRATE[channels]
    return source.output(ffmpeg.to_file(track), format="ipod", acodec="aac", audio_bitrate=bitrate, **_BITEXACT)


def read_speech(data: bytes) -> np.ndarray:
    """Bytes of `speech.pcm`, or of a range of it, as float32 in [-1, 1)."""
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768
