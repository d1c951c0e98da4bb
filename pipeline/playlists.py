"""HLS playlists as text: what is committed, by relative URI, nothing copied (RFC 8216, version 7 for fragmented MP4).

While a title renders its media playlists are of type EVENT: they are only ever appended to. They end when it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from pipeline.timeline import FPS, GOP

TARGET = 2  # seconds; a GOP lasts 1.92
AAC = "mp4a.40.2"


def video_playlist(frames: int, init: str, fragments: Sequence[str], ended: bool) -> str:
    """The first GOPs of a title of `frames` frames: one URI for each, and the init segment's."""
    lines = [*_head(), f'#EXT-X-MAP:URI="{init}"']
    for gop, uri in enumerate(fragments):
        lines += [_duration(gop, frames), uri]
    return _text(lines, ended)


def audio_playlist(frames: int, uri: str, init_bytes: int, ranges: Sequence[tuple[int, int]], ended: bool) -> str:
    """The sound of the same GOPs: (offset, size) of each in one file, whose first bytes are the init segment."""
    lines = [*_head(), f'#EXT-X-MAP:URI="{uri}",BYTERANGE="{init_bytes}@0"']
    for gop, (offset, size) in enumerate(ranges):
        lines += [_duration(gop, frames), f"#EXT-X-BYTERANGE:{size}@{offset}", uri]
    return _text(lines, ended)


def master_playlist(video: str, audio: str, codec: str, resolution: int, bandwidth: int) -> str:
    """The multivariant playlist; `codec` as RFC 6381 names it, `bandwidth` bits a second at most."""
    return "\n".join(
        [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,URI="{audio}"',
            f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS="{codec},{AAC}",'
            f'RESOLUTION={resolution}x{resolution},FRAME-RATE={FPS}.000,AUDIO="sound"',
            video,
            "",
        ]
    )


def _head() -> list[str]:
    return [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{TARGET}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]


def _duration(gop: int, frames: int) -> str:
    seconds = Fraction(min(GOP, frames - gop * GOP), FPS)
    return f"#EXTINF:{float(seconds):.5f},"


def _text(lines: list[str], ended: bool) -> str:
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""])
