"""`python tests/other_versions/make_inputs.py`: the portraits, sounds and words that the titles here are made of.

They are kept, because their bytes enter hashes: another version of a PNG or AAC encoder writes others.
"""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
INPUTS = HERE / "inputs"
EXAMPLE = HERE.parents[1] / "examples" / "portrait.png"


def tones(path: Path, rate: int, samples: int, channels: int = 1) -> None:
    """Syllables of a fifth of a second with pauses between them, from one cosine a note."""
    time = np.arange(samples) / rate
    note = np.array([160, 200, 240, 320])[(time * 5).astype(int) % 4]
    loud = np.where((time * 5).astype(int) % 5 == 4, 0.0, np.sin(np.pi * (time * 5 % 1)))
    values = np.round(9000 * loud * np.cos(2 * np.pi * note * time) / 64) * 64  # coarse, so that it packs well
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(values.astype("<i2"), channels).tobytes())


def pictures() -> None:
    with Image.open(EXAMPLE) as person:
        person.resize((128, 128), Image.Resampling.LANCZOS).save(INPUTS / "portrait.png", optimize=True)
        person.resize((64, 64), Image.Resampling.LANCZOS).convert("RGB").save(INPUTS / "cover.jpg", quality=80)
    rows, columns = np.mgrid[0:72, 0:128]
    wall = np.stack([rows * 2, 40 + columns, np.full_like(rows, 90)], axis=-1)
    Image.fromarray(wall.astype(np.uint8)).save(INPUTS / "wall.png", optimize=True)


def book() -> None:
    """A sound file with tags and two chapters."""
    notes = (
        ";FFMETADATA1\ntitle=A Book\nartist=A Reader\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=900\nEND=2000\ntitle=Two\n"
    )
    given = ["-f", "ffmetadata", "-i", "pipe:0", "-i", INPUTS / "short.wav"]
    taken = ["-map", "1:a", "-map_metadata", "0", "-map_chapters", "0", "-t", "2", "-c:a", "aac", "-b:a", "32k"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *given, *taken, INPUTS / "book.m4a"]
    subprocess.run(command, input=notes.encode(), check=True)


def words() -> None:
    cues = (
        "1\n00:00:00,200 --> 00:00:01,000\nFirst words\n",
        "2\n00:00:01,100 --> 00:00:01,900\n<i>and the last.</i>\n",
    )
    (INPUTS / "words.srt").write_text("\n".join(cues))
    (INPUTS / "words.vtt").write_text("WEBVTT\n\n00:00.100 --> 00:01.500\nAll of it\n")
    rows = (
        "id,portrait,audio,seed,crf",
        "from-table,inputs/portrait.png,inputs/part-2.wav,5,24",
        "from-table-too,inputs/wall.png,inputs/part-1.wav;inputs/part-2.wav,,",
    )
    (INPUTS / "titles.csv").write_text("\n".join(rows) + "\n")


def main() -> None:
    INPUTS.mkdir(exist_ok=True)
    pictures()
    tones(INPUTS / "long.wav", 16_000, 200 * 640)  # 200 frames: five GOPs, the last of them short
    tones(INPUTS / "short.wav", 16_000, 100 * 640)
    tones(INPUTS / "part-1.wav", 44_100, 25_001, channels=2)  # no whole number of frames
    tones(INPUTS / "part-2.wav", 8_000, 7_013)
    book()
    words()
    np.save(INPUTS / "embedding.npy", np.arange(512, dtype=np.float32) / 512)


if __name__ == "__main__":
    main()
