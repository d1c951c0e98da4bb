"""Captions: SubRip and WebVTT files read from people nobody vouches for, written as text that every player takes.

Of markup only italics, bold and underline are kept; voices, colours and places are dropped, and whatever else looks
like markup is refused, so that nothing in a caption can run or load anything where it is shown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.errors import InputError
from pipeline.core.timeline import FPS, gop_range, gops_of
from pipeline.sources.urls import has_control

LARGEST_CAPTIONS = 8 << 20  # bytes; the words of a hundred hours
MOST_CUES = 50_000
LONGEST_CUE = 500  # characters; more cannot be read, nor shown on a picture
MENDED = 20  # milliseconds by which neighbours may overlap: recognisers round times to hundredths and thousandths
_TOLD = 5  # mistakes of a file that are listed

_ARROW = re.compile(r"\s*(\S+)\s+-->\s+(\S+)(\s.*)?")
_VTT_TIME = re.compile(r"(?:([0-9]{2,4}):)?([0-5][0-9]):([0-5][0-9])\.([0-9]{3})")
_SRT_TIME = re.compile(r"([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])[,.]([0-9]{3})")
_TAG = re.compile(r"<(/?)([a-z]*)((?:[.\s][^<>]*|[0-9:.]+)?)>", re.IGNORECASE)
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")  # places and styles of another format that SubRip files carry along
_KEPT = ("b", "i", "u")
_DROPPED = ("c", "v", "lang", "ruby", "rt", "font", "")  # the last one: a time inside a cue


@dataclass(frozen=True)
class Cue:
    """Shown in [start, end), milliseconds. `text` is WebVTT's: `&`, `<` and `>` escaped, tags b, i and u closed."""

    start: int
    end: int
    text: str
    line: int = 0  # in the file that it came from

    @property
    def plain(self) -> str:
        """The text without markup."""
        return html.unescape(re.sub(r"</?[biu]>", "", self.text))


class _Wrong(Exception):
    """What is wrong with a cue."""


def read_captions(source: bytes | Path, where: str, note: Callable[[str], None] = lambda text: None) -> tuple[Cue, ...]:
    """The cues of a SubRip or WebVTT file in order, none overlapping another.

    Slips of recognisers are mended: a cue that ends up to MENDED after the next one has begun ends there, and one of no
    length, or without a word, is left out; `note` is told. `where` names the file in messages. Raises InputError with
    the first mistakes and their lines.
    """
    text = _decoded(source.read_bytes() if isinstance(source, Path) else source, where)
    cues: list[Cue] = []
    wrong: list[str] = []
    mended = empty = 0
    for number, lines in _blocks(text):
        try:
            cue = _cue(number, lines, text.startswith("WEBVTT"))
            if cue.end == cue.start:
                empty += 1
                continue
            if cues and cue.start < cues[-1].end:
                _make_room(cues, cue)
                mended += 1
            cues.append(cue)
        except _Wrong as error:
            wrong.append(f"line {number}: the cue {error}")
    if wrong:
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise InputError(f"{'; '.join(wrong[:_TOLD])}{more}", "correct the captions", place=where)
    if mended or empty:
        note(f"{where}: {mended} cues that overlapped the next one end earlier, {empty} empty ones are left out")
    if not cues:
        raise InputError("holds no captions", "give a SubRip (.srt) or WebVTT (.vtt) file", place=where)
    if len(cues) > MOST_CUES:
        raise InputError(f"{len(cues)} cues, expected at most {MOST_CUES}", "cut the title into several", place=where)
    return tuple(cues)


def _make_room(cues: list[Cue], cue: Cue) -> None:
    """Let the last cue end where this one begins, if that is a slip and not two cues at once."""
    last = cues[-1]
    if last.end - cue.start > MENDED or last.start >= cue.start:
        raise _Wrong(f"begins at {clock(cue.start)}, before the one of line {last.line} ends ({clock(last.end)})")
    cues[-1] = replace(last, end=cue.start)


