"""`python -m models.data.speech_data DIR`: freely licensed speech of several people, one folder a speaker.

The recordings are those of Debian's asterisk-core-sounds packages (16 kHz, G.722), fetched with apt and unpacked, not
installed. Each speaker's folder gets the package's copyright file; LICENSES.md lists where everything is from.
With espeak-ng installed, `--synthesised N` adds N sentences of synthetic voices.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from random import Random

import av
import click

from models.speech.spectrum import SAMPLE_RATE

PACKAGES = tuple(f"asterisk-core-sounds-{language}-g722" for language in ("en", "es", "fr", "it", "ru"))
SHORTEST = 1.0  # seconds; single letters and digits are left out
VOICES = ("en", "en-us+f3", "de", "fr+f2", "es", "it+m4")
WORDS = (
    *("morning", "light", "falls", "over", "old", "houses", "while", "people", "walk", "slowly", "towards"),
    *("market", "square", "carrying", "baskets", "bread", "fish", "blue", "paper", "seven", "open", "windows"),
    *("children", "laugh", "about", "big", "brown", "bears", "moving", "between", "apple", "trees", "very", "quietly"),
)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--synthesised", default=0, help="Sentences of synthetic voices to add; needs espeak-ng.")
def main(folder: Path, synthesised: int) -> None:
    """Collect speech to train on in FOLDER."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise click.ClickException("apt-get and dpkg are needed to fetch the recordings: run this on Debian or Ubuntu")
    if synthesised and shutil.which("espeak-ng") is None:
        raise click.ClickException("espeak-ng is not installed: install it, or leave --synthesised out")
    folder.mkdir(parents=True, exist_ok=True)
    notes = ["# Sources and licences of these recordings\n"]
    for package in PACKAGES:
        try:
            count, seconds, voice = collect(package, folder)
        except subprocess.CalledProcessError as error:
            click.echo(f"{package}: left out, {error.stderr.decode(errors='replace').strip()[-200:]}", err=True)
            continue
        click.echo(f"{voice}: {count} recordings, {seconds / 60:.1f} minutes")
        notes.append(
            f"- `{voice}/`: Debian package {package}; terms and credits in `{voice}/copyright`. Decoded to WAV."
        )
    if synthesised:
        synthesise(folder, synthesised)
        notes.append("- `synthetic_*/`: synthesised with espeak-ng; no rights of a speaker.")
    (folder / "LICENSES.md").write_text("\n".join(notes) + "\n")


def collect(package: str, folder: Path) -> tuple[int, float, str]:
    """Fetch a package and decode its recordings -> their number, seconds, and the speaker's folder."""
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        subprocess.run(["apt-get", "download", "-q", package], cwd=here, check=True, capture_output=True)
        archive = next(here.glob("*.deb"))
        subprocess.run(["dpkg", "-x", archive.name, "tree"], cwd=here, check=True, capture_output=True)
        recordings = sorted((here / "tree").rglob("*.g722"))
        voice = _voice(recordings[0])
        target = folder / voice
        target.mkdir(exist_ok=True)
        for terms in (here / "tree").rglob("copyright"):
            shutil.copy(terms, target / "copyright")
        kept, total = 0, 0.0
        for recording in recordings:
            samples = decode_g722(recording)
            seconds = len(samples) / 2 / SAMPLE_RATE
            if seconds >= SHORTEST and "silence" not in recording.parts:
                _write(target / f"{recording.parent.name}-{recording.stem}.wav", samples)
                kept, total = kept + 1, total + seconds
    return kept, total, voice


def _voice(recording: Path) -> str:
    """The folder below `sounds`, which names language and speaker."""
    parts = recording.parts
    return parts[parts.index("sounds") + 1]


def decode_g722(path: Path) -> bytes:
    """-> 16-bit samples, mono, 16 kHz."""
    with av.open(str(path), format="g722") as container:
        return b"".join(frame.to_ndarray().astype("<i2").tobytes() for frame in container.decode(audio=0))


def _write(path: Path, samples: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples)


def synthesise(folder: Path, sentences: int) -> None:
    """Sentences of random words in several voices and speeds."""
    dice = Random(0)
    for number in range(sentences):
        voice = VOICES[number % len(VOICES)]
        target = folder / f"synthetic_{voice.replace('+', '_')}"
        target.mkdir(exist_ok=True)
        words = " ".join(WORDS[int(dice.random() * len(WORDS))] for _ in range(8 + int(dice.random() * 10)))
        speed, pitch = str(120 + int(80 * dice.random())), str(30 + int(45 * dice.random()))
        command = ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "-w", str(target / f"{number:05}.wav"), words]
        subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
