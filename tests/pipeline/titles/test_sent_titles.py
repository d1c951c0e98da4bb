"""Titles of sound as people send it: what is said of a file, under which name, and what enters a hash."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from models.families.registry import FAMILIES
from pipeline import verify
from pipeline.manifest.options import complete
from pipeline.media.inspect_media import count_frames
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.probe import probe
from pipeline.media.tags import Chapter, write
from pipeline.store.record import Stored
from pipeline.titles.metadata import Metadata, joined_tags
from pipeline.titles.title_hashes import Hashes, title_hashes
from tests.conftest import render_inline
from tests.support.media_sources import noise, program, sound

Make = Callable[..., Path]


def report_of(manifest: Path, title: str = "one") -> dict[str, Any]:
    return json.loads((manifest.parent / "out" / title / "report.json").read_text())


def test_a_cut_file_makes_no_shorter_film_unless_that_is_meant(
    fake_manifest: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = sound(tmp_path / "whole.mp3", noise(3 * 48_000), 48_000).read_bytes()
    (tmp_path / "talk.mp3").write_bytes(whole[: len(whole) * 6 // 10])
    manifest = fake_manifest([{"id": "one", "audio": "talk.mp3"}])
    assert render_inline(manifest) == 2
    assert "titles[0].audio[0]: talk.mp3: was cut off: its header states" in capsys.readouterr().err
    catalog = yaml.safe_load(manifest.read_text())
    catalog["titles"][0]["accept_short"] = True
    manifest.write_text(yaml.safe_dump(catalog))
    assert render_inline(manifest) == 0
    assert "one: talk.mp3: was cut off, and is meant so" in capsys.readouterr().err
    report = report_of(manifest)
    assert 40 < report["frames"] < 46
    assert any(note.startswith("talk.mp3: was cut off, and is meant so") for note in report["notes"])
    assert verify.run([str(manifest)]) == 0
    del catalog["titles"][0]["accept_short"]  # what was remembered is no leave
    manifest.write_text(yaml.safe_dump(catalog))
    assert render_inline(manifest) == 2


def test_late_sound_out_of_phase_and_many_channels_become_a_title(fake_manifest: Make, tmp_path: Path) -> None:
    voice = sound(tmp_path / "voice.wav", noise(48_000), 48_000)
    program(
        "-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=2", "-itsoffset", 1, "-i", voice,
        "-map", "0:v", "-map", "1:a", "-c:a", "flac", tmp_path / "late.mkv",
    )  # fmt: skip
    sound(tmp_path / "phase.wav", noise(48_000) * np.array([[1, -1]], np.float32), 48_000)
    sound(tmp_path / "nine.flac", noise(48_000, 3), 48_000)
    manifest = fake_manifest([{"id": "one", "audio": ["late.mkv", "phase.wav", "nine.flac"], "loudness": -16}])
    assert render_inline(manifest) == 0
    report = report_of(manifest)
    assert report["frames"] == count_frames(manifest.parent / "out" / "one" / "final.mp4") == 100
    assert sum("silence stand there" in note or "drives the face" in note for note in report["notes"]) == 2
    assert verify.run([str(manifest)]) == 0
    before = report["hashes"]
    assert render_inline(manifest) == 0  # from what is remembered
    assert report_of(manifest)["hashes"] == before


def test_a_file_is_called_by_its_name_when_a_run_fails(
    fake_manifest: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound(tmp_path / "talk.wav", noise(48_000), 48_000)
    manifest = fake_manifest([{"id": "one", "audio": "talk.wav"}])
    assert render_inline(manifest, "--dry-run") == 0
    from pipeline.media import sound as joining

    patch = pytest.MonkeyPatch()
    patch.setattr(joining, "SLACK", -1)  # whatever it decodes to is another count
    try:
        assert render_inline(manifest) == 1
    finally:
        patch.undo()
    said = capsys.readouterr().err
    assert "talk.wav: now decodes to 48000 samples" in said


def plan_of(*facts: AudioFacts) -> Hashes:
    stored, fake = Stored("_inputs/a", "a" * 64, 1000), FAMILIES["fake"]
    return title_hashes(
        family=fake, weights="0", seed=1, frames=50, prompts=(), options=complete({"resolution": 64}, fake),
        portrait=stored, audio=(stored,) * len(facts), metadata=Metadata(),
        treatments=[fact.treatment() for fact in facts],
    )  # fmt: skip


def test_only_what_is_treated_enters_a_hash() -> None:
    plain = plan_of(AudioFacts(96_000, 48_000, 2))
    for fact in (
        AudioFacts(96_000, 48_000, 2, gaps=((0, 4800),)),
        AudioFacts(96_000, 48_000, 2, track=1),
        AudioFacts(96_000, 48_000, 2, mix="mean"),
        AudioFacts(96_000, 48_000, 2, face="left"),
        AudioFacts(96_000, 48_000, 2, mended=True),
        AudioFacts(96_000, 48_000, 2, untrimmed=True),
    ):
        assert plan_of(fact).sound != plain.sound, fact
        assert plan_of(fact).chain != plain.chain, fact
    assert plan_of(AudioFacts(96_000, 48_000, 2, notes=("a note",), short="short")) == plain


def test_more_chapters_than_the_old_list_holds(fake_manifest: Make, tmp_path: Path) -> None:
    """Above 255 the old list is left out; up to there both are written."""
    voice = sound(tmp_path / "voice.wav", noise(6 * 8_000), 8_000)
    counts = (255, 256, 300)
    for count in counts:
        notes = tmp_path / "notes"
        notes.write_text(write([Chapter(20 * k, 20 * k + 20, f"Verse {k + 1}") for k in range(count)], []))
        program("-i", voice, "-i", notes, "-map_metadata", 1, "-c:a", "aac", tmp_path / f"{count}.m4b")
    manifest = fake_manifest([{"id": f"c{count}", "audio": f"{count}.m4b"} for count in counts])
    assert render_inline(manifest) == 0
    for count in counts:
        final = manifest.parent / "out" / f"c{count}" / "final.mp4"
        assert [chapter.title for chapter in probe(final).chapters] == [f"Verse {k + 1}" for k in range(count)]
        assert (b"chpl" in final.read_bytes()) == (count <= 255)
    assert verify.run([str(manifest)]) == 0


def _frame(name: bytes, content: bytes, version: int) -> bytes:
    size = len(content)
    four = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) if version == 4 else struct.pack(">I", size)
    return name + four + b"\0\0" + content


def id3(*chapters: tuple[int, int, str], version: int = 4) -> bytes:
    frames = b""
    for number, (start, end, title) in enumerate(chapters):
        text = _frame(b"TIT2", b"\1" + title.encode("utf-16"), version)
        times = struct.pack(">IIII", start, end, 0xFFFFFFFF, 0xFFFFFFFF)
        frames += _frame(b"CHAP", f"ch{number}".encode() + b"\0" + times + text, version)
    size = len(frames)
    return b"ID3" + bytes([version, 0, 0, *(size >> shift & 0x7F for shift in (21, 14, 7, 0))]) + frames


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("end", ["zero", "start", "none", "good"])
def test_chapters_without_ends_are_kept(fake_manifest: Make, tmp_path: Path, end: str, version: int) -> None:
    ends = {"zero": (0, 0, 0), "start": (0, 2000, 4000), "none": (0xFFFFFFFF,) * 3, "good": (2000, 4000, 6000)}[end]
    tag = id3(*((2000 * k, ends[k], f"Teil {k + 1} ü") for k in range(3)), version=version)
    voice = sound(tmp_path / "voice.mp3", noise(6 * 16_000), 16_000, "-id3v2_version", 0).read_bytes()
    (tmp_path / "talk.mp3").write_bytes(tag + voice)
    manifest = fake_manifest([{"id": "one", "audio": "talk.mp3"}])
    assert render_inline(manifest) == 0
    chapters = report_of(manifest)["publishing"]["chapters"]
    assert [one["title"] for one in chapters] == ["Teil 1 ü", "Teil 2 ü", "Teil 3 ü"]
    assert [one["start"] for one in chapters] == pytest.approx([0, 2000, 4000], abs=80)
    assert chapters[-1]["end"] == pytest.approx(6000, abs=40)


def test_a_list_is_not_called_by_its_first_files_name(fake_manifest: Make, tmp_path: Path) -> None:
    sound(
        tmp_path / "jingle.mp3", noise(16_000), 16_000, "-metadata", "title=Jingle", "-metadata", "artist=SoundCo",
        "-metadata", "album=The Book", "-metadata", "track=1",
    )  # fmt: skip
    sound(tmp_path / "chapter-one.wav", noise(16_000), 16_000)
    sound(
        tmp_path / "two.mp3", noise(16_000), 16_000, "-metadata", "title=Night", "-metadata", "artist=Reader",
        "-metadata", "album=The Book", "-metadata", "genre=Audiobook",
    )  # fmt: skip
    manifest = fake_manifest([{"id": "one", "audio": ["jingle.mp3", "chapter-one.wav", "two.mp3"]}])
    assert render_inline(manifest) == 0
    found = report_of(manifest)["publishing"]
    assert found["title"] == "The Book"
    assert found["author"] is None
    assert [one["title"] for one in found["chapters"]] == ["Jingle", "chapter-one", "Night"]


def test_tags_of_lists() -> None:
    one, two = (("title", "A"), ("artist", "X"), ("track", "1")), (("title", "B"), ("artist", "X"), ("track", "2"))
    assert joined_tags([one]) == one
    assert joined_tags([one, two]) == joined_tags([one, (), two]) == (("artist", "X"),)
    assert joined_tags([one, one]) == (("title", "A"), ("artist", "X"))
    assert joined_tags([one, ()]) == (("artist", "X"),)
    assert joined_tags([(*one, ("album", "C")), two]) == (("title", "C"), ("artist", "X"), ("album", "C"))
    assert joined_tags([(), ()]) == ()
