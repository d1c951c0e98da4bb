"""Chapters and tags of sound files: read from and written to ffmpeg's metadata text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from pipeline.core.timeline import round_half_up

# What an MP4 file can hold under the same name. Everything else in a source (encoder notes, lyrics, images) stays out.
KEPT = (
    "title", "artist", "album", "album_artist", "composer", "genre", "date", "track", "copyright",
    "description", "synopsis", "comment",
)  # fmt: skip
MOST_CHAPTERS = 10_000
LONGEST_TEXT = 2_000  # characters
_SPECIAL = re.compile(r"([=;#\\\n])")


@dataclass(frozen=True)
class Chapter:
    """[start, end) in milliseconds."""

    start: int
    end: int
    title: str


Tags = tuple[tuple[str, str], ...]


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable() or c == "\n").strip()[:LONGEST_TEXT]


def _lines(text: str) -> Iterable[str]:
    """Lines of the metadata text, an escaped line break kept inside its line."""
    return re.findall(r"(?:[^\\\n]|\\.)+", text, flags=re.DOTALL)


def _pair(line: str) -> tuple[str, str]:
    key, _, value = re.sub(r"\\=", "\0", line).partition("=")
    return key.lower(), _clean(re.sub(r"\\(.)", r"\1", value.replace("\0", "="), flags=re.DOTALL))


def read(text: str) -> tuple[tuple[Chapter, ...], Tags]:
    """Chapters in order, and the kept tags. Tags of the stream (Ogg has no others) fill in for those of the file."""
    tags: dict[str, str] = {}
    chapters: list[Chapter] = []
    section: dict[str, str] | None = None
    sections: list[dict[str, str]] = []
    for line in _lines(text):
        if line.startswith(";"):
            continue
        if line in ("[CHAPTER]", "[STREAM]"):
            section = {} if line == "[CHAPTER]" else None
            if section is not None:
                sections.append(section)
            continue
        key, value = _pair(line)
        if section is not None:
            section[key] = value
        elif key in KEPT and value:
            tags.setdefault(key, value)
    for index, found in enumerate(sections[:MOST_CHAPTERS], 1):
        try:
            unit = 1000 * Fraction(found.get("timebase", "1/1000000000"))
            start, end = (round_half_up(unit * int(found[key])) for key in ("start", "end"))
        except (ValueError, KeyError, ZeroDivisionError):
            continue
        if 0 <= start < end:
            chapters.append(Chapter(start, end, found.get("title") or f"Chapter {index}"))
    return tuple(sorted(chapters, key=lambda c: c.start)), tuple((key, tags[key]) for key in KEPT if key in tags)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def write(chapters: Sequence[Chapter], tags: Iterable[tuple[str, str]]) -> str:
    """The metadata text of a result."""
    lines = [";FFMETADATA1", *(f"{_escaped(key)}={_escaped(value)}" for key, value in tags)]
    for chapter in chapters:
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={chapter.start}", f"END={chapter.end}"]
        lines.append(f"title={_escaped(chapter.title)}")
    return "\n".join(lines) + "\n"


def cut(chapters: Iterable[Chapter], milliseconds: int) -> tuple[Chapter, ...]:
    """The chapters of the first `milliseconds`."""
    return tuple(replace(c, end=min(c.end, milliseconds)) for c in chapters if c.start < milliseconds)


def continuous(chapters: Sequence[Chapter], milliseconds: int) -> tuple[Chapter, ...]:
    """The same without gaps from 0 to `milliseconds`: an MP4 file keeps lengths of chapters, so a gap would move all
    that follow it."""
    starts = [0, *(chapter.start for chapter in chapters[1:]), milliseconds]
    return tuple(replace(c, start=a, end=b) for c, a, b in zip(chapters, starts, starts[1:], strict=False) if a < b)
