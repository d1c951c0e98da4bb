"""What a finished file really holds: frames counted and decoded, times compared, sound measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import av
import av.error

from pipeline.core.errors import InputError, LongtakeError
from pipeline.core.timeline import FPS, GOP
from pipeline.media.encode import strict
from pipeline.media.sound_in.probe import probe


@dataclass(frozen=True)
class MediaFacts:
    """What was found; `faults` says in words what is not as it should be, empty for a good file."""

    codec: str
    width: int
    height: int
    frames: int
    decoded: int
    video_seconds: Fraction
    audio_seconds: Fraction
    faults: tuple[str, ...]


def count_frames(path: str | Path) -> int:
    """Frames of a file's video as its index lists them; nothing is decoded. Raises LongtakeError."""
    with _opened(Path(path)) as container:
        return container.streams.video[0].frames


def _opened(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path), "r", format="mp4")
    except (av.error.FFmpegError, OSError) as error:
        raise LongtakeError(f"{path.name}: cannot be opened as MP4 ({error.strerror}); publish it again") from None
    if not container.streams.video:
        container.close()
        raise LongtakeError(f"{path.name}: holds no video; publish it again")
    return container


def _check_times(container: av.container.InputContainer) -> tuple[int, list[str]]:
    """Number of frames, and the first that is shown at a wrong time or is a key frame in a wrong place.

    Frames are put in order GOP by GOP, because no GOP refers to another: hours of them are never held.
    """
    stream = container.streams.video[0]
    assert stream.time_base is not None
    count, late, keys = 0, "", ""
    packets = (p for p in container.demux(stream) if p.size and p.pts is not None)
    while gop := sorted((p.pts or 0, p.is_keyframe) for p in islice(packets, GOP)):
        for index, (pts, key) in enumerate(gop, count):
            time = pts * stream.time_base
            if time != Fraction(index, FPS) and not late:
                late = f"frame {index} is shown at {float(time):.4f} s, expected at {index / FPS:.2f} s"
            if key != (index % GOP == 0) and not keys:
                keys = f"frame {index} is {'' if key else 'not '}a key frame, every {GOP}th should be"
        count += len(gop)
    return count, [fault for fault in (late, keys) if fault]


def inspect(path: str | Path, decode: Literal["all", "borders"] = "all", sound: bool = True) -> MediaFacts:
    """Reads a finished file. `borders` decodes the key frame of every GOP, and the first and the last GOP whole.

    Raises LongtakeError only for what is not an MP4 with video; every other fault is listed.
    """
    path = Path(path)
    with _opened(path) as container:
        context = container.streams.video[0].codec_context
        frames, faults = _check_times(container)
        size = (context.codec.canonical_name, context.width, context.height)
    decoded, said = _decode(path, frames, decode)
    faults += said
    heard = Fraction(0)
    if sound:
        try:
            facts = probe(path)
            heard = Fraction(facts.samples, facts.rate)
        except InputError as error:
            faults.append(str(error))
        seen = Fraction(frames, FPS)
        if heard and abs(heard - seen) > Fraction(1, FPS):
            faults.append(f"video lasts {float(seen):.3f} s and sound {float(heard):.3f} s")
    return MediaFacts(*size, frames, decoded, Fraction(frames, FPS), heard, tuple(faults))


def _decode(path: Path, frames: int, which: str) -> tuple[int, list[str]]:
    """Number of decoded frames, and what went wrong."""
    gops = range(0, frames, GOP)
    short = which == "borders" and len(gops) > 2
    count = 0
    with _opened(path) as container:
        stream = container.streams.video[0]
        strict(stream.codec_context)
        at = 0
        try:
            if not short:
                for frame in container.decode(stream):
                    if frame.is_corrupt or frame.time is None or round(frame.time * FPS) != count:
                        return count, [f"frame {count} is damaged or out of order"]
                    count += 1
            else:
                assert stream.time_base is not None
                for at in gops:
                    whole = at in (gops[0], gops[-1])
                    container.seek(int(Fraction(at, FPS) / stream.time_base), stream=stream)
                    wanted = min(GOP, frames - at) if whole else 1
                    for offset, frame in zip(range(wanted), container.decode(stream), strict=False):
                        if frame.is_corrupt or frame.time is None or round(frame.time * FPS) != at + offset:
                            return count, [f"frame {at + offset} is damaged or out of order"]
                        count += 1
        except av.error.FFmpegError as error:
            return count, [f"decoding failed near frame {max(at, count) if short else count} ({error.strerror})"]
    expected = frames if not short else len(gops) - 2 + GOP + frames - gops[-1]
    return count, [] if count == expected else [f"{count} frames could be decoded, {expected} were expected"]


def cues_in(container: av.container.InputContainer) -> Iterator[tuple[Fraction, Fraction, str]]:
    """(start, end, text) of what the file's text track shows; seconds. Between cues the track holds empty ones."""
    for stream in container.streams.subtitles[:1]:
        assert stream.time_base is not None
        for packet in container.demux(stream):
            text = bytes(packet)[2 : 2 + int.from_bytes(bytes(packet)[:2], "big")].decode("utf-8", "replace")
            if text and packet.pts is not None:
                start = packet.pts * stream.time_base
                yield start, start + (packet.duration or 0) * stream.time_base, text