def _decoded(data: bytes, where: str) -> str:
    if len(data) > LARGEST_CAPTIONS:
        raise InputError(f"{where}: has {len(data):,} bytes, expected at most {LARGEST_CAPTIONS:,}; is it captions?")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("is encoded as UTF-16", "save it as UTF-8", place=where)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"line {line} is not UTF-8 (byte {data[error.start]:#04x})", "save it as UTF-8", place=where
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, lines) of what stands between empty lines and is a cue, or should be."""
    web, first, block = text.startswith("WEBVTT"), 0, list[str]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        # In WebVTT only an empty line ends a cue; in SubRip one of spaces does, too, as editors leave them.
        if line.strip() or (web and line and any("-->" in one for one in block)):
            first = first or number
            block.append(line)
            continue
        if block and not (web and re.match(r"(WEBVTT|NOTE|STYLE|REGION)(\s|$)", block[0])):
            yield from _parted(first, block)
        first, block = 0, []


def _parted(first: int, block: list[str]) -> Iterator[tuple[int, list[str]]]:
    """A block in which lines of spaces stand where empty ones should, between cues."""
    begun = 0
    for index, line in enumerate(block):
        if "-->" not in line:
            continue
        start = next((at for at in (index, index - 1) if at - 1 > begun and not block[at - 1].strip()), None)
        if start is not None:
            yield first + begun, block[begun:start]
            begun = start
    yield first + begun, block[begun:]


def _cue(number: int, lines: list[str], web: bool) -> Cue:
    times = next((index for index, line in enumerate(lines[:2]) if "-->" in line), None)
    if times is None:
        raise _Wrong("has no times; expected 00:00:01.000 --> 00:00:02.500 above its text")
    match = _ARROW.fullmatch(lines[times])
    start, end = (_time(text, web) for text in match.groups()[:2]) if match else (None, None)
    if start is None or end is None:
        example = "00:00:01.000 --> 00:00:02.500" if web else "00:00:01,000 --> 00:00:02,500"
        raise _Wrong(f"has the times {lines[times].strip()[:60]!r}; expected such as {example}")
    if end < start:
        raise _Wrong(f"ends at {clock(end)}, before it begins ({clock(start)})")
    text = "\n".join(_marked(line, web) for line in _balanced_lines(lines[times + 1 :], web) if line.strip())
    cue = Cue(start, end if text.strip() else start, text, number)
    if len(cue.plain) > LONGEST_CUE:
        raise _Wrong(f"has {len(cue.plain)} characters, expected at most {LONGEST_CUE}; cut it in two")
    return cue


def _time(text: str, web: bool) -> int | None:
    """Milliseconds."""
    match = (_VTT_TIME if web else _SRT_TIME).fullmatch(text)
    if not match:
        return None
    hours, minutes, seconds, part = (int(group or 0) for group in match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + part


def _balanced_lines(lines: Sequence[str], web: bool) -> Iterator[str]:
    for line in lines:
        line = line.replace("\t", " ").strip()
        if "-->" in line:
            raise _Wrong("has an arrow in its text; is an empty line missing above the next cue?")
        if has_control(line):
            raise _Wrong("holds control characters; remove them")
        yield line if web else _OVERRIDE.sub("", line)


def _marked(line: str, web: bool) -> str:
    """A line with nothing but the kept tags in it, all of them closed."""
    written, open_tags, place = "", list[str](), 0
    for match in _TAG.finditer(line):
        closing, name, more = match[1], match[2].lower(), match[3]
        written += _escaped(line[place : match.start()], web)
        place = match.end()
        if name not in (*_KEPT, *_DROPPED) or (not name and not more and not closing):
            raise _Wrong(f"holds the markup {match[0][:40]!r}; write it as plain text")
        if name in _KEPT and not closing:
            open_tags.append(name)
            written += f"<{name}>"
        elif name in _KEPT and open_tags[-1:] == [name]:
            open_tags.pop()
            written += f"</{name}>"
    written += _escaped(line[place:], web)
    return written + "".join(f"</{name}>" for name in reversed(open_tags))


def _escaped(text: str, web: bool) -> str:
    if found := re.search(r"<[a-z/!?][^<]{0,30}", text, re.IGNORECASE):
        raise _Wrong(f"holds the markup {found[0]!r}; write it as plain text")
    text = html.unescape(text) if web else text
    if has_control(text):
        raise _Wrong("holds control characters; remove them")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# -- written ------------------------------------------------------------------------------------------------------


def clock(milliseconds: int, mark: str = ".") -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def cut(cues: Iterable[Cue], milliseconds: int) -> tuple[Cue, ...]:
    """What is shown in the first `milliseconds`."""
    return tuple(replace(cue, end=min(cue.end, milliseconds)) for cue in cues if cue.start < milliseconds)


def vtt(cues: Iterable[Cue], header: str = "") -> str:
    """A WebVTT file."""
    blocks = (f"{clock(cue.start)} --> {clock(cue.end)}\n{cue.text}\n" for cue in cues)
    return f"WEBVTT\n{header}\n" + "\n".join(blocks)


def srt(cues: Iterable[Cue]) -> str:
    """A SubRip file; it has no way to escape, so what would be read as markup is written with other characters."""
    return "\n".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_unescaped(cue.text)}\n"
        for number, cue in enumerate(cues, 1)
    )


def _unescaped(text: str) -> str:
    text = html.unescape(re.sub(r"&lt;(?=[a-zA-Z/!?])", "‹", text))
    return text.replace("-->", "→").replace("{\\", "(\\")


def segments(cues: Sequence[Cue], frames: int) -> list[bytes]:
    """For HLS, a WebVTT file for every GOP with the cues that are shown in it, at the times of the whole title."""
    found, at = [], 0
    for gop in range(gops_of(frames)):
        first, stop = (edge * 1000 // FPS for edge in gop_range(gop, frames))
        while at < len(cues) and cues[at].end <= first:
            at += 1
        last = at
        while last < len(cues) and cues[last].start < stop:
            last += 1
        found.append(vtt(cues[at:last], "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n").encode())
    return found
