"""HLS playlists as text: video, sound, and the one that names both (RFC 8216, protocol version 7).

Every playlist of a prefix of GOPs is complete in itself, and the next one only adds lines: a player may read any of
them at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from pipeline.core.timeline import FPS, GOP
from pipeline.media.tags import Chapter

_START = datetime(2000, 1, 1, tzinfo=UTC)  # date ranges need dates; this one stands for the beginning of every title
_TARGET = -(-GOP // FPS)  # seconds, whole and never less than a segment; the same however short the last GOP is


def _uri(path: str) -> str:
    """A relative path as URI; a colon would make its first part look like a scheme."""
    if path.startswith("/") or "://" in path:
        raise ValueError(f"{path!r}: playlists point at files by relative paths")
    return quote(path, safe="/")


def _playlist(header: Sequence[str], segments: Sequence[Sequence[str]], finished: bool) -> str:
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{_TARGET}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        *header,
        f"#EXT-X-PROGRAM-DATE-TIME:{_date(0)}",
        *(line for segment in segments for line in segment),
        *(["#EXT-X-ENDLIST"] if finished else []),
    ]
    return "\n".join(lines) + "\n"


def _date(milliseconds: int) -> str:
    return (_START + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(text: str) -> str:
    """A text inside the quotes of an attribute, which has no way to write quotes and line breaks."""
    return "".join(c if c.isprintable() else " " for c in text.replace('"', "'"))


def _chapter(number: int, chapter: Chapter) -> str:
    length = (chapter.end - chapter.start) / 1000
    return (
        f'#EXT-X-DATERANGE:ID="chapter-{number}",CLASS="chapter",START-DATE="{_date(chapter.start)}",'
        f'DURATION={length:.3f},X-TITLE="{_quoted(chapter.title)}"'
    )


def _duration(frames: int) -> str:
    return f"#EXTINF:{frames / FPS:g},"  # exact: a frame is 0.04 s


def video_playlist(
    init: str, fragments: Sequence[tuple[str, int]], finished: bool, chapters: Sequence[Chapter] = ()
) -> str:
    """`fragments` are (relative path, frames) of the contiguous committed GOPs from 0 on; `init` is a relative path.

    Chapters stand there as date ranges from the first playlist on, so that it only grows at its end.
    """
    segments = [(_duration(frames), _uri(path)) for path, frames in fragments]
    marks = (_chapter(number, chapter) for number, chapter in enumerate(chapters, 1))
    return _playlist([f'#EXT-X-MAP:URI="{_uri(init)}"', *marks], segments, finished)


def sound_playlist(
    path: str, init_bytes: int, ranges: Sequence[tuple[int, int]], frames: Sequence[int], finished: bool
) -> str:
    """The sound of as many GOPs as `frames` lists; `ranges` are (offset, size) of all GOPs in the one file `path`."""
    uri = _uri(path)
    segments = _parts(path, ranges, frames)
    if len(segments) < len(frames):
        raise ValueError(f"sound of {len(ranges)} GOPs for {len(frames)} GOPs of video")
    return _playlist([f'#EXT-X-MAP:URI="{uri}",BYTERANGE="{init_bytes}@0"'], segments, finished)


def captions_playlist(path: str, ranges: Sequence[tuple[int, int]], frames: Sequence[int], finished: bool) -> str:
    """The captions of as many GOPs as `frames` lists; `ranges` are (offset, size) of all GOPs in the file `path`."""
    return _playlist([], _parts(path, ranges, frames), finished)


def _parts(path: str, ranges: Sequence[tuple[int, int]], frames: Sequence[int]) -> list[list[str]]:
    """Segments that are ranges of one file."""
    uri = _uri(path)
    return [
        [_duration(count), f"#EXT-X-BYTERANGE:{size}@{offset}", uri]
        for count, (offset, size) in zip(frames, ranges, strict=False)
    ]


@dataclass(frozen=True)
class Variant:
    """A video of the multivariant playlist; `codec` is `boxes.codec_string(init)`, `bits` are those of `bit_rates`."""

    path: str
    codec: str
    width: int
    height: int
    bits: tuple[int, int]


def index_playlist(
    video: str,
    sound: str,
    *,
    codec: str,
    width: int,
    height: int,
    channels: int,
    video_bits: tuple[int, int],
    sound_bits: tuple[int, int],
    name: str = "Speech",
    language: str = "und",
    captions: str | None = None,
    smaller: Sequence[Variant] = (),
) -> str:
    """The multivariant playlist; `codec` is `boxes.codec_string(init)`, `…_bits` are (peak, average) of `bit_rates`."""
    label = _quoted(name)
    group = ',SUBTITLES="captions"' if captions else ""
    spoken = f'LANGUAGE="{_quoted(language)}",' if language != "und" else ""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="{label}",{spoken}DEFAULT=YES,AUTOSELECT=YES,'
        f'CHANNELS="{channels}",URI="{_uri(sound)}"',
    ]
    for one in (Variant(video, codec, width, height, video_bits), *smaller):
        peak, average = one.bits[0] + sound_bits[0], one.bits[1] + sound_bits[1]
        lines += [
            f'#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS="{one.codec},mp4a.40.2",'
            f'RESOLUTION={one.width}x{one.height},FRAME-RATE={FPS:.3f},AUDIO="sound"{group}',
            _uri(one.path),
        ]
    if captions:
        lines.insert(
            4,
            f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",NAME="Captions",{spoken}DEFAULT=NO,AUTOSELECT=YES,'
            f'FORCED=NO,URI="{_uri(captions)}"',
        )
    return "\n".join(lines) + "\n"


def bit_rates(sizes: Sequence[int], frames: Sequence[int]) -> tuple[int, int]:
    """(peak, average) bits a second of GOPs of these bytes and frames; a short last GOP does not make the peak."""
    if not sizes:
        return 1, 1
    whole = [size for size, count in zip(sizes, frames, strict=True) if count == GOP] or [sum(sizes)]
    peak = -(-max(whole) * 8 * FPS // GOP)
    return peak, min(peak, -(-sum(sizes) * 8 * FPS // sum(frames)))
