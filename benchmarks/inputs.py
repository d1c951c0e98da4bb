"""Sound of every container and decoder that is read, made small, whole and spoilt: `python -m benchmarks.inputs`.

Each file must be taken with its exact length or be refused with its name and what to do; the table says which. Exit 1
on anything else.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from pipeline.core.errors import InputError
from pipeline.media import ffmpeg
from pipeline.media.sound_in.probe import probe

RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
CHANNELS = (1, 2, 3, 4, 6, 8, 9, 12, 16)
SHORT, LONG = 0.3, 2.0  # seconds of a whole sound, and of one that is spoilt
REMEDIES = ("again", "list them", "give a", "cut it into")
TAG = b"TAG" + b"a title".ljust(125, b"\0")
PAGE = b"<html><body>502 Bad Gateway</body></html>\r\n" * 30


@dataclass(frozen=True)
class Form:
    """A container with a codec. `exact`: what is decoded is as long as what was encoded. `open`: it states no length,
    so a part of it is taken for a whole. `rate`, `channels`: of the sounds that are spoilt."""

    name: str
    end: str
    options: tuple[str, ...] = ()
    exact: bool = True
    open: bool = False
    rate: int = 48_000
    channels: int = 2
    make: Callable[[Path, float, int, int], None] | None = None


def _coded(name: str, end: str, codec: str, *more: str, **facts: object) -> Form:
    return Form(name, end, ("-c:a", codec, *more), **facts)  # type: ignore[arg-type]


def _dsf(path: Path, seconds: float, rate: int, channels: int) -> None:
    """One-bit sound at 64 times 44.1 kHz: halves of ones, which is silence."""
    if rate != 44_100 or channels > 2:
        raise subprocess.CalledProcessError(1, "dsf")
    count = int(seconds * 64 * rate) // 32_768 * 32_768
    data = b"\x69" * (count // 8 * channels)
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, channels, channels, 64 * rate, 1, count, 4096, 0)
    head = struct.pack("<4sQQQ", b"DSD ", 28, 28 + 52 + 12 + len(data), 0)
    path.write_bytes(head + form + struct.pack("<4sQ", b"data", 12 + len(data)) + data)


PCM = ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw")
FORMS = (
    *(_coded(f"WAV, {codec}", "wav", codec) for codec in PCM),
    *(_coded(f"WAV, {codec}", "wav", codec, exact=False) for codec in ("adpcm_ms", "adpcm_ima_wav", "libmp3lame")),
    _coded("RF64, pcm_s16le", "wav", "pcm_s16le", "-rf64", "always"),
    _coded("Wave64, pcm_s24le", "w64", "pcm_s24le", exact=False),  # the program writes padding as sound
    *(_coded(f"AIFF, {codec}", "aiff", codec) for codec in ("pcm_s16be", "pcm_s24be", "pcm_f32be", "pcm_mulaw")),
    *(_coded(f"CAF, {codec}", "caf", codec) for codec in ("pcm_s16le", "pcm_f32be", "alac")),
    *(_coded(f"AU, {codec}", "au", codec) for codec in ("pcm_s16be", "pcm_f32be", "pcm_mulaw")),
    _coded("FLAC, 16 bits", "flac", "flac"),
    _coded("FLAC, 24 bits", "flac", "flac", "-sample_fmt", "s32"),
    _coded("MP3, constant rate", "mp3", "libmp3lame"),
    _coded("MP3, variable rate", "mp3", "libmp3lame", "-q:a", "5"),
    _coded("MP3, no Xing header", "mp3", "libmp3lame", "-write_xing", "0", exact=False, open=True),
    _coded("MPEG audio, layer 2", "mp2", "mp2", exact=False, open=True),
    _coded("AAC, ADTS", "aac", "aac", exact=False, open=True),
    _coded("Ogg, Vorbis", "ogg", "libvorbis", exact=False),  # of less than a page whole blocks are decoded
    _coded("Ogg, Opus", "opus", "libopus"),
    _coded("Ogg, FLAC", "oga", "flac"),
    _coded("M4A, AAC", "m4a", "aac"),
    _coded("M4A, AAC, index first", "m4a", "aac", "-movflags", "+faststart"),
    _coded("M4A, ALAC", "m4a", "alac"),
    _coded("MP4, AAC in fragments", "mp4", "aac", "-movflags", "+frag_keyframe+empty_moov", "-frag_duration", "500000",
           exact=False),
    _coded("MP4, FLAC", "mp4", "flac"),
    _coded("MOV, pcm_s16le", "mov", "pcm_s16le"),
    _coded("3GP, AMR", "3gp", "libopencore_amrnb", exact=False, rate=8_000, channels=1),
    _coded("3G2, AAC", "3g2", "aac"),
    _coded("AMR, narrow", "amr", "libopencore_amrnb", exact=False, open=True, rate=8_000, channels=1),
    *(_coded(f"Matroska, {codec}", "mka", codec, exact=codec not in ("libmp3lame", "ac3", "aac"))
      for codec in ("flac", "libvorbis", "libopus", "pcm_s16le", "aac", "libmp3lame", "ac3", "wavpack")),
    _coded("WebM, Opus", "webm", "libopus"),
    _coded("WebM, Vorbis", "webm", "libvorbis"),
    *(_coded(f"ASF, {codec}", "wma", codec, exact=False) for codec in ("wmav1", "wmav2", "libmp3lame")),
    _coded("AC-3", "ac3", "ac3", exact=False, open=True),
    _coded("E-AC-3", "eac3", "eac3", exact=False, open=True),
    _coded("WavPack", "wv", "wavpack"),
    _coded("TTA", "tta", "tta"),
    Form("DSF", "dsf", exact=False, rate=44_100, make=_dsf),
    *(_coded(f"AVI, {codec}", "avi", codec, exact=codec == "pcm_s16le") for codec in ("pcm_s16le", "libmp3lame")),
    *(_coded(f"MPEG-TS, {codec}", "ts", codec, exact=False, open=True) for codec in ("mp2", "aac", "ac3")),
    _coded("MPEG-PS, mp2", "mpg", "mp2", exact=False, open=True),
    *(_coded(f"FLV, {codec}", "flv", codec, exact=False, rate=44_100, open=True) for codec in ("libmp3lame", "aac")),
)  # fmt: skip

SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "cut to 60 %": lambda data: data[: len(data) * 6 // 10],
    "cut to 97 %": lambda data: data[: len(data) * 97 // 100],
    "a byte short": lambda data: data[:-1],
    "zeros behind": lambda data: data + bytes(3000),
    "a page behind": lambda data: data + PAGE,
    "a tag behind": lambda data: data + TAG,
    "twice": lambda data: data + data,
}


@dataclass
class Row:
    """What became of the files of a form. `wrong`: what should not have."""

    form: Form
    made: int = 0
    rates: set[int] = field(default_factory=set)
    channels: set[int] = field(default_factory=set)
    outcomes: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        rates = "–".join(
            f"{rate / 1000:g}" for rate in sorted({min(self.rates, default=0), max(self.rates, default=0)})
        )
        channels = ", ".join(map(str, sorted(self.channels)))
        cells = [self.outcomes.get(name, "-") for name in SPOILT]
        return f"| {self.form.name} | {self.made} | {rates} kHz | {channels} | " + " | ".join(cells) + " |"


def _make(form: Form, path: Path, seconds: float, rate: int, channels: int) -> int:
    """Writes a file; the samples that went into it. Raises CalledProcessError where the encoder takes no such sound."""
    if form.make:
        form.make(path, seconds, rate, channels)
        return int(seconds * rate)
    count = int(seconds * rate) + 7
    wave = np.random.default_rng(rate + channels).uniform(-0.1, 0.1, (count, channels)).astype("<f4")
    source = ["-f", "f32le", "-ar", str(rate), "-ac", str(channels), "-i", "pipe:0"]
    options = ["-strict", "-2", "-ar", str(rate), "-ac", str(channels)]  # no other rate in place of one it cannot
    command = [ffmpeg.binary(), "-v", "error", "-y", *source, *form.options, *options, str(path)]
    subprocess.run(command, input=wave.tobytes(), check=True, capture_output=True)
    return count


def _reference(path: Path, channels: int) -> int:
    """Samples a channel that the program itself decodes of a file, whatever it says meanwhile."""
    command = [ffmpeg.binary(), "-nostdin", "-v", "quiet", "-i", str(path), "-map", "0:a:0", "-f", "f32le", "pipe:1"]
    return len(subprocess.run(command, check=False, capture_output=True).stdout) // (4 * channels)


def _told(path: Path, error: InputError) -> str:
    """What is missing in a refusal, "" where nothing is."""
    text = str(error)
    if not text.startswith(f"{path.name}: ") or not any(remedy in text for remedy in REMEDIES):
        return f"refused without name and remedy: {text}"
    return "refused without words" if "ended with code" in text else ""


def _whole(row: Row, folder: Path) -> None:
    form = row.form
    pairs = [(rate, min(form.channels, 2)) for rate in RATES] + [(form.rate, channels) for channels in CHANNELS]
    for rate, channels in dict.fromkeys(pairs):
        path = folder / f"{rate}-{channels}.{form.end}"
        try:
            given = _make(form, path, SHORT, rate, channels)
        except subprocess.CalledProcessError:
            continue
        row.made += 1
        try:
            found = probe(path)
        except InputError as error:
            row.wrong.append(f"{path.name}: a whole file was refused: {error}")
            continue
        row.rates.add(found.rate)
        row.channels.add(found.channels)
        wanted = given if form.exact and found.rate == rate else _reference(path, found.channels)
        if found.samples != wanted or found.channels != channels:
            row.wrong.append(f"{path.name}: {found.samples} × {found.channels}, expected {wanted} × {channels}")


def _spoilt(row: Row, folder: Path) -> None:
    form, path = row.form, folder / f"good.{row.form.end}"
    _make(form, path, LONG, form.rate, form.channels)
    whole, data = probe(path).samples, path.read_bytes()
    for name, spoil in SPOILT.items():
        row.made += 1
        bad = folder / f"{name.replace(' ', '-').replace('%', 'percent')}.{form.end}"
        bad.write_bytes(spoil(data))
        try:
            found = probe(bad)
        except InputError as error:
            row.outcomes[name] = "refused"
            if wrong := _told(bad, error):
                row.wrong.append(f"{bad.name}: {wrong}")
            continue
        row.outcomes[name], expected = _judged(form, name, found.samples, whole, _reference(bad, found.channels))
        if not expected:
            row.wrong.append(f"{bad.name}: {found.samples} samples, the whole file had {whole}")


def _judged(form: Form, name: str, samples: int, whole: int, reference: int) -> tuple[str, bool]:
    """(what became of a file that was taken, whether it may)."""
    if name == "twice":
        return "both", abs(samples - 2 * whole) <= max(8192, whole // 50)
    if samples == whole:
        return "whole", name not in ("cut to 60 %", "cut to 97 %") or form.name.startswith("AVI")
    if name in ("cut to 60 %", "cut to 97 %", "a byte short"):
        return "part", form.open and samples == reference < whole
    return f"{samples}", False


def row_of(form: Form) -> Row:
    """Make the files of a form and look at them."""
    row = Row(form)
    with tempfile.TemporaryDirectory(prefix="inputs-") as name:
        _whole(row, Path(name))
        _spoilt(row, Path(name))
    return row


def rows(only: str = "") -> Iterator[Row]:
    """A row for each form whose name holds `only`, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(row_of, [form for form in FORMS if only in form.name])


@click.command()
@click.option("--only", default="", help="Forms whose name holds this.")
def main(only: str) -> None:
    """Show what becomes of sound in every form."""
    click.echo(f"| form | files | rates | channels | {' | '.join(SPOILT)} |\n|{' --- |' * (4 + len(SPOILT))}")
    found = []
    for row in rows(only):
        found.append(row)
        click.echo(row.line())
        for text in row.wrong:
            click.echo(f"WRONG {row.form.name}: {text}", err=True)
    wrong, files = sum(len(row.wrong) for row in found), sum(row.made for row in found)
    click.echo(f"\n{files:,} files in {len(found)} forms, {wrong} with another end than expected.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
