"""Chapters of an ID3 tag at the head of a file, also those whose end is 0 or their start, which decoders leave out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.media.tags import LONGEST_TEXT, MOST_CHAPTERS, Chapter

LARGEST = 64 << 20  # bytes of a tag; pictures lie in it, too
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
NO_END = 0xFFFFFFFF


def id3_chapters(path: Path, found: tuple[Chapter, ...], milliseconds: int) -> tuple[Chapter, ...]:
    """`found`, the chapters that the decoder told, or those of the file's ID3 tag where that holds more of them.

    Their ends are then as they stand there, or their start where there is none.
    """
    with path.open("rb") as stream:
        head = stream.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (3, 4) or max(head[6:10]) > 0x7F:
            return found
        size = _syncsafe(head[6:10])
        tag = stream.read(size) if size <= LARGEST else b""
    if head[5] & 0x80 and head[3] == 3:  # a zero was put behind every ff
        tag = tag.replace(b"\xff\x00", b"\xff")
    if head[5] & 0x40:
        skip = _syncsafe(tag[:4]) if head[3] == 4 else int.from_bytes(tag[:4], "big") + 4
        tag = tag[skip:]
    own = [chapter for chapter in _chapters(tag, head[3]) if chapter.start < milliseconds][:MOST_CHAPTERS]
    own = [
        Chapter(one.start, one.end, one.title or f"Chapter {number}")
        for number, one in enumerate(sorted(own, key=lambda chapter: chapter.start), 1)
    ]
    return tuple(own) if len(own) > len(found) else found


def _syncsafe(four: bytes) -> int:
    return sum(part << shift for part, shift in zip(four, (21, 14, 7, 0), strict=False))


def _frames(data: bytes, version: int) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of the frames of a tag, or of those inside a frame."""
    place = 0
    while place + 10 <= len(data) and data[place] != 0:
        name, four, flags = data[place : place + 4], data[place + 4 : place + 8], data[place + 9]
        size = _syncsafe(four) if version == 4 else int.from_bytes(four, "big")
        content = data[place + 10 : place + 10 + size]
        place += 10 + size
        if version == 4 and flags & 2:
            content = content.replace(b"\xff\x00", b"\xff")
        yield name, content[4:] if version == 4 and flags & 1 else content


def _chapters(tag: bytes, version: int) -> Iterator[Chapter]:
    for name, content in _frames(tag, version):
        at = content.find(b"\0") + 1
        if name != b"CHAP" or at == 0 or len(content) < at + 16:
            continue
        start, end = (int.from_bytes(content[at + k : at + k + 4], "big") for k in (0, 4))
        title = next((_text(inner) for key, inner in _frames(content[at + 16 :], version) if key == b"TIT2"), "")
        yield Chapter(start, start if end in (0, NO_END) else max(start, end), title)


def _text(content: bytes) -> str:
    encoding = _ENCODINGS[content[0]] if content and content[0] < len(_ENCODINGS) else "latin-1"
    text = content[1:].decode(encoding, "replace").split("\0")[0]
    return "".join(sign for sign in text if sign.isprintable()).strip()[:LONGEST_TEXT]
