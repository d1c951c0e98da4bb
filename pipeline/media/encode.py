"""Pictures into fragments: a fresh encoder for every GOP, in process, so that a fragment depends on its frames alone.

A fragment is one `moof` with its `mdat` (CMAF): it begins with the GOP's only key frame, shows pictures in the order of
decoding, has no edit list, a clock of 12,800 a second and decode time 24,576·g. The init segment is the same for every
GOP of a title, whatever its length, so fragments join by putting them one after the other.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import av.error
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from pipeline.core.errors import DamagedObject, UserError
from pipeline.core.timeline import FPS, GOP, VIDEO_TIMESCALE
from pipeline.media import thread_policy
from pipeline.media.boxes import Joined, boxes

os.environ.setdefault("SVT_LOG", "1")  # errors only: the AV1 encoder prints its settings for every GOP otherwise

SMALLEST, LARGEST = 64, 4096
THREADS = 4  # fixed: the number of threads changes the bits of x264, and this one is good for 2 to 16 cores
DELAY = 8  # frames; more than any encoder here reorders
# No B-frames: players built on libavformat show fragments with composition offsets two frames late against the sound.
_ONE_KEY = f"scenecut=0:bframes=0:keyint={GOP}:min-keyint={GOP}"


@dataclass(frozen=True)
class Codec:
    """An encoder of the AV library: its preset for each effort, and in `params` what holds for every title."""

    encoder: str
    tag: str
    presets: dict[str, str]
    crf: int
    worst_crf: int
    params: tuple[str, str]


EFFORTS = ("fast", "good", "best")
CODECS = {
    "h264": Codec(
        "libx264", "avc1", {"fast": "veryfast", "good": "medium", "best": "slow"}, 18, 51,
        ("x264-params", f"cpu-independent=1:{_ONE_KEY}"),
    ),
    "hevc": Codec(
        "libx265", "hvc1", {"fast": "veryfast", "good": "medium", "best": "slow"}, 20, 51,
        # pools follows the machine's cores otherwise, and frame-threads follows pools
        ("x265-params", f"log-level=error:open-gop=0:pools={THREADS}:frame-threads=2:{_ONE_KEY}"),
    ),
    "av1": Codec(
        "libsvtav1", "av01", {"fast": "10", "good": "8", "best": "6"}, 30, 63,
        # two lanes and a pyramid of 3 levels hold 2.5 GB at 4096², four lanes and the default pyramid 4.3 GB
        ("svtav1-params", f"scd=0:keyint={GOP}:lp=2:hierarchical-levels=3"),
    ),
}  # fmt: skip


# Reference pictures: with x264's own five 1920x1080 would be above level 4, where players of televisions stop.
_FOUR_BACK = ":ref=4"
_ONE_BLOCK = 64  # pixels; x265 gives other bits at every run where an edge is a single block of its usual size


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded. Raises UserError for what cannot be."""

    codec: str
    width: int
    height: int
    crf: int
    effort: str = "fast"

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UserError(f"codec: {self.codec!r} is unknown; choose one of {', '.join(CODECS)}")
        for name, edge in (("width", self.width), ("height", self.height)):
            if not SMALLEST <= edge <= LARGEST or edge % 2:
                raise UserError(f"{name}: {edge} pixels; even numbers from {SMALLEST} to {LARGEST} can be encoded")
        codec = CODECS[self.codec]
        if not 1 <= self.crf <= codec.worst_crf:
            raise UserError(
                f"crf: {self.crf}; {self.codec} takes 1 (best, large) to {codec.worst_crf}, usual is {codec.crf}"
            )
        if self.effort not in EFFORTS:
            raise UserError(f"effort: {self.effort!r} is unknown; choose one of {', '.join(EFFORTS)}")

    def options(self) -> dict[str, str]:
        """Everything that the encoder is told."""
        codec = CODECS[self.codec]
        name, params = codec.params
        if self.codec == "hevc" and min(self.width, self.height) <= _ONE_BLOCK:
            params += ":ctu=32"
        if self.codec == "h264" and self.effort == "best":
            params += _FOUR_BACK
        return {"crf": str(self.crf), "preset": codec.presets[self.effort], name: params}

    def build(self) -> str:
        """The programs that make the bits, with their versions: part of the stream hash."""
        return _build(self.codec)

    def identity(self) -> dict[str, object]:
        """All that the encoded bytes depend on besides the pictures, as plain data for the stream hash.

        The effort shows in the options. `preset` was another way to name it, which no title ever used: its empty place
        stays, so that hashes do.
        """
        size = {"codec": self.codec, "width": self.width, "height": self.height, "crf": self.crf, "preset": None}
        return {**size, "options": self.options(), "threads": THREADS, "build": self.build()}


@dataclass(frozen=True)
class Fragment:
    init: bytes
    data: bytes
    frames: int


def _video_frame(planes: bytes | np.ndarray, encoding: Encoding) -> av.VideoFrame:
    """One picture from yuv420p planes: uint8 [height·3/2, width], or the same as bytes."""
    shape = (encoding.height * 3 // 2, encoding.width)
    array = np.frombuffer(planes, np.uint8) if isinstance(planes, bytes | bytearray | memoryview) else planes
    if array.dtype != np.uint8 or array.size != shape[0] * shape[1]:
        raise ValueError(f"planes are {array.dtype}{list(array.shape)}, uint8{list(shape)} is needed")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array).reshape(shape), format="yuv420p")
    frame.color_range, frame.colorspace = ColorRange.MPEG, Colorspace.ITU709
    frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return frame


