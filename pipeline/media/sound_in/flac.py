"""FLAC: how many samples it states, and where its last frame ends, so that what follows is told from sound."""

from __future__ import annotations

import re

from pipeline.media.sound_in.byte_layout import ByteLayout, FileView
from pipeline.media.sound_in.no_sound import is_text, no_sound_at, zeros_at

TAIL = 1 << 18  # bytes at the end in which the last frame is looked for
MOST_TRIES = 16  # headers in it
_SYNC = re.compile(rb"\xff[\xf8\xf9]")


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return tuple(table)


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def layout_of_flac(window: FileView) -> ByteLayout | None:
    """The layout of a FLAC file, also behind ID3 tags; None for what is none."""
    start = 0
    while (found := no_sound_at(window, start))[0] == "an ID3 tag":
        start = found[1]
    if window.at(start, 4) != b"fLaC":
        return None
    samples = int.from_bytes(window.at(start + 21, 5), "big") & (1 << 36) - 1
    end = _end_of_sound(window)
    if end is None or end == window.size:
        return ByteLayout(samples=samples)
    kind = no_sound_at(window, end)[0] or "text"
    return ByteLayout(((0, end),), samples=samples, left_out=(f"{kind} at byte {end:,}: no sound, left out",))


def _end_of_sound(window: FileView) -> int | None:
    """Where the last frame ends, None where that cannot be told."""
    first = max(0, window.size - TAIL)
    tail = window.at(first, TAIL)
    for found in list(_SYNC.finditer(tail))[: -MOST_TRIES - 1 : -1]:
        if not _is_header(tail[found.start() : found.start() + 16]):
            continue
        crc = 0
        for place in range(found.start(), len(tail)):
            crc = (crc << 8 ^ _CRC16[crc >> 8 ^ tail[place]]) & 0xFFFF
            end = first + place + 1
            if crc == 0 and window.size - end < 2:  # a sum that ends in 0 is no sooner an end
                return window.size
            if crc == 0 and place > found.start() + 8 and _no_sound_from(window, end):
                return end
    return None


def _no_sound_from(window: FileView, place: int) -> bool:
    """Whether there are only tags, zeros and text from a place to the end."""
    while place < window.size:
        kind, end = no_sound_at(window, place)
        if not kind:
            return window.size - place < TAIL and is_text(window.at(place, TAIL))
        place = end if kind != "zeros" else zeros_at(window, place)
    return True


def _is_header(head: bytes) -> bool:
    """Whether a frame begins: its header ends with a sum of its own bytes."""
    if len(head) < 16 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return False
    number = 1 if head[4] < 0x80 else 8 - (head[4] ^ 0xFF).bit_length()
    more = {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    crc = 0
    for byte in head[: 4 + number + more]:
        crc = _CRC8[crc ^ byte]
    return crc == head[4 + number + more]
