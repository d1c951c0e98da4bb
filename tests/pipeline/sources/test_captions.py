"""Captions: read from files of strangers, and read back from the finished file, the playlists and the picture."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import verify
from pipeline.core.errors import InputError
from pipeline.media.burn import Burner, cannot_be_drawn
from pipeline.media.inspect_media import cues_in, inspect
from pipeline.media.m3u8 import read_media_playlist
from pipeline.sources.captions import Cue, cut, read_captions, segments, srt, vtt
from pipeline.store.opening import open_store
from tests.conftest import render_inline
from tests.support.crashes import same_after_kills
from tests.support.damage import snapshot

Make = Callable[..., Path]

SRT = """1
00:00:00,200 --> 00:00:01,000
{\\an8}Hello <i>there</i> & <font color="red">you</font>
a < b

2
00:00:01,500 --> 00:00:03,800
Grüß Gott <b>now
"""


def test_subrip() -> None:
    first, second = read_captions(SRT.replace("\n", "\r\n").encode("utf-8-sig"), "a.srt")
    assert first == Cue(200, 1000, "Hello <i>there</i> &amp; you\na &lt; b", 1)
    assert second == Cue(1500, 3800, "Grüß Gott <b>now</b>", 6)
    assert first.plain == "Hello there & you\na < b"


def test_webvtt() -> None:
    text = (
        "WEBVTT - a title\nKind: captions\n\nSTYLE\n::cue { background: url(http://x/y) }\n\nNOTE <script>\nmore\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start line:0\n<v Ada>One</v> &lt;script&gt;\n\n"
        "01:00:03.000 --> 01:00:04.000\n<c.loud>Two</c> <00:00:03.500>three <lang de>vier</lang>\n"
    )
    assert [(c.start, c.end, c.text) for c in read_captions(text.encode(), "a.vtt")] == [
        (1000, 2500, "One &lt;script&gt;"),
        (3_603_000, 3_604_000, "Two three vier"),
    ]


ROLLED = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:01.500 align:start
 
hello<00:00:00.500><c> there</c>

00:00:01.500 --> 00:00:01.510 align:start
hello there
 

00:00:01.500 --> 00:00:03.000
 
"""


def times(text: str, name: str, notes: list[str] | None = None) -> list[tuple[int, int, str]]:
    cues = read_captions(text.encode(), name, (notes if notes is not None else []).append)
    return [(cue.start, cue.end, cue.text) for cue in cues]


def test_lines_of_one_space_end_no_cue_of_webvtt() -> None:
    notes: list[str] = []
    assert times(ROLLED, "auto.vtt", notes) == [(0, 1500, "hello there"), (1500, 1510, "hello there")]
    assert notes == ["auto.vtt: 0 cues that overlapped the next one end earlier, 1 empty ones are left out"]
    spaced = (
        "WEBVTT\n\n00:01.000 --> 00:02.000\nA\n \n00:02.000 --> 00:03.000\nB\n\t\nname\n00:03.000 --> 00:04.000\nC\n"
    )
    assert times(spaced, "a.vtt") == [(1000, 2000, "A"), (2000, 3000, "B"), (3000, 4000, "C")]
    assert times("1\n00:00:01,000 --> 00:00:02,000\nA\n  \n2\n00:00:03,000 --> 00:00:04,000\nB", "a.srt") == [
        (1000, 2000, "A"),
        (3000, 4000, "B"),
    ]


@pytest.mark.parametrize("over", [1, 10, 20])
def test_cues_that_overlap_by_a_slip_and_cues_of_no_length(over: int) -> None:
    first = f"1\n00:00:01,000 --> 00:00:02,{over:03}\nA\n\n"
    text = first + "2\n00:00:02,000 --> 00:00:03,000\nB\n\n3\n00:00:03,000 --> 00:00:03,000\nC\n"
    notes: list[str] = []
    assert times(text, "w.srt", notes) == [(1000, 2000, "A"), (2000, 3000, "B")]
    assert notes == ["w.srt: 1 cues that overlapped the next one end earlier, 1 empty ones are left out"]


