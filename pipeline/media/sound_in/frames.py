"""Streams of frames without a container (MPEG audio, ADTS, AC-3, AMR, WavPack): every frame found by its own length.

What lies between frames is told apart: a tag, zeros or text is no sound and is left out; anything else stays where it
is, and the decoder stops there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.media.sound_in.byte_layout import BLOCK, ByteLayout, FileView, Part
from pipeline.media.sound_in.no_sound import is_text, no_sound_at

FrameLength = Callable[[bytes], int]
"""First bytes of a frame → its length in bytes, 0 where no frame begins."""

OUT = ": no sound, left out"
HEAD = 64  # bytes that are enough to know a frame by, and all of an AMR frame
SURE = 3  # frames in a row that are no accident
FAR = 1 << 16  # bytes of text or zeros before the first frame
MOST_RUNS = 10_000  # of frames; a file with more pieces is left to the decoder

_STARTS = (b"\xff", b"\x0b", b"w")
_BEGINS = re.compile(rb"\xff|\x0b\x77|wvpk|ID3[\x02-\x04]|TAG|APETAGEX|LYRICSBEGIN|\0{16}")
_TAGS = re.compile(rb"ID3[\x02-\x04]|TAG|APETAGEX|LYRICSBEGIN")
_LAYERS = {3: 1, 2: 2, 1: 3}
_BITRATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_AC3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AMR = {b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6), b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)}


def mpeg_length(head: bytes) -> int:
    """MPEG audio of layers 1 to 3."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, _LAYERS.get(head[1] >> 1 & 3)
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer is None or bitrate in (0, 15) or rate == 3:
        return 0
    bits = _BITRATES[1 if version == 3 else 2, layer][bitrate - 1] * 1000
    hertz, padding = _RATES[version][rate], head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def adts_length(head: bytes) -> int:
    """AAC in ADTS."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


def ac3_length(head: bytes) -> int:
    """AC-3 and E-AC-3."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return 0
    if head[5] >> 3 > 10:
        return (((head[2] & 7) << 8 | head[3]) + 1) * 2 if head[5] >> 3 <= 16 else 0
    rate, code = head[4] >> 6, head[4] & 63
    if rate == 3 or code > 37:
        return 0
    kilobits = _AC3[code >> 1]
    return (kilobits * 4, (kilobits * 96_000 // 44_100 + (code & 1)) * 2, kilobits * 6)[rate]


def wavpack_length(head: bytes) -> int:
    return int.from_bytes(head[4:8], "little") + 8 if head[:4] == b"wvpk" and len(head) >= 32 else 0


def amr_length(sizes: tuple[int, ...]) -> FrameLength:
    def length(head: bytes) -> int:
        if not head or head[0] & 0x83:
            return 0
        kind = head[0] >> 3
        size = sizes[kind] if kind < len(sizes) else (1 if kind >= 14 else 0)
        return size if any(head[:size]) else 0

    return length


# What decoders expect behind the last frame.
_USUAL: dict[FrameLength, tuple[str, ...]] = {
    mpeg_length: ("an ID3v1 tag", "an APE tag"), adts_length: ("an ID3v1 tag",), wavpack_length: ("an APE tag",),
}  # fmt: skip


def _xing(head: bytes) -> int:
    """Frames that the first frame of an MP3 file says follow it, 0 where it says nothing."""
    for at in (36, 21, 13):
        if head[at : at + 4] in (b"Xing", b"Info"):
            return int.from_bytes(head[at + 8 : at + 12], "big") if head[at + 7] & 1 else 0
    return int.from_bytes(head[50:54], "big") if head[36:40] == b"VBRI" else 0


@dataclass
class _Walk:
    """Where frames lie. `runs`: ranges of them in a row; `between`: (what, start) that is no sound; `noise`: bytes
    that are neither; `partial`: the start of a last frame that is not all there."""

    frames: int = 0
    runs: list[tuple[int, int]] = field(default_factory=list)
    between: list[tuple[str, int]] = field(default_factory=list)
    noise: bool = False
    partial: int | None = None


def layout_of_frames(window: FileView) -> ByteLayout | None:
    """The layout of a stream of frames; None for what is none."""
    magic = next((magic for magic in _AMR if window.at(0, len(magic)) == magic), b"")
    if magic:
        return _layout(window, amr_length(_AMR[magic]), len(magic), len(magic), _before_text(window))
    tags = 0  # where the ID3 tags at the head end
    while (found := no_sound_at(window, tags))[0] == "an ID3 tag":
        tags = found[1]
    for length in (mpeg_length, adts_length, ac3_length, wavpack_length):
        first = _first(window, length, tags)
        if first is not None:
            return _layout(window, length, tags, first)
    return None


def _first(window: FileView, length: FrameLength, place: int) -> int | None:
    """Where the first frame lies: right there, or behind tags, zeros or text."""
    start = place
    while place - start < FAR and place < window.size:
        if _sure(window, length, place):
            return place
        kind, end = no_sound_at(window, place)
        if not kind:
            begins = _search(window, length, place + 1, min(window.size, place + FAR))
            if begins is None or not is_text(window.at(place, begins - place)):
                return None
            end = begins
        place = end
    return None


def _sure(window: FileView, length: FrameLength, place: int) -> bool:
    for _ in range(SURE):
        size = length(window.at(place, HEAD))
        if size == 0:
            return False
        place += size
        if place >= window.size or no_sound_at(window, place)[0]:
            return place <= window.size
    return True


def _search(window: FileView, length: FrameLength, place: int, end: int) -> int | None:
    """The next place before `end` where frames, or something that is told apart, begin."""
    while place < end:
        block = window.at(place, min(BLOCK, end - place) + HEAD)
        for found in _BEGINS.finditer(block, 0, min(BLOCK, end - place)):
            at = place + found.start()
            if found[0][:1] not in _STARTS or _sure(window, length, at):
                return at
        place += BLOCK
    return None


def _before_text(window: FileView) -> int:
    """Where words at the end of a file may begin; any byte begins an AMR frame."""
    first = max(0, window.size - FAR)
    tail = window.at(first, FAR)
    words = re.search(rb"[\t\r\n\x20-\x7e]{%d,}$" % HEAD, tail)
    return first + words.start() if words else window.size


def _walk(window: FileView, length: FrameLength, first: int, end_of_frames: int) -> _Walk:
    walk, place, start = _Walk(), first, first
    while place < window.size and len(walk.runs) < MOST_RUNS:
        size = length(window.at(place, HEAD)) if place < end_of_frames else 0
        if size and (tag := _tag_inside(window, length, place, size)):
            kind, at, end = tag
            walk.between.append((kind, at))
            walk.runs.append((start, at))
            walk.frames, start, place = walk.frames + 1, end, place + size + end - at
            continue
        if size and place + size <= window.size:
            walk.frames, place = walk.frames + 1, place + size
            continue
        if place > start:
            walk.runs.append((start, place))
        kind, end = no_sound_at(window, place)
        if not kind and size:
            walk.partial, end = place, window.size
        elif not kind:
            end = _search(window, length, place + 1, window.size) or window.size
            kind = "text" if end - place < FAR * 16 and is_text(window.at(place, end - place)) else ""
            walk.noise = walk.noise or not kind
        if kind:
            walk.between.append((kind, place))
        elif walk.partial is None:
            walk.runs.append((place, end))
        place = start = end
    if place > start:
        walk.runs.append((start, place))
    return walk


def _tag_inside(window: FileView, length: FrameLength, place: int, size: int) -> tuple[str, int, int] | None:
    """(what, start, end) of a tag that was put into the middle of a frame: behind it the rest of the frame follows."""
    following = place + size
    if following >= window.size or length(window.at(following, HEAD)):
        return None
    for found in _TAGS.finditer(window.at(place, size + 2)):
        kind, end = no_sound_at(window, place + found.start())
        if kind and _sure(window, length, place + size + end - place - found.start()):
            return kind, place + found.start(), end
    return None


def _layout(
    window: FileView, length: FrameLength, tags: int, first: int, end_of_frames: int | None = None
) -> ByteLayout:
    walk = _walk(window, length, first, window.size if end_of_frames is None else end_of_frames)
    stated = _xing(window.at(first, HEAD)) if length is mpeg_length else 0
    held = walk.frames - 1  # the frame that states the count is none of them
    short = ""
    if stated > held + 1 and not walk.noise:
        short = f"its header states {stated:,} frames, {held:,} are there"
    elif length is not mpeg_length and walk.partial is not None:
        short = "its last frame is not all there"
    last_end = walk.runs[-1][1] if walk.runs else first
    known = _USUAL.get(length, ())
    usual = all(kind in known and place >= last_end for kind, place in walk.between)
    left_out = [] if first == tags else [f"what comes before the first frame, at byte {tags:,}{OUT}"]
    if not short and walk.partial is not None:  # many such files are about, and players pass over it
        left_out.append(f"the last frame, at byte {walk.partial:,}, is not all there")
    between = [] if usual else [f"{kind} at byte {place:,}{OUT}" for kind, place in walk.between[:3]]
    left_out += between
    if len(walk.runs) >= MOST_RUNS or not (between or short or first > tags):
        return ByteLayout(short=short, left_out=tuple(left_out))
    head: tuple[Part, ...] = ((0, tags),) if tags else ()
    return ByteLayout((*head, *walk.runs), short, left_out=tuple(left_out))
