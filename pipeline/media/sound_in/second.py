"""Another file of the same kind behind a file: players stop at the end of the first, so its sound would be lost."""

from __future__ import annotations

from pipeline.media.sound_in.byte_layout import BLOCK, FileView

SIGNATURE = 12  # bytes that two files of a kind and form begin with
# Containers without a stated end of their own.
OPEN = (b"TTA1", b"FLV\x01", b"MAC ", b"MPCK", b"MP+", b"DSD ", b"caff", b"\x30\x26\xb2\x75")


def begins_at(window: FileView, place: int) -> int:
    """The place, where another file of the same kind begins there; else 0."""
    again = window.at(0, 4)
    same_form = window.at(place + 8, 4) == window.at(8, 4) or again not in (b"RIFF", b"FORM")
    return place if 0 < place < window.size and window.at(place, 4) == again and same_form else 0


def like_the_first(window: FileView) -> int:
    """Where another file begins as this one of an OPEN container does; 0 where none does."""
    mark = window.at(0, SIGNATURE)
    if len(mark) < SIGNATURE or not mark.startswith(OPEN):
        return 0
    place = 1
    while place < window.size:
        found = window.at(place, BLOCK).find(mark)
        if found >= 0:
            return place + found
        place += BLOCK - SIGNATURE + 1
    return 0
