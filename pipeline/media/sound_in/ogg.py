"""Ogg: pages numbered one after another, the last one of a stream marked as such."""

from __future__ import annotations

from pipeline.media.sound_in.byte_layout import BLOCK, ByteLayout, FileView

_FIRST, _LAST = 2, 4  # flags of a page


def layout_of_ogg(window: FileView) -> ByteLayout | None:
    """`short` where a page is missing, or the last page is not marked as the last; None for what is not Ogg."""
    if window.at(0, 4) != b"OggS":
        return None
    place, following = 0, dict[bytes, int]()
    ended = True
    while (place := _next_page(window, place)) < window.size:
        head = window.at(place, 27)
        table = window.at(place + 27, head[26]) if len(head) == 27 else b""
        end = place + 27 + len(table) + sum(table)
        if len(head) < 27 or len(table) < head[26] or end > window.size:
            return ByteLayout(short="its last page is not all there", clocked=True)
        serial, number = head[14:18], int.from_bytes(head[18:22], "little")
        wanted = number if head[5] & _FIRST else following.get(serial, number)
        if number > wanted:
            text = f"{number - wanted} of its pages are missing before byte {place:,}"
            return ByteLayout(short=text, clocked=True)
        following[serial], ended, place = number + 1, bool(head[5] & _LAST), end
    return ByteLayout(short="" if ended else "its last page is missing", clocked=True)


def _next_page(window: FileView, place: int) -> int:
    """Where the next page begins; the size of the file where none does."""
    while place < window.size:
        found = window.at(place, BLOCK).find(b"OggS")
        if found == 0 or found > 0:
            return place + found
        place += BLOCK - 3
    return window.size
