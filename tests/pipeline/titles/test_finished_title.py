"""What a finished title is made of and keeps: chapters, tags and sound of its sources, and what `keep` says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.media.inspect_media import count_frames
from pipeline.media.sound_in.probe import probe
from pipeline.media.tags import Chapter
from tests.conftest import render_inline
from tests.support.damage import snapshot
from tests.support.media_sources import clicks, decoded, peaks, program, sound

Make = Callable[..., Path]


@pytest.mark.parametrize("keep", ["all", "final+hls", "final"])
def test_what_is_kept_of_a_finished_title(fake_manifest: Make, keep: str, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([100], keep=keep)
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest) == 0
    assert bool(list(folder.glob("chain/*/chain/objects/*"))) == (keep == "all")
    assert bool(list(folder.glob("stream/*/stream/objects/*"))) == (keep != "final")
    assert (folder / "hls" / "index.m3u8").exists() == (keep != "final")
    assert bool(list(folder.glob("hls/*/*.m3u8"))) == (keep != "final")
    assert count_frames(folder / "final.mp4") == 100
    for name in ("report.json", "provenance.json", "poster.jpg"):
        assert (folder / name).exists()
    assert (
        len(list(folder.glob("chain/*/chain/*.json"))) == len(list(folder.glob("stream/*/stream/*.json"))) == 3
    )  # what was done stays known
    before = snapshot(manifest.parent)
    capsys.readouterr()
    assert render_inline(manifest) == 0
    assert "title-0: done" in capsys.readouterr().err
    assert snapshot(manifest.parent) == before


def test_chapters_and_tags_pass_through(fake_manifest: Make, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text(
        ";FFMETADATA1\ntitle=The Book\nartist=A Reader\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1500\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1500\nEND=4000\ntitle=Two\n"
    )
    plain = sound(tmp_path / "plain.wav", clicks(4 * 48_000, [9000]), 48_000)
    book = tmp_path / "book.m4b"
    program("-i", plain, "-i", notes, "-map", "0:a", "-map_metadata", 1, "-map_chapters", 1, "-c:a", "aac", book)
    manifest = fake_manifest([{"id": "book", "audio": "book.m4b"}])
    assert render_inline(manifest) == 0
    facts = probe(manifest.parent / "out" / "book" / "final.mp4")
    assert facts.chapters == (Chapter(0, 1500, "One"), Chapter(1500, 4000, "Two"))
    assert dict(facts.tags)["title"] == "The Book"
    assert dict(facts.tags)["artist"] == "A Reader"


def test_files_are_joined_exactly(fake_manifest: Make, tmp_path: Path) -> None:
    """Three files at three rates, none a whole number of frames long; a click near each border must not move."""
    lengths = {44_100: 50_001, 16_000: 20_011, 48_000: 70_003}
    for rate, samples in lengths.items():
        sound(tmp_path / f"{rate}.wav", clicks(samples, [samples // 2], width=rate // 4000), rate)
    manifest = fake_manifest([{"id": "joined", "audio": [f"{rate}.wav" for rate in lengths]}])
    assert render_inline(manifest) == 0
    final = manifest.parent / "out" / "joined" / "final.mp4"
    seconds = [samples / rate for rate, samples in lengths.items()]
    frames = -(-round(sum(seconds) * 25 * 1e6) // 1_000_000)
    assert count_frames(final) == frames
    heard = decoded(final)[:, 0]
    assert len(heard) == frames * 1920
    starts = [0.0, *np.cumsum(seconds)[:-1]]
    places = [(start + length / 2) * 48_000 + 6 for start, length in zip(starts, seconds, strict=True)]
    assert peaks(heard) == pytest.approx(places, abs=10)
    chapters = probe(final).chapters
    assert [chapter.start for chapter in chapters] == pytest.approx([round(1000 * start) for start in starts], abs=1)
    assert all(one.end == two.start for one, two in pairwise(chapters))