class GopEncoder:
    """An encoder for one GOP, fed picture by picture, so that several sizes can be made of the same pictures."""

    def __init__(self, encoding: Encoding, first_frame: int):
        if first_frame % GOP:
            raise ValueError(f"a GOP begins at a multiple of {GOP} frames, not at {first_frame}")
        self._encoding, self._first = encoding, first_frame
        self._count = self._written = 0
        codec, self._buffer = CODECS[encoding.codec], io.BytesIO()
        options = {
            "movflags": "cmaf+frag_discont+frag_keyframe+empty_moov+skip_sidx+skip_trailer",
            "video_track_timescale": str(VIDEO_TIMESCALE), "fflags": "+bitexact",
        }  # fmt: skip
        self._container = av.open(self._buffer, "w", format="mp4", options=options)
        stream = self._container.add_stream(codec.encoder, rate=FPS, options=encoding.options())
        assert isinstance(stream, av.VideoStream)
        self._stream, context = stream, stream.codec_context
        context.width, context.height, context.pix_fmt = encoding.width, encoding.height, "yuv420p"
        context.sample_aspect_ratio = Fraction(1)
        context.time_base = stream.time_base = Fraction(1, FPS)
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.gop_size, context.thread_count, context.codec_tag = GOP, THREADS, codec.tag

    def add(self, planes: bytes | np.ndarray) -> None:
        """The next picture: yuv420p planes, uint8 [height·3/2, width]."""
        frame = _video_frame(planes, self._encoding)
        frame.pts, frame.time_base = self._first + self._count, Fraction(1, FPS)
        self._count += 1
        if self._count > GOP:
            raise ValueError(f"more than {GOP} pictures for the GOP at frame {self._first}")
        if self._count > 1:
            packets = self._stream.encode(frame)
        else:  # the first picture opens the encoder, and the AV1 one would take the whole machine
            with thread_policy.same_thread_policy():
                packets = self._stream.encode(frame)
        self._write(packets)

    def finish(self) -> Fragment:
        if not self._count:
            raise ValueError(f"no pictures for the GOP at frame {self._first}")
        self._write(self._stream.encode(None))
        self._container.close()
        data = self._buffer.getvalue()
        starts = [box.offset for box in boxes(data) if box.kind == "moof"]
        made = (len(starts), self._written)
        assert made == (1, self._count), f"{made[0]} fragments, {made[1]} packets of {self._count} pictures"
        return Fragment(data[: starts[0]], data[starts[0] :], self._count)

    def close(self) -> None:
        """Lets go of what an encoder holds that is not finished; harmless after `finish`."""
        self._container.close()

    def _write(self, packets: list[av.Packet]) -> None:
        # Decode times are counted here: x265 makes up random ones for a GOP as short as its own delay. The muxer
        # moves them so that the first is the key frame's own time, whatever DELAY is.
        for packet in packets:
            packet.dts = self._first + self._written - DELAY
            self._written += 1
            self._container.mux(packet)


def encode_gop(encoding: Encoding, first_frame: int, planes: Iterable[bytes | np.ndarray]) -> Fragment:
    """Encodes the GOP that begins at `first_frame` from 1 to 48 pictures of yuv420p (BT.709, limited range).

    Pictures are taken one by one, so the caller may make them as they are asked for; the encoder itself looks ahead.
    """
    with closing(GopEncoder(encoding, first_frame)) as encoder:
        for picture in planes:
            encoder.add(picture)
        return encoder.finish()


def header_of(encoding: Encoding) -> bytes:
    """The header that all fragments of this encoding follow, whatever their pictures: of one grey picture."""
    grey = np.full((encoding.height * 3 // 2, encoding.width), 128, np.uint8)
    return encode_gop(encoding, 0, [grey]).init


@lru_cache
def _build(codec: str) -> str:
    libraries = " ".join(
        f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libavformat")
    )
    # x264 and x265 sign their streams; the AV1 encoder does not, its version is the one that PyAV was built with
    grey = np.full((96, 64), 128, np.uint8)
    sample = encode_gop(Encoding(codec, 64, 64, CODECS[codec].crf), 0, [grey])
    signature = re.search(rb"x26[45] [ -~]*? - (?=H\.26)", sample.init + sample.data)
    encoder = signature[0].decode().removesuffix(" - ") if signature else CODECS[codec].encoder
    return f"PyAV {av.__version__}, {libraries}, {encoder}"


def decode_fragments(init: bytes, fragments: Iterable[bytes]) -> Iterator[np.ndarray]:
    """Pictures of joined fragments in order, each uint8 [height·3/2, width] (yuv420p). Raises DamagedObject."""
    for frame in decode_frames(init, fragments):
        yield frame.to_ndarray(format="yuv420p")


def decode_frames(init: bytes, fragments: Iterable[bytes]) -> Iterator[av.VideoFrame]:
    """The same as frames of the AV library, with their times."""

    def chunks() -> Iterator[bytes]:
        yield init
        yield from fragments

    try:
        with av.open(io.BufferedReader(Joined(chunks())), "r", format="mp4") as container:
            stream = container.streams.video[0]
            strict(stream.codec_context)
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise DamagedObject(f"picture {frame.pts} of a fragment is damaged; remove it and render again")
                yield frame
    except (av.error.FFmpegError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "no video in it"
        raise DamagedObject(f"fragments cannot be decoded ({reason}); remove them and render again") from None


def strict(context: av.VideoCodecContext) -> None:
    """Makes a decoder fail where it would conceal damage."""
    context.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
    context.thread_type, context.thread_count = "AUTO", THREADS
