"""A sound file counted: decoded once from its first to its last byte, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import ffmpeg as graph
import numpy as np

from pipeline.core.errors import InputError
from pipeline.media import ffmpeg, tags
from pipeline.media.sound_in.byte_layout import ByteLayout
from pipeline.media.sound_in.clock import gaps_of
from pipeline.media.sound_in.decoding import decoding, decoding_of, layout_of, look_at, no_sound
from pipeline.media.sound_in.facts import HIGHEST_RATE, LONGEST, LOWEST_RATE, MOST_CHANNELS, AudioFacts
from pipeline.media.sound_in.id3 import id3_chapters
from pipeline.media.sound_in.look import Look
from pipeline.media.sound_in.mixing import Phases, mix_of, mixed

# A small file can unfold to any length of silence: at most so many bytes of samples, or so many times its size.
MOST_UNFOLDED, MOST_TIMES = 1 << 30, 10_000
COUNTS_SAMPLES = ("ape", "wv", "tta", "mpc", "mpc8", "dsf", "flac", "wav", "aiff", "w64", "rf64")
EXACT, SURE, SHARE = Fraction(3, 100), Fraction(1, 2), Fraction(1, 1000)  # seconds, seconds, of what is stated
LAST = 1  # second; a file that was cut off fails no earlier before its end
CUT_OFF = "export it again or fetch it again, or say accept_short: true where it is meant"


def probe(path: str | Path, accept_short: bool = False) -> AudioFacts:
    """Decodes a whole file and counts. Raises InputError for whatever is not sound from its first to its last byte.

    A file that holds less than it states is refused, too, unless `accept_short`: `AudioFacts.short` then says what is
    missing.
    """
    path = Path(path)
    layout = layout_of(path)
    if layout.short and not accept_short:
        raise cut_off(path.name, layout.short)
    if layout.second:
        text = f"holds more than one file: another begins at byte {layout.second:,}, and its sound would be lost"
        raise InputError(text, "cut them apart and list them under audio", place=path.name)
    if layout.empty:
        raise _no_samples(path.name)
    reached: list[int] = []
    try:
        look = look_at(path, layout.parts)
        facts = _counted(path, layout, look, strict=not layout.short or bool(layout.parts), reached=reached)
        short = layout.short or _missing(facts, layout, look)
    except InputError as error:
        if layout.short:
            text = (
                f"was cut off: {layout.short}; what is left of it cannot be decoded: export it again or fetch it again"
            )
            raise InputError(f"{path.name}: {text}") from error
        if not accept_short or not reached:
            raise
        facts = _counted(path, layout, look, strict=False, reached=[])
        short = _missing(facts, layout, look)
        if not short or facts.decoded - reached[0] > LAST * facts.rate:  # something in the middle is damaged
            raise
    if short and not accept_short:
        raise cut_off(path.name, short)
    if facts.channels > 1:
        facts = _with_channels(path, replace(facts, short=short), look)
    return replace(facts, short=short, notes=tuple(_notes(path.name, facts, layout, look, short)))


def _no_samples(name: str) -> InputError:
    return InputError("holds no samples (zero length)", "give a file with sound in it", place=name)


def cut_off(name: str, short: str) -> InputError:
    """Of a file that holds less than it states."""
    return InputError(f"was cut off: {short}", CUT_OFF, place=name)


def _missing(facts: AudioFacts, layout: ByteLayout, look: Look) -> str:
    """Which stated length the decoded sound does not reach, in words."""
    if facts.samples < layout.samples:
        return f"its header states {layout.samples:,} samples, {facts.samples:,} are there"
    stated, there = look.stated(), Fraction(facts.samples, facts.rate)
    least = EXACT if look.format in COUNTS_SAMPLES else max(SURE, SHARE * stated)
    if stated - there >= least:
        return f"it states a length of {float(stated):.2f} s, {float(there):.2f} s are there"
    return ""


def _counted(path: Path, layout: ByteLayout, look: Look, strict: bool, reached: list[int]) -> AudioFacts:
    """`reached` is given the samples that came, also where decoding then fails."""
    if not look.streams:
        raise no_sound(path.name)
    with tempfile.TemporaryDirectory() as folder:
        notes, times = Path(folder, "notes"), Path(folder, "times")
        source = ffmpeg.outside_sound(look.heard.number, layout.untrimmed)
        stats = {"stats_enc_pre:a": str(times), "stats_enc_pre_fmt:a": "{pts} {samp}"} if layout.clocked else {}
        # AU has no times: those of files that were joined go back, which other containers refuse
        wave = source.output("pipe:1", format="au", acodec="pcm_f32be", fflags="+bitexact", **stats)
        text = source.output(ffmpeg.to_file(notes), format="ffmetadata", acodec="copy", **{"frames:a": 1})
        with decoding(path, graph.merge_outputs(wave, text), parts=bool(layout.parts), strict=strict) as stream:
            rate, channels = _form(stream)
            _check_form(path, rate, channels)
            unfolded = max(MOST_UNFOLDED, MOST_TIMES * path.stat().st_size)
            count, phases = _count(path, stream, rate, channels, unfolded)
            reached.append(count)
        chapters, kept = tags.read(notes.read_text("utf-8", "replace")) if notes.exists() else ((), ())
        if not count:
            raise _no_samples(path.name)
        gaps = _gaps(path, times, rate, look) if layout.clocked else ()
    samples = count + sum(length for _, length in gaps)
    if samples > LONGEST * rate or samples * channels * 4 > unfolded:
        raise InputError(
            f"{path.name}: its time stamps leave holes of {(samples - count) / rate:,.0f} s in {count / rate:,.0f} s "
            "of sound; no recording does, export it again"
        )
    chapters = id3_chapters(path, chapters, samples * 1000 // rate)
    return AudioFacts(
        samples, rate, channels, chapters, kept,
        gaps=gaps, track=look.heard.number, face=phases.face(), mended=bool(layout.parts),
        untrimmed=layout.untrimmed,
    )  # fmt: skip


def _form(stream: IO[bytes]) -> tuple[int, int]:
    """Rate and channels of a float AU stream, read up to its first sample; (0, 0) if nothing came."""
    head = stream.read(24)
    if len(head) < 24:
        return 0, 0
    start, rate, channels = (int.from_bytes(head[at : at + 4], "big") for at in (4, 16, 20))
    stream.read(start - 24)
    return rate, channels


def _check_form(path: Path, rate: int, channels: int) -> None:
    """Raises InputError for rates and channels that no recording has. (0, 0): the file holds no sample."""
    if (rate, channels) == (0, 0):
        return
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        raise InputError(
            f"{channels} channels of {rate:,} samples a second, expected at most {MOST_CHANNELS} channels "
            f"and {LOWEST_RATE:,} to {HIGHEST_RATE:,} samples",
            "export it again",
            place=path.name,
        )


def _count(path: Path, stream: IO[bytes], rate: int, channels: int, unfolded: int) -> tuple[int, Phases]:
    """Samples a channel of a float stream, and how its channels lie to one another where they are two."""
    count, most, phases = 0, LONGEST * rate * channels * 4, Phases()
    while block := stream.read(1 << 20):
        _check_numbers(path, block, count // (4 * channels) / rate, rate * channels)
        count += len(block)
        if channels == 2:
            phases.hear(np.frombuffer(block[: len(block) // 8 * 8], ">f4").reshape(-1, 2))
        if count > most:
            raise InputError(f"longer than {LONGEST // 3600} hours", "cut it into several titles", place=path.name)
        if count > unfolded:
            raise InputError(
                f"{path.name}: unfolds to more than {unfolded >> 20:,} MiB of samples from "
                f"{path.stat().st_size:,} bytes; no recording does, export it again"
            )
    return count // (4 * channels) if channels else 0, phases


def _check_numbers(path: Path, block: bytes, start: float, pace: int) -> None:
    """Raises InputError where float samples from second `start` on, `pace` numbers a second, hold NaN."""
    wave = np.frombuffer(block, ">f4", len(block) // 4)
    wrong = np.isnan(wave)
    if wrong.any():
        place = start + int(wrong.argmax()) / pace
        raise InputError(
            f"{path.name}: samples are not numbers (NaN), {int(wrong.sum()):,} of them from {place:.3f} s on, expected "
            "numbers: the program that wrote the file failed there; export that passage again"
        )


def _gaps(path: Path, times: Path, rate: int, look: Look) -> tuple[tuple[int, int], ...]:
    def frames() -> Iterator[tuple[int, int]]:
        with times.open() as lines:
            for line in lines:
                stamp, samples = line.split()
                yield int(stamp), int(samples)

    begins = round(look.begins * rate) if look.begins is not None else None
    try:
        return tuple(gaps_of(frames(), rate, begins)) if times.exists() else ()
    except ValueError as error:
        raise InputError(str(error), "export it again", place=path.name) from None


def _with_channels(path: Path, facts: AudioFacts, look: Look) -> AudioFacts:
    """With how its channels are mixed; that they can be is tried here, so that no run fails of it."""
    if facts.channels == 2:
        return facts
    for mix in dict.fromkeys((mix_of(look, facts.channels), "mean")):
        tried = replace(facts, mix=mix)
        source = mixed(ffmpeg.outside_sound(facts.track, facts.untrimmed), facts.channels, mix, facts.rate)
        phases = Phases()
        try:
            with decoding_of(path, tried, source.output("pipe:1", format="f32le", acodec="pcm_f32le")) as stream:
                while block := stream.read(1 << 20):
                    phases.hear(np.frombuffer(block[: len(block) // 8 * 8], "<f4").reshape(-1, 2))
            return replace(tried, face=phases.face())
        except InputError:
            if mix == "mean":
                raise
    raise AssertionError("every number of channels has a mean")


def _notes(name: str, facts: AudioFacts, layout: ByteLayout, look: Look, short: str) -> Iterator[str]:
    """What people are told of the file."""
    if short:
        yield f"{name}: was cut off, and is meant so: {short}"
    for text in layout.left_out:
        yield f"{name}: {text}"
    for place, length in facts.gaps[:3]:
        why = "its sound begins late" if place == 0 else f"its time stamps have a hole at {place / facts.rate:.3f} s"
        yield f"{name}: {why}; {length / facts.rate:.3f} s of silence stand there, as players play it"
    if len(facts.gaps) > 3:
        yield f"{name}: its time stamps have {len(facts.gaps) - 3} more holes, with silence in them"
    if len(look.streams) > 1:
        track = look.heard
        language = f" ({track.language})" if track.language else ""
        why = "the default one" if track.default else "the first"
        yield f"{name}: holds {len(look.streams)} tracks of sound; track {track.number + 1}{language} is heard, {why}"
    if facts.mix:
        how = {"mean": "all alike", "lfe": "each of them heard"}[facts.mix]
        yield f"{name}: does not say which of its {facts.channels} channels is which; they are mixed, {how}"
    if facts.face:
        yield f"{name}: its channels are out of phase; the {facts.face} one alone drives the face"
