"""What lies in sound files and is no sound: tags, zeros, text. Found by its own form and stated length."""

from __future__ import annotations

from pipeline.media.sound_in.byte_layout import BLOCK, FileView

_PRINTABLE = bytes([*range(32, 127), *b"\t\n\r\f"])
_LONGEST_LYRICS = 1 << 20


def no_sound_at(window: FileView, place: int) -> tuple[str, int]:
    """(what it is, where it ends) of a tag or of zeros at a place; ("", place) where neither is there."""
    head = window.at(place, 32)
    kind, length = "", 0
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 0x80:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        kind, length = "an ID3 tag", 10 + size + (10 if head[5] & 0x10 else 0)
    elif head[:4] == b"TAG+":
        kind, length = "an ID3v1 tag", 227
    elif head[:3] == b"TAG":
        kind, length = "an ID3v1 tag", 128
    elif head[:8] == b"APETAGEX":
        header = int.from_bytes(head[20:24], "little") & 1 << 29
        kind, length = "an APE tag", 32 + (int.from_bytes(head[12:16], "little") if header else 0)
    elif head[:11] == b"LYRICSBEGIN":
        text = window.at(place, _LONGEST_LYRICS)
        ends = [at + 9 for mark in (b"LYRICS200", b"LYRICSEND") if (at := text.find(mark)) > 0]
        kind, length = ("lyrics", min(ends)) if ends else ("", 0)
    elif head[:6] == b"#!AMR\n":
        kind, length = "another header", 6
    elif head[:9] == b"#!AMR-WB\n":
        kind, length = "another header", 9
    elif head[:1] == b"\0":
        kind, length = "zeros", zeros_at(window, place) - place
    return (kind, min(place + length, window.size)) if kind else ("", place)


def zeros_at(window: FileView, place: int) -> int:
    """Where a run of zeros that begins at a place ends."""
    while block := window.at(place, BLOCK // 16):
        rest = block.lstrip(b"\0")
        place += len(block) - len(rest)
        if rest:
            break
    return place


def is_text(data: bytes) -> bool:
    """Whether bytes are lines of words, as a server's page of an error is."""
    if not data.translate(None, _PRINTABLE):
        return True
    try:
        return all(sign.isprintable() or sign in "\t\n\r\f\ufeff" for sign in data.decode("utf-8"))
    except UnicodeDecodeError:
        return False
