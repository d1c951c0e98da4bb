"""The watermark: not seen, read back after what platforms do to a video, and never found where there is none."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.watermark.clips import Clip, drawn, gradient, mosaic, noise, photograph, planes_of, speaking, still
from pipeline import detect
from pipeline.core.timeline import GOP
from pipeline.media import ffmpeg
from pipeline.media.encode import Encoding, encode_gop
from pipeline.provenance.watermark import KEY, SMALLEST, Watermark, key_name
from pipeline.provenance.watermark_code import CODED_BITS, decode, encode, payload_of
from pipeline.provenance.watermark_read import Seen, read_mark

PAYLOAD = payload_of("title", "hash")
CROPPED = "crop=iw*0.9:ih*0.9:iw*0.03:ih*0.06"


def luma_of(planes: np.ndarray) -> np.ndarray:
    return planes[: planes.shape[0] * 2 // 3]


def marked(frames: Iterable[np.ndarray], payload: str = PAYLOAD, key: str = "longtake") -> list[np.ndarray]:
    out = [planes.copy() for planes in frames]
    mark = Watermark(payload, *luma_of(out[0]).shape, key=key)
    for planes in out:
        mark.mark(planes)
    return out


def seen_of(frames: Iterable[np.ndarray]) -> Seen:
    seen = Seen()
    for planes in frames:
        seen.add(luma_of(planes))
    return seen


def saved(frames: list[np.ndarray], path: Path) -> Path:
    height, width = luma_of(frames[0]).shape
    with path.open("wb") as file:
        for first in range(0, len(frames), GOP):
            fragment = encode_gop(Encoding("h264", width, height, 20), first, frames[first : first + GOP])
            file.write(fragment.data if first else fragment.init + fragment.data)
    return path


def treated(source: Path, filters: str) -> Path:
    target = source.with_name("treated.mp4")
    command = [ffmpeg.binary(), "-v", "error", "-y", "-i", source, "-vf", filters, "-c:v", "libx264", "-crf", "28"]
    subprocess.run([*command, "-threads", "2", target], check=True)
    return target


@given(st.binary(min_size=6, max_size=6), st.integers(0, 2**32 - 1))
def test_the_code_survives_noise_and_knows_when_it_does_not(data: bytes, seed: int) -> None:
    rng, bits = np.random.default_rng(seed), encode(data.hex())
    assert len(bits) == CODED_BITS
    assert decode(bits + 0.6 * rng.standard_normal(CODED_BITS)) == data.hex()
    assert decode(rng.standard_normal(CODED_BITS)) is None


def test_a_payload_is_12_digits() -> None:
    assert payload_of("a", "b") != payload_of("ab", "")
    assert len(payload_of("a")) == 12
    with pytest.raises(ValueError, match="12 hexadecimal digits"):
        encode("abcd")


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_the_mark_cannot_be_seen_and_is_bit_for_bit_the_same(size: int) -> None:
    planes = planes_of(photograph(size))
    one, two = marked([planes, planes])
    assert np.array_equal(one, two)
    assert np.array_equal(one[size:], planes[size:])  # colour is left alone
    change = luma_of(one).astype(int) - luma_of(planes)
    assert 10 * np.log10(255**2 / np.mean(change**2)) > 44
    assert np.abs(change).max() <= 8
    assert luma_of(one).min() >= 16
    assert luma_of(one).max() <= 235


@pytest.mark.parametrize("size", [256, 1024])
def test_where_everything_hides_a_mark_it_is_still_no_stronger(size: int) -> None:
    (planes,) = noise(size, 30, True)(1)
    (one,) = marked([planes])
    change = luma_of(one).astype(int) - luma_of(planes)
    assert 44 < 10 * np.log10(255**2 / np.mean(change**2)) < 45


def test_the_bits_of_a_mark_are_these() -> None:
    """A change here is another mark: raise the revision of the stream."""
    rows, columns = np.mgrid[0:400, 0:300]
    planes = np.full((600, 300), 128, np.uint8)
    planes[:400] = 60 + (rows * columns // 700 + rows % 7 * (columns > 150)) % 120
    Watermark("0123456789ab", 400, 300).mark(planes)
    assert hashlib.sha256(planes).hexdigest()[:16] == "378711c5f2f342ae"


def test_frames_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match=f"needs {SMALLEST} pixels"):
        Watermark(PAYLOAD, 1024, SMALLEST - 2)


@pytest.mark.parametrize(
    "filters",
    [
        f"{CROPPED},scale=trunc(iw/4)*2:-2",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("null", "scale=iw/2:ih/2", CROPPED, "hflip")),
    ],
)
def test_a_photograph_that_speaks_is_read_after(filters: str, tmp_path: Path) -> None:
    source = saved(marked(speaking(photograph(1024))(6)), tmp_path / "marked.mp4")
    reading = detect.find_mark(treated(source, filters), "longtake")
    assert reading is not None
    assert reading.payload == PAYLOAD
    assert reading.scale == pytest.approx(0.9 if "crop" in filters else 1, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "frames"), [(speaking(photograph(512)), 50), (mosaic(1024), 250)])
def test_the_hardest_clips_are_read_after_a_crop_and_half_the_size(clip: Clip, frames: int, tmp_path: Path) -> None:
    """230 pixels, of which compression leaves little; and squares that are others in every frame."""
    source = saved(marked(clip(frames)), tmp_path / "marked.mp4")
    reading = detect.find_mark(treated(source, f"{CROPPED},scale=trunc(iw/4)*2:-2"), "longtake")
    assert reading is not None
    assert reading.payload == PAYLOAD
    assert reading.scale == pytest.approx(0.9, abs=0.01)


def test_a_wide_frame_is_marked_as_a_whole() -> None:
    rng = np.random.default_rng(1)
    wide = np.full((540, 640), 90, np.uint8)  # 640x360
    wide[:360, 140:500] = cv2.resize(rng.integers(40, 200, (9, 9), dtype=np.uint8), (360, 360))
    frame = marked([wide])[0]
    for part in (frame[:360], frame[:360, :360], frame[:360, 280:]):
        seen = Seen()
        seen.add(np.ascontiguousarray(part))
        reading = read_mark(seen)
        assert reading
        assert reading.payload == PAYLOAD


def test_nothing_is_found_where_there_is_no_mark_or_another_key() -> None:
    clips = [speaking(photograph(512), noise=2), still(drawn(3, 512)), gradient(512, True), noise(512, 10, True)]
    for clip in clips:
        assert read_mark(seen_of(clip(4))) is None
    other = seen_of(marked(still(photograph(512))(1), key="my own"))
    assert read_mark(other) is None
    reading = read_mark(other, "my own")
    assert reading
    assert reading.payload == PAYLOAD
    assert key_name("my own") not in ("public", "my own")
    assert key_name("longtake") == "public"


def test_detect_says_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = list(still(photograph(512))(5))
    plain, good = saved(frames, tmp_path / "plain.mp4"), saved(marked(frames), tmp_path / "good.mp4")
    (tmp_path / "out" / "talk" / "chain").mkdir(parents=True)
    (tmp_path / "out" / "talk" / "provenance.json").write_text(f'{{"watermark": {{"payload": "{PAYLOAD}"}}}}')
    assert detect.run([str(good), "--in", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith(f"{PAYLOAD}, title talk (confidence ")
    assert detect.run([str(good), "--json"]) == 0
    assert f'"payload": "{PAYLOAD}"' in capsys.readouterr().out
    assert detect.run([str(plain)]) == 1
    assert "no watermark found" in capsys.readouterr().out
    monkeypatch.setenv(KEY, "another key")
    assert detect.run([str(good)]) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("text.mp4", b"not a video" * 99), ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nplain.mp4\n"), ("empty.mp4", b"")],
)
def test_detect_refuses_what_is_no_video(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(list(islice(still(photograph(256))(2), 2)), tmp_path / "plain.mp4")
    (tmp_path / name).write_bytes(content)
    assert detect.run([str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert "Traceback" not in said
