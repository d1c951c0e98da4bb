"""What a finished title says about itself: read back from the file and the playlists, and changed without rendering."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import status, verify
from pipeline.media.inspect_media import inspect
from pipeline.media.languages import three_letters
from pipeline.media.playlists import video_playlist
from pipeline.media.sound_in.probe import probe
from pipeline.media.tags import Chapter, continuous, with_ends
from tests.conftest import render_inline
from tests.support.damage import snapshot

Make = Callable[..., Path]

TITLE: dict[str, Any] = {
    "id": "talk",
    "frames": 100,
    "title": 'On "light" & shade; =1#',
    "author": "Ada Ünal",
    "cover": "cover.png",
    "language": "de-CH",
    "chapters": [{"at": 0, "title": 'One "1"'}, {"at": "0:00:01.520", "title": "Two, ž"}],
}
CHAPTERS = (Chapter(0, 1520, 'One "1"'), Chapter(1520, 4000, "Two, ž"))


@pytest.fixture
def talk(fake_manifest: Make, tmp_path: Path) -> Path:
    Image.new("RGB", (2100, 1500), (200, 30, 30)).save(tmp_path / "cover.png")
    manifest = fake_manifest([TITLE], keep="final+hls")
    assert render_inline(manifest) == 0
    return manifest


def change(manifest: Path, **title: Any) -> None:
    catalog = yaml.safe_load(manifest.read_text())
    catalog["titles"][0] |= title
    manifest.write_text(yaml.safe_dump(catalog, sort_keys=False))


def test_the_file_says_what_the_manifest_says(talk: Path) -> None:
    final = talk.parent / "out" / "talk" / "final.mp4"
    with av.open(str(final)) as container:
        assert (container.metadata["title"], container.metadata["artist"]) == (TITLE["title"], TITLE["author"])
        pictures = container.streams.video
        assert [stream.codec_context.name for stream in pictures] == ["h264", "mjpeg"]
        assert pictures[0].frames == 100
        assert pictures[1].disposition & av.stream.Disposition.attached_pic
        assert container.streams.audio[0].language == "deu"
        cover = next(packet for packet in container.demux(pictures[1]) if packet.size)
        with Image.open(io.BytesIO(bytes(cover))) as image:
            assert image.size == (1400, 1000)
            assert np.abs(np.asarray(image).astype(int) - (200, 30, 30)).max() < 4
    assert probe(final).chapters == CHAPTERS
    facts = inspect(final)
    assert (facts.frames, facts.decoded, facts.faults) == (100, 100, ())


def test_playlists_hold_the_chapters_as_date_ranges(talk: Path) -> None:
    (folder,) = (talk.parent / "out" / "talk" / "hls").glob("*/")
    text = (folder / "video.m3u8").read_text()
    found = re.findall(
        r'#EXT-X-DATERANGE:ID="(.*?)",CLASS="chapter",START-DATE="(.*?)",DURATION=(.*?),X-TITLE="(.*?)"\n', text
    )
    assert found == [
        ("chapter-1", "2000-01-01T00:00:00.000Z", "1.520", "One '1'"),
        ("chapter-2", "2000-01-01T00:00:01.520Z", "2.480", "Two, ž"),
    ]
    for name in ("video", "audio"):
        assert "#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:00.000Z\n" in (folder / f"{name}.m3u8").read_text()
    assert ',LANGUAGE="de-CH",' in (folder.parent / "index.m3u8").read_text()


def test_chapters_of_a_source_leave_no_gap() -> None:
    found = [Chapter(200, 900, "A"), Chapter(1500, 2000, "B"), Chapter(4000, 5000, "too late")]
    assert continuous(found, 4000) == (Chapter(0, 1500, "A"), Chapter(1500, 4000, "B"))
    assert continuous([], 4000) == ()


def test_chapters_that_begin_together_keep_both_names() -> None:
    found = [Chapter(0, 3000, "Part One"), Chapter(0, 1000, "Chapter 1")]
    found += [Chapter(1000, 1001, "x"), Chapter(1001, 3000, "y")]
    assert continuous(found, 3000) == (Chapter(0, 1000, "Part One – Chapter 1"), Chapter(1000, 3000, "x – y"))
    assert continuous([Chapter(5, 9, "A"), Chapter(5, 20, "A"), Chapter(6, 30, "A")], 50) == (Chapter(0, 50, "A"),)


def test_a_chapter_without_an_end_goes_on_to_the_next_later_one() -> None:
    found = [Chapter(0, 0, "Part"), Chapter(0, 0, "One"), Chapter(700, 700, "Two"), Chapter(1500, 1600, "Three")]
    assert [one.end for one in with_ends(found, 2000)] == [700, 700, 1500, 1600]
    assert [one.end for one in with_ends(found[:3], 2000)] == [700, 700, 2000]


def test_nothing_leaves_the_quotes_of_an_attribute() -> None:
    text = video_playlist("init.mp4", [], False, [Chapter(0, 1000, 'a"\n#EXT-X-ENDLIST\r\u2028,X="b')])
    assert "#EXT-X-ENDLIST" not in text.splitlines()
    (line,) = [line for line in text.split("\n") if "DATERANGE" in line]
    assert line.count('"') == 8


def test_other_words_render_nothing_anew(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = talk.parent / "out" / "talk"
    before = {stage: snapshot(folder / stage) for stage in ("chain", "stream", "sound")}
    pictures = [snapshot(folder / "stream")[name] for name in sorted(before["stream"]) if name.endswith(".m4s")]
    assert pictures
    change(talk, title="Another", chapters=[{"at": 0, "title": "A"}, {"at": 3, "title": "B"}], author="Bo")
    assert status.run([str(talk), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["titles"]
    assert (shown["state"] != "done", shown["upscaled"]) == (True, 3)
    assert verify.run([str(talk)]) == 1
    assert "has other words or tags than this plan" in capsys.readouterr().out
    assert render_inline(talk) == 0
    assert snapshot(folder / "chain") == before["chain"]
    assert snapshot(folder / "sound") == before["sound"]
    after = snapshot(folder / "stream")
    assert {name: after.get(name) for name in before["stream"] if "/done/" not in f"/{name}"} == {
        name: data for name, data in before["stream"].items() if "/done/" not in f"/{name}"
    }
    facts = probe(folder / "final.mp4")
    assert (dict(facts.tags)["title"], dict(facts.tags)["artist"]) == ("Another", "Bo")
    assert facts.chapters == (Chapter(0, 3000, "A"), Chapter(3000, 4000, "B"))
    assert verify.run([str(talk)]) == 0
    again = snapshot(talk.parent)
    assert render_inline(talk) == 0
    assert snapshot(talk.parent) == again


def test_a_damaged_fragment_is_made_again_though_only_words_change(talk: Path) -> None:
    folder = talk.parent / "out" / "talk"
    whole = inspect(folder / "final.mp4")
    fragment = sorted(folder.glob("stream/*/stream/objects/*"))[1]
    fragment.write_bytes(fragment.read_bytes()[:-9] + b"otherwise")
    change(talk, title="Another")
    assert render_inline(talk) == 0
    assert inspect(folder / "final.mp4") == whole
    assert verify.run([str(talk), "--planes"]) == 0


def test_chapters_beyond_the_end_are_refused(fake_manifest: Make, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([{"frames": 50, "chapters": [{"at": 0, "title": "A"}, {"at": 2, "title": "B"}]}])
    assert render_inline(manifest) == 2
    assert "titles[0].chapters[1].at: value 0:00:02.000: the title ends at 0:00:02.000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en", "eng"), ("pt-BR", "por"), ("DE", "deu"), ("yue-Hant", "yue"), ("und", "und"), ("xx", "und")],
)
def test_languages(tag: str, code: str) -> None:
    assert three_letters(tag) == code