GOOD = "1\n00:00:01,000 --> 00:00:02,000\n"


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        (GOOD + "<script>alert(1)</script>\n", "line 1: the cue holds the markup '<script>'; write it as plain text"),
        (GOOD + '<img src=x onerror="y">\n', "holds the markup '<img src=x onerror=\"y\">'"),
        (GOOD + "<svg/onload=x\n", "holds the markup '<svg/onload=x'"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n<!-- x --> y\n", "an arrow in its text"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n<iframe>\n", "holds the markup '<iframe>'"),
        (GOOD + "a\0b\n", "holds control characters"),
        (GOOD + "\n", "holds no captions"),
        (GOOD + "x" * 501 + "\n", "has 501 characters, expected at most 500"),
        ("1\n00:00:02,000 --> 00:00:02,000\nx\n", "holds no captions"),
        ("1\n00:00:02,000 --> 00:00:01,900\nx\n", "ends at 00:00:01.900, before it begins (00:00:02.000)"),
        ("1\n00:61:02,000 --> 00:62:02,000\nx\n", "has the times '00:61:02,000 --> 00:62:02,000'"),
        ("WEBVTT\n\n1,0 --> 2,0\nx\n", "expected such as 00:00:01.000 --> 00:00:02.500"),
        (GOOD + "x\n\nlost\n", "line 5: the cue has no times"),
        (GOOD + "x\n2\n00:00:02,000 --> 00:00:03,000\ny\n", "is an empty line missing above the next cue?"),
        (
            GOOD + "x\n\n2\n00:00:01,900 --> 00:00:03,000\ny\n",
            "line 5: the cue begins at 00:00:01.900, before the one of line 1 ends (00:00:02.000)",
        ),
        ("", "holds no captions"),
        ("WEBVTT\n\nNOTE nothing\n", "holds no captions"),
        ("\n\n".join(["x"] * 9), "and 4 more; correct the captions"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, needle: str) -> None:
    with pytest.raises(InputError) as caught:
        read_captions(text.encode(), "a.srt")
    assert needle in str(caught.value)


