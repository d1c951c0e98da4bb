"""The finished file: exact in frames, samples and sync; marked; and what inspection finds in it."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import DamagedObject, LongtakeError
from pipeline.media.boxes import payload, top_boxes
from pipeline.media.encode import Encoding, encode_gop
from pipeline.media.final_file import NOTICE, SOURCE_TYPE, poster, provenance_xmp, read_xmp, write_final
from pipeline.media.inspect_media import count_frames, inspect
from pipeline.media.sound import write_sound
from pipeline.media.sound_in.probe import probe
from pipeline.media.tags import Chapter
from tests.pipeline.media.test_encode import encoding, gops, number_of
from tests.support.media_sources import clicks, decoded, peaks, program, sound

XMP = provenance_xmp("ab" * 32, 'Longtake 0.1.0 "<&>"')
PLACES = [0, 10_000, 92_160, 92_160 * 2 - 100]


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """97 frames of sound with clicks at PLACES."""
    folder = tmp_path_factory.mktemp("track")
    path = sound(folder / "a.wav", clicks(1920 * 97 - 700, PLACES, width=8), 48_000)
    return write_sound([path], [probe(path)], 97, folder).track


def _final(folder: Path, track: Path, codec: str = "h264", **options: object) -> Path:
    fragments = gops(97, codec)
    out = folder / "final.mp4"
    write_final(fragments[0].init, (f.data for f in fragments), track, out, **{"frames": 97, "xmp": XMP, **options})
    return out


def _numbers(path: Path) -> list[int]:
    """Frame numbers painted into the pictures, through the ffmpeg program; frames are neither doubled nor dropped."""
    raw = program("-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-")
    return [number_of(planes) for planes in np.frombuffer(raw, np.uint8).reshape(-1, 96, 64)]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_the_file_is_exact(tmp_path: Path, track: Path, codec: str) -> None:
    path = _final(tmp_path, track, codec)
    assert count_frames(path) == 97
    assert _numbers(path) == list(range(97))
    heard = decoded(path)[:, 0]
    assert len(heard) == 1920 * 97
    assert peaks(heard) == pytest.approx([place + 3.5 for place in PLACES], abs=5)
    facts = inspect(path)
    assert facts.faults == ()
    assert (facts.frames, facts.decoded, facts.codec) == (97, 97, codec)
    assert (facts.width, facts.height) == (64, 64)
    assert facts.audio_seconds == facts.video_seconds == Fraction(97, 25)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_pictures_and_sound_begin_together_for_every_reader(tmp_path: Path, track: Path, codec: str) -> None:
    path = _final(tmp_path, track, codec)
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time == 0
        times = sorted(p.pts for p in container.demux(video=0) if p.size)
        assert times == [512 * k for k in range(97)]
    # copied once more with both streams in one file, any offset between them would show
    program("-i", path, "-map", "0:v", "-map", "0:a", "-c:v", "copy", "-c:a", "pcm_s16le", tmp_path / "again.mkv")
    assert peaks(decoded(tmp_path / "again.mkv")[:, 0]) == pytest.approx([p + 3.5 for p in PLACES], abs=48)
    with av.open(str(tmp_path / "again.mkv")) as container:
        first = min(p.pts for p in container.demux(video=0) if p.size)
    assert first == 0


def test_it_starts_fast_and_says_how_it_was_made(tmp_path: Path, track: Path) -> None:
    chapters = [Chapter(0, 2000, "One; =1"), Chapter(2000, 9000, "Zwei ü")]
    path = _final(
        tmp_path, track, chapters=chapters, tags_found=[("title", "A#B"), ("artist", "Me"), ("comment", "mine")]
    )
    with path.open("rb") as stream:
        kinds = [box.kind for box in top_boxes(stream)]
    assert kinds.index("moov") < kinds.index("mdat")
    assert kinds[-1] == "uuid"
    packet = read_xmp(path)
    assert packet == XMP
    facts = {
        name.partition("}")[2]: value
        for element in ElementTree.fromstring(packet.decode().replace("\ufeff", "")).iter()
        for name, value in element.attrib.items()
    }
    assert facts["DigitalSourceType"] == SOURCE_TYPE
    assert facts["PlanHash"] == "ab" * 32
    assert facts["CreatorTool"] == 'Longtake 0.1.0 "<&>"'
    found = probe(path)
    assert found.chapters == (Chapter(0, 2000, "One; =1"), Chapter(2000, 3880, "Zwei ü"))
    assert dict(found.tags) == {"title": "A#B", "artist": "Me", "comment": f"{NOTICE}. mine"}
    assert inspect(path).faults == ()


def test_a_preview_is_a_prefix_with_its_sound(tmp_path: Path, track: Path) -> None:
    fragments = gops(97)
    for count in (1, 2):
        out = tmp_path / f"preview{count}.mp4"
        write_final(fragments[0].init, (f.data for f in fragments[:count]), track, out, frames=48 * count, xmp=XMP)
        assert _numbers(out) == list(range(48 * count))
        heard = decoded(out)[:, 0]
        assert len(heard) == 92_160 * count
        assert peaks(heard) == pytest.approx([p + 3.5 for p in PLACES if p < 92_160 * count], abs=5)
        assert inspect(out).faults == ()


@pytest.mark.parametrize("frames", [1, 2, 13, 48, 49, 96])
def test_every_length_is_exact(tmp_path: Path, frames: int) -> None:
    path = sound(tmp_path / "a.wav", clicks(640 * frames, [100]), 16_000)
    files = write_sound([path], [probe(path)], frames, tmp_path)
    fragments = gops(frames)
    out = tmp_path / "final.mp4"
    write_final(fragments[0].init, (f.data for f in fragments), files.track, out, frames=frames)
    facts = inspect(out)
    assert facts.faults == ()
    assert (facts.frames, facts.audio_seconds) == (frames, Fraction(frames, 25))
    assert read_xmp(out) is None


def test_the_same_parts_give_the_same_file(tmp_path: Path, track: Path) -> None:
    results = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        results.append(_final(tmp_path / name, track, chapters=[Chapter(0, 900, "a")]).read_bytes())
    assert results[0] == results[1]


def test_fragments_are_read_one_at_a_time(tmp_path: Path, track: Path) -> None:
    fragments = gops(97)
    alive: list[int] = []

    def read() -> Iterator[bytes]:
        for index, fragment in enumerate(fragments):
            alive.append(index)
            yield fragment.data

    write_final(fragments[0].init, read(), track, tmp_path / "final.mp4", frames=97)
    assert alive == [0, 1, 2]


def test_wrong_parts_are_refused_and_leave_nothing(tmp_path: Path, track: Path) -> None:
    fragments = gops(97)
    init, data = fragments[0].init, [f.data for f in fragments]
    out = tmp_path / "final.mp4"
    for parts, text in (
        (data[:2], "96 frames were joined, 97"),
        ([], "joined"),
        ([b"rubbish" * 100], "joined"),
    ):
        with pytest.raises(DamagedObject, match=text) as caught:
            write_final(init, parts, track, out, frames=97)
        assert str(tmp_path) not in str(caught.value)
        assert not out.exists()
    with pytest.raises(DamagedObject, match="joined"):
        write_final(init, data, tmp_path / "none.m4a", out, frames=97)

    def broken() -> Iterator[bytes]:
        yield data[0]
        raise LongtakeError("the store is gone")

    with pytest.raises(LongtakeError, match="the store is gone"):
        write_final(init, broken(), track, out, frames=97)
    assert not out.exists()


def test_inspection_finds_faults(tmp_path: Path, track: Path) -> None:
    fragments = gops(97)
    swapped = tmp_path / "swapped.mp4"
    program("-f", "lavfi", "-i", "testsrc=size=64x64:rate=24:duration=3", "-i", track, "-c:a", "copy", swapped)
    facts = inspect(swapped)
    assert any("shown at" in fault for fault in facts.faults)
    assert any("key frame" in fault for fault in facts.faults)
    assert any("lasts" in fault for fault in facts.faults)

    spoilt = _spoilt_key_frame(_final(tmp_path, track), fragments[1].data)
    assert any(re.search(r"near frame 4\d", fault) for fault in inspect(spoilt).faults)

    with pytest.raises(LongtakeError, match="cannot be opened"):
        inspect(_text(tmp_path / "text.mp4"))
    with pytest.raises(LongtakeError, match="no video"):
        inspect(track)


def _text(path: Path) -> Path:
    path.write_text("no video here " * 100)
    return path


def test_inspecting_borders_decodes_every_key_frame(tmp_path: Path) -> None:
    frames = 48 * 4 + 5
    path = sound(tmp_path / "a.wav", clicks(640 * frames, [100]), 16_000)
    files = write_sound([path], [probe(path)], frames, tmp_path)
    fragments = gops(frames)
    out = tmp_path / "final.mp4"
    write_final(fragments[0].init, (f.data for f in fragments), files.track, out, frames=frames)
    facts = inspect(out, decode="borders")
    assert facts.faults == ()
    assert (facts.frames, facts.decoded) == (frames, 48 + 3 + 5)
    spoilt = _spoilt_key_frame(out, fragments[2].data)
    assert any("frame 96" in fault for fault in inspect(spoilt, decode="borders").faults)


def _spoilt_key_frame(path: Path, fragment: bytes) -> Path:
    """A copy in which the first bytes of a GOP's key frame, a length, are overwritten."""
    data, key = path.read_bytes(), payload(fragment, "mdat")[:1500]
    assert data.count(key) == 1
    spoilt = path.with_stem("spoilt")
    spoilt.write_bytes(data.replace(key, b"\x7f" * 8 + key[8:]))
    return spoilt


def test_the_poster_is_the_first_frame_in_true_colours() -> None:
    # BT.709 limited range of the sRGB colour (200, 80, 40)
    luma, blue, red = 0.2126 * 200 + 0.7152 * 80 + 0.0722 * 40, 40, 200
    y, cb, cr = (
        16 + luma * 219 / 255, 128 + (blue - luma) / 1.8556 * 224 / 255, 128 + (red - luma) / 1.5748 * 224 / 255
    )  # fmt: skip
    planes = np.concatenate(
        [np.full((64, 64), round(y)), np.full((16, 64), round(cb)), np.full((16, 64), round(cr))]
    ).astype(np.uint8)
    fragment = encode_gop(Encoding("h264", 64, 64, 10), 0, [planes, np.zeros_like(planes)])
    data = poster(fragment.init, fragment.data, XMP)
    assert SOURCE_TYPE.encode() in data
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("JPEG", (64, 64))
        assert np.asarray(image)[32, 32] == pytest.approx([200, 80, 40], abs=5)
    with pytest.raises(DamagedObject):
        poster(encode_gop(encoding(), 0, [planes]).init, b"")
