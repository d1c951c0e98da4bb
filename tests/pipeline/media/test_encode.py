"""Pictures into fragments."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from benchmarks.encode import measure
from pipeline.core.errors import DamagedObject, UserError
from pipeline.media.boxes import Joined, boxes, codec_string, payload
from pipeline.media.encode import (
    CODECS,
    EFFORTS,
    Encoding,
    Fragment,
    GopEncoder,
    decode_fragments,
    decode_frames,
    encode_gop,
    header_of,
)

ALL = list(CODECS)


def picture(number: int, width: int = 64, height: int = 64) -> np.ndarray:
    """yuv420p planes: a drifting texture whose top left block tells the frame's number."""
    rng = np.random.default_rng(7)
    planes = rng.integers(60, 180, (height * 3 // 2, width), dtype=np.uint8)
    planes = np.roll(planes, number, axis=1)
    for bit in range(8):
        planes[:16, bit * 8 : bit * 8 + 8] = 220 if number >> bit & 1 else 30
    return planes


def number_of(planes: np.ndarray) -> int:
    return sum((planes[4:12, bit * 8 + 2 : bit * 8 + 6].mean() > 125) << bit for bit in range(8))


def encoding(codec: str = "h264", size: int = 64, crf: int = 24, effort: str = "fast") -> Encoding:
    return Encoding(codec, size, size, crf, effort)


def gops(frames: int, codec: str = "h264", size: int = 64, effort: str = "fast") -> list[Fragment]:
    return [
        encode_gop(
            encoding(codec, size, effort=effort),
            first,
            (picture(k, size, size) for k in range(first, min(first + 48, frames))),
        )
        for first in range(0, frames, 48)
    ]


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("codec", ALL)
def test_joined_fragments_are_the_frames_in_order_at_uniform_times(codec: str, effort: str) -> None:
    fragments = gops(97, codec, effort=effort)
    assert [fragment.frames for fragment in fragments] == [48, 48, 1]
    assert len({fragment.init for fragment in fragments}) == 1
    frames = list(decode_frames(fragments[0].init, (fragment.data for fragment in fragments)))
    assert [frame.pts - frames[0].pts for frame in frames] == [512 * k for k in range(97)]
    assert {frame.time_base for frame in frames} == {Fraction(1, 12_800)}
    assert [number_of(frame.to_ndarray(format="yuv420p")) for frame in frames] == list(range(97))


def composition_times(fragment: bytes) -> list[int]:
    """Times of a fragment's pictures in decoding order, as a player computes them from `tfdt` and `trun`."""
    run = payload(fragment, "moof", "traf", "trun")
    flags, count = int.from_bytes(run[1:4], "big"), int.from_bytes(run[4:8], "big")
    start = int.from_bytes(payload(fragment, "moof", "traf", "tfdt")[4:], "big")
    at, step = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4), 4 * (flags & 0xF00).bit_count()
    if not flags & 0x800:
        return [start + 512 * k for k in range(count)]
    last = at + step - 4
    offsets = [int.from_bytes(run[last + k * step :][:4], "big", signed=True) for k in range(count)]
    return [start + 512 * k + offset for k, offset in enumerate(offsets)]


@pytest.mark.parametrize("codec", ALL)
def test_a_fragment_is_one_moof_at_its_decode_time(codec: str) -> None:
    for gop, fragment in enumerate(gops(98, codec)):
        times = composition_times(fragment.data)
        assert times == [24_576 * gop + 512 * k for k in range(fragment.frames)]
        assert [box.kind for box in boxes(fragment.data)] == ["moof", "mdat"]
        assert int.from_bytes(payload(fragment.data, "moof", "traf", "tfdt")[4:], "big") == 24_576 * gop
        assert [box.kind for box in boxes(fragment.init)] == ["ftyp", "moov"]
        trak = payload(fragment.init, "moov", "trak")
        assert "edts" not in [box.kind for box in boxes(trak)]


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("codec", ALL)
def test_the_init_segment_is_the_same_for_every_length_and_content(codec: str, effort: str) -> None:
    flat, told = np.full((96, 64), 120, np.uint8), encoding(codec, effort=effort)
    inits = {
        encode_gop(told, 48 * length, (picture(k) for k in range(length))).init
        for length in (range(1, 49) if (codec, effort) == ("h264", "fast") else (1, 2, 5, 17, 48))
    }
    inits.add(encode_gop(told, 0, [flat] * 7).init)
    assert len(inits) == 1


@pytest.mark.parametrize(("codec", "effort"), [("h264", "fast"), ("h264", "best"), ("hevc", "fast"), ("av1", "fast")])
def test_a_gop_is_the_same_alone_and_in_sequence(codec: str, effort: str) -> None:
    sequence = gops(144, codec, effort=effort)
    alone = encode_gop(encoding(codec, effort=effort), 48, [picture(k).tobytes() for k in range(48, 96)])
    assert alone == sequence[1]
    both = [hashlib.sha256(p).digest() for p in decode_fragments(alone.init, [f.data for f in sequence])]
    only = [hashlib.sha256(p).digest() for p in decode_fragments(alone.init, [alone.data])]
    assert only == both[48:96]


@pytest.mark.parametrize("codec", ALL)
def test_there_is_one_key_frame_and_colour_is_signalled(codec: str) -> None:
    cuts = (np.full((96, 64), 40 if k // 5 % 2 else 200, np.uint8) for k in range(48))  # a scene cut every 5 frames
    fragment = encode_gop(encoding(codec), 0, cuts)
    with av.open(io.BytesIO(fragment.init + fragment.data)) as container:
        context = container.streams.video[0].codec_context
        assert [packet.is_keyframe for packet in container.demux(video=0) if packet.size] == [True] + [False] * 47
        assert (context.color_range, context.colorspace) == (1, 1)
        assert (context.color_primaries, context.color_trc) == (1, 1)
    assert b"colrnclx\0\1\0\1\0\1\0" in fragment.init  # primaries, transfer, matrix 1; limited range
    frame = next(decode_frames(fragment.init, [fragment.data]))  # from the bitstream
    assert (frame.color_range, frame.colorspace) == (1, 1)


def test_the_encoder_takes_pictures_one_by_one() -> None:
    asked: list[int] = []

    def pictures() -> Iterator[np.ndarray]:
        for k in range(60):
            asked.append(k)
            yield picture(k)

    with pytest.raises(ValueError, match="more than 48"):
        encode_gop(encoding(), 0, pictures())
    assert asked == list(range(49))


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        encode_gop(encoding(), 0, [])
    with pytest.raises(ValueError, match="not at 47"):
        encode_gop(encoding(), 47, [picture(0)])
    with pytest.raises(ValueError, match=r"uint8\[96, 64\]"):
        encode_gop(encoding(), 0, [picture(0, 66, 64)])
    with pytest.raises(ValueError, match="float32"):
        encode_gop(encoding(), 0, [picture(0).astype(np.float32)])


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"codec": "vp9"}, "vp9.*h264, hevc, av1"), ({"width": 62}, "width: 62"), ({"height": 4098}, "4098.*4096"),
        ({"width": 65}, "even"), ({"crf": 0}, "crf: 0"), ({"crf": 52}, "1 .*51"), ({"effort": "x"}, "fast, good, best"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(changed: dict, text: str) -> None:
    with pytest.raises(UserError, match=text):
        Encoding(**{"codec": "h264", "width": 64, "height": 64, "crf": 20, **changed})


def test_more_effort_is_another_identity_and_the_least_is_what_it_always_was() -> None:
    for codec in ALL:
        identities = [encoding(codec, effort=effort).identity() for effort in EFFORTS]
        assert len({str(one) for one in identities}) == 3
        assert identities[0]["preset"] is None
        assert identities[0]["options"]["preset"] == {"h264": "veryfast", "hevc": "veryfast", "av1": "10"}[codec]
        assert "effort" not in identities[0]


@pytest.mark.parametrize("codec", ["h264", "av1"])  # x265 gains a twentieth at best, and on a film
def test_more_effort_takes_fewer_bytes_for_the_same_quality(codec: str) -> None:
    fast, good, best = (one["bytes_ratio_at_same_psnr"] for one in measure((codec,), (256,), EFFORTS, 24)["encodings"])
    assert fast == pytest.approx(1)
    assert 0.9 > good > best


def test_televisions_play_1920x1080_at_any_effort() -> None:
    """Level 4, which holds four pictures of that size."""
    for effort in EFFORTS:
        assert codec_string(header_of(Encoding("h264", 1920, 1080, 22, effort))) == "avc1.640028"


def test_the_identity_names_programs_and_options() -> None:
    builds = {codec: encoding(codec).build() for codec in ALL}
    assert "x264 - core" in builds["h264"]
    assert "x265 (build" in builds["hevc"]
    assert all(f"PyAV {av.__version__}" in build for build in builds.values())
    assert encoding("h264", crf=20).identity() != encoding("h264", crf=21).identity()


@pytest.mark.parametrize("codec", ALL)
def test_damage_is_found(codec: str) -> None:
    fragment = gops(48, codec)[0]
    with pytest.raises(DamagedObject):
        list(decode_fragments(b"", [fragment.data]))
    header = len(fragment.data) - len(payload(fragment.data, "mdat"))
    spoilt = bytearray(fragment.data)
    spoilt[header : header + 400] = bytes(400)
    with pytest.raises(DamagedObject):
        list(decode_fragments(fragment.init, [bytes(spoilt)]))


def test_codec_strings() -> None:
    names = {codec: codec_string(gops(1, codec, 128)[0].init) for codec in ALL}
    assert names["h264"].startswith("avc1.6400")
    assert names["hevc"].startswith("hvc1.1.6.L")
    assert names["av1"].startswith("av01.0.")
    with pytest.raises(KeyError):
        payload(gops(1)[0].init, "moov", "nix")


def test_boxes_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="claims"):
        boxes(gops(1)[0].data[:-1])


def test_joined_chunks_read_as_one() -> None:
    chunks = [b"", b"abc", b"", b"defgh", b"i"]
    assert Joined(chunks).read() == b"abcdefghi"
    assert io.BufferedReader(Joined(chunks)).read(5) == b"abcde"


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "level"), [("h264", "3C"), ("hevc", "L180"), ("av1", ".16M")])
def test_4096_is_level_6(codec: str, level: str) -> None:
    fragment = encode_gop(Encoding(codec, 4096, 4096, 30), 0, (picture(k, 4096, 4096) for k in range(2)))
    assert level in codec_string(fragment.init)
    assert [number_of(p) for p in decode_fragments(fragment.init, [fragment.data])] == [0, 1]


def moving(width: int, height: int, count: int) -> list[np.ndarray]:
    """Planes of a mosaic that is another one in every picture."""
    tiles = np.random.default_rng(0).integers(16, 235, (count, height * 3 // 16, width // 8), dtype=np.uint8)
    return [np.kron(one, np.ones((8, 8), np.uint8)) for one in tiles]


SHAPES = [("hevc", 64, 64), ("hevc", 64, 128), ("hevc", 128, 64), ("hevc", 80, 80), ("h264", 64, 64), ("av1", 64, 64)]


@pytest.mark.parametrize(
    ("codec", "width", "height", "effort"),
    [(*shape, "fast") for shape in SHAPES] + [(codec, 96, 96, effort) for codec in ALL for effort in EFFORTS[1:]],
)
def test_the_same_pictures_give_the_same_bits(codec: str, width: int, height: int, effort: str) -> None:
    """HEVC pictures of one block in height or width were others at every run."""
    pictures, found = moving(width, height, 16), set()
    for _ in range(4):
        encoder = GopEncoder(Encoding(codec, width, height, 22, effort), 0)
        for planes in pictures:
            encoder.add(planes)
        found.add(encoder.finish().data)
    assert len(found) == 1
