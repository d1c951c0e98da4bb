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
LONGEST_NERO_LIST = 255  # chapters; a longer one would end there, and players that read it would miss the rest
CLOSE = 1  # millisecond; two chapters as near as that are one
JOINED = " – "  # between the names of chapters that begin together
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
    """Chapters in order, and the kept tags. A chapter may end where it begins (see
    `with_ends`). Tags of the stream (Ogg has no others) fill in for those of the file."""
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
        if 0 <= start <= end:
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


def with_ends(chapters: Sequence[Chapter], milliseconds: int) -> tuple[Chapter, ...]:
    """The same in order of time; one that ends where it begins goes on to the next later one, the last to the end."""
    found: list[Chapter] = []
    following = later = milliseconds
    for one in sorted(chapters, key=lambda chapter: chapter.start, reverse=True):
        following, later = (later, one.start) if one.start < later else (following, later)
        found.append(one if one.end > one.start else replace(one, end=max(following, one.start + 1)))
    return tuple(reversed(found))


def continuous(chapters: Sequence[Chapter], milliseconds: int) -> tuple[Chapter, ...]:
    """The same without gaps from 0 to `milliseconds`: an MP4 file keeps lengths of chapters, so a gap would move all
    that follow it. Those that begin at one moment, or within CLOSE of it, are one chapter of both names."""
    kept: list[Chapter] = []
    for chapter in chapters:
        if chapter.start >= milliseconds:
            continue
        if kept and chapter.start - kept[-1].start <= CLOSE:
            names = dict.fromkeys((*kept[-1].title.split(JOINED), chapter.title))
            kept[-1] = replace(kept[-1], title=JOINED.join(names)[:LONGEST_TEXT])
        else:
            kept.append(chapter)
    starts = [0, *(chapter.start for chapter in kept[1:]), milliseconds]
    return tuple(replace(c, start=a, end=b) for c, a, b in zip(kept, starts, starts[1:], strict=False) if a < b)