@pytest.mark.parametrize(
    ("data", "needle"),
    [
        ("abc\nGrüße".encode("latin-1"), "line 2 is not UTF-8 (byte 0xfc); save it as UTF-8"),
        (SRT.encode("utf-16"), "is encoded as UTF-16"),
        (b"x" * (8 << 20) + b"xx", "expected at most 8,388,608"),
    ],
)
def test_other_encodings_and_sizes(data: bytes, needle: str) -> None:
    with pytest.raises(InputError) as caught:
        read_captions(data, "a.srt")
    assert needle in str(caught.value)


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 4000), words), min_size=1, max_size=20))
def test_what_is_written_is_read_again(parts: list[tuple[int, int, str]]) -> None:
    cues, at = [], 0
    for gap, length, text in parts:
        start, at = at + gap, at + gap + length
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        cues.append(Cue(start, at, f"<i>{escaped}</i>"))
    read = read_captions(vtt(cues).encode(), "a.vtt")
    assert [(c.start, c.end, c.text) for c in read] == [(c.start, c.end, c.text) for c in cues]
    again = read_captions(srt(cues).encode(), "a.srt")
    assert [(c.start, c.end) for c in again] == [(c.start, c.end) for c in cues]
    frames = max(1, at // 40)
    found = segments(cut(cues, frames * 40), frames)
    assert len(found) == -(-frames // 48)
    for gop, data in enumerate(found):
        first, stop = gop * 1920, min((gop + 1) * 1920, frames * 40)
        shown = [c for c in cut(cues, frames * 40) if c.start < stop and c.end > first]
        assert data.decode().count(" --> ") == len(shown)


def test_the_font_is_asked_before_anything_is_rendered() -> None:
    assert cannot_be_drawn([Cue(0, 1, "Grüße, Привет, Καλημέρα – “x” &amp; 1 €\n…")]) == ""
    assert cannot_be_drawn([Cue(0, 1, "a 你好 b 你 \U0001f600")]) == "你好\U0001f600"


def test_burnt_captions_stand_low_in_the_picture_while_they_are_said() -> None:
    burner = Burner([Cue(80, 200, "one &lt; two"), Cue(200, 240, "word " * 60)], 320, 180)
    grey = np.full((270, 320), 100, np.uint8)
    shown = [not np.array_equal(burner.on(grey, frame), grey) for frame in range(8)]
    assert shown == [False, False, True, True, True, True, False, False]
    planes = burner.on(grey, 2)
    rows, columns = np.nonzero(planes[:180] != 100)
    assert rows.min() > 120
    assert rows.max() < 176
    assert abs((columns.min() + columns.max()) / 2 - 160) < 4
    assert {planes[:180].min(), planes[:180].max()} == {16, 235}
    long = burner.on(grey, 5)
    rows, columns = np.nonzero(long[:180] != 100)
    assert columns.min() >= 12
    assert columns.max() <= 308
    assert (grey == 100).all()


@pytest.fixture
def captioned(fake_manifest: Make, tmp_path: Path) -> Path:
    (tmp_path / "said.srt").write_text(SRT)
    return fake_manifest([{"id": "talk", "frames": 97, "captions": "said.srt", "language": "en"}])


def shown_in(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    with av.open(str(path)) as container:
        assert container.streams.subtitles[0].codec_context.name == "mov_text"
        assert container.streams.subtitles[0].language == "eng"
        return list(cues_in(container))


def test_captions_are_read_back_from_file_stream_and_sidecars(captioned: Path) -> None:
    assert render_inline(captioned) == 0
    folder = captioned.parent / "out" / "talk"
    assert [(float(a), float(b), text) for a, b, text in shown_in(folder / "final.mp4")] == [
        (0.2, 1.0, "Hello there & you\na < b"),
        (1.5, 3.8, "Grüß Gott now"),
    ]
    facts = inspect(folder / "final.mp4")
    assert (facts.frames, facts.decoded, facts.faults) == (97, 97, ())
    for name in ("captions.vtt", "captions.srt"):
        again = read_captions((folder / name).read_bytes(), name)
        assert [(c.start, c.end) for c in again] == [(200, 1000), (1500, 3800)]

    index = (folder / "hls" / "index.m3u8").read_text()
    assert 'TYPE=SUBTITLES,GROUP-ID="captions",NAME="Captions",LANGUAGE="en",' in index
    assert 'AUDIO="sound",SUBTITLES="captions"\n' in index
    (playlist,) = folder.glob("hls/*/captions.m3u8")
    key = f"talk/{playlist.relative_to(folder)}"
    listed = read_media_playlist(playlist.read_text(), key)
    assert [entry.seconds for entry in listed.entries] == [1.92, 1.92, 0.04]
    said = []
    for entry in listed.entries:
        start, stop = entry.part or (0, 0)
        part = open_store(str(folder.parent)).get_range(entry.key, start, stop).decode()
        assert part.startswith("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n")
        said.append([line for line in part.splitlines() if "-->" in line])
    first, second = "00:00:00.200 --> 00:00:01.000", "00:00:01.500 --> 00:00:03.800"
    assert said == [[first, second], [second], []]
    assert verify.run([str(captioned)]) == 0


def test_captions_can_be_changed_and_taken_away(captioned: Path) -> None:
    assert render_inline(captioned) == 0
    folder = captioned.parent / "out" / "talk"
    before = {name: data for name, data in snapshot(folder / "stream").items() if "done" not in name}
    catalog = yaml.safe_load(captioned.read_text())
    (captioned.parent / "said.srt").write_text("1\n00:00:00,000 --> 00:00:09,000\nOther\n")
    assert render_inline(captioned) == 0
    assert shown_in(folder / "final.mp4") == [(0, Fraction("3.88"), "Other")]
    assert len(list(folder.glob("hls/*/captions-*.vtt"))) == 1
    del catalog["titles"][0]["captions"]
    captioned.write_text(yaml.safe_dump(catalog))
    assert render_inline(captioned) == 0
    assert list(folder.glob("**/captions*")) == []
    with av.open(str(folder / "final.mp4")) as container:
        assert not container.streams.subtitles
    assert verify.run([str(captioned)]) == 0
    assert {name: data for name, data in snapshot(folder / "stream").items() if "done" not in name} == before


def test_captions_of_another_sound_are_refused(captioned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (captioned.parent / "said.srt").write_text("1\n00:00:03,900 --> 00:00:05,000\nlate\n\n2\n00:00:05,0 --> x\ny\n")
    assert render_inline(captioned) == 2
    assert "titles[0].captions: " in (said := capsys.readouterr().err)
    assert "line 5: the cue has the times '00:00:05,0 --> x'" in said
    (captioned.parent / "said.srt").write_text("1\n00:00:03,900 --> 00:00:05,000\nlate\n")
    assert render_inline(captioned) == 2
    assert "the cue of line 1 begins at 00:00:03.900, the title ends at 00:00:03.880" in capsys.readouterr().err


def lower_half(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray")[128:].astype(int) for frame in container.decode(video=0)]


def test_burnt_captions_are_in_the_picture_whatever_happens(fake_manifest: Make, tmp_path: Path) -> None:
    (tmp_path / "said.srt").write_text(SRT)
    title: dict[str, Any] = {"id": "talk", "frames": 55, "captions": "said.srt"}
    manifest = fake_manifest([title], burn_captions=True, resolution=256)
    same_after_kills(manifest, tmp_path, 60)
    manifest = fake_manifest([title], resolution=256)
    assert render_inline(manifest, "--output", str(tmp_path / "plain")) == 0
    burnt, plain = (lower_half(tmp_path / name / "talk" / "final.mp4") for name in ("killed-60", "plain"))
    changed = [np.mean(np.abs(a - b) > 50) > 0.003 for a, b in zip(burnt, plain, strict=True)]
    assert changed == [5 <= frame < 25 or frame >= 38 for frame in range(55)]
    streams = {path.name for name in ("whole", "plain") for path in (tmp_path / name / "talk" / "stream").iterdir()}
    assert len(streams) == 2


def test_what_cannot_be_drawn_is_said(fake_manifest: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "said.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n你好\n")
    title: dict[str, Any] = {"frames": 50, "captions": "said.srt"}
    assert render_inline(fake_manifest([title], burn_captions=True)) == 2
    assert "holds '你好', which the font of captions in the picture has not" in capsys.readouterr().err
    assert render_inline(fake_manifest([title])) == 0
