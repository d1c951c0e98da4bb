"""A strict reader of YAML that remembers lines: plain data in, plain data out, no surprises.

Works on the parser's events, so nothing is ever built that was not checked: no tags, no anchors and aliases (hence
no expansion), no merge keys, no keys but strings, no duplicate keys, bounded size and depth. Plain words are read as
in YAML 1.2's core schema: `yes`, `12:30` and `2024-01-01` stay text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline.core.safe_text import redact
from pipeline.manifest.yaml_quotes import comment_in, quotes_for, quotes_within

MAX_BYTES = 16 << 20  # a catalog of 10,000 titles with their prompts takes about 4 MiB
MAX_DEPTH = 20  # a manifest needs 6
_LONGEST = 4096  # characters of a text that a message looks at

Loc = tuple[str | int, ...]  # ("titles", 3, "audio", 0)

# libyaml is fifteen times as fast; both give the same events.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,19})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True)
class YamlProblem:
    """Something wrong at a place of the file; `line` counts from 1, 0 means the file as a whole.

    `remedy`: what to do, empty where the text says it.
    """

    line: int
    loc: Loc
    text: str
    remedy: str = ""


@dataclass
class Parsed:
    """`data`: the document; `lines`: line of every key and list item; `faults`: what was refused on the way.

    What was refused is left out of `data`, or stands there as None; `refused` names those places.
    """

    data: Any = None
    lines: dict[Loc, int] = field(default_factory=lambda: {(): 1})
    faults: list[YamlProblem] = field(default_factory=list)
    refused: set[Loc] = field(default_factory=set)
    warnings: list[YamlProblem] = field(default_factory=list)
    """What can be read, but may have been meant otherwise."""


class _Stop(Exception):
    """Reading on makes no sense."""


@dataclass
class _Open:
    """A collection whose end has not come yet; `key` is that of the value to come, for a mapping."""

    loc: Loc
    container: dict[str, object] | list[object]
    key: str | None = None
    expects_key: bool = True
    skip_value: bool = False


def parse_yaml(content: bytes) -> Parsed:
    """Read one YAML document. Never raises for bad content: every fault is in the result."""
    parsed = Parsed()
    if len(content) > MAX_BYTES:
        return _refuse(parsed, 0, f"larger than {MAX_BYTES >> 20} MiB", "split the catalog into several manifests")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _refuse(parsed, line, f"byte {error.start} is not UTF-8", "save the manifest as UTF-8 text")
    try:
        _Builder(parsed, text).read(yaml.parse(text, Loader=_LOADER))
    except _Stop:
        pass
    except yaml.YAMLError as error:
        line, first = _line_of(error, text), getattr(error, "context_mark", None)
        lines = text.split("\n")
        written = lines[line - 1 : line] if line else []  # the mark may lie behind the last line
        remedy = "".join(map(quotes_for, written))
        if not remedy and first is not None:
            remedy = quotes_within("\n".join(lines[first.line : line]))
        remedy = remedy or "correct the syntax here or just above"
        _refuse(parsed, line, f"not valid YAML: {_reason(error)}", remedy)
    return parsed


def shown(value: object) -> str:
    """A value for a message: one line, at most 60 characters, without credentials."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item) for item in value[:8])}{', …' if len(value) > 8 else ''}]"
    elif isinstance(value, str):
        if len(value) > _LONGEST:  # nothing in a manifest is: its beginning will do, without what may be a password
            value = f"{value[:40].partition('://')[0]}…"
        text = json.dumps(redact(value), ensure_ascii=not value.isprintable())
    else:
        text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…{text[-1]}"


def key_path(loc: Loc) -> str:
    """`titles[3].audio[0]`; keys that are no plain words are quoted."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + (part if re.fullmatch(r"[\w\-]{1,60}", part) else shown(part))
    return path


class _Builder:
    def __init__(self, parsed: Parsed, text: str):
        self.parsed = parsed
        self.lines = text.split("\n") if "#" in text else []
        self.open: list[_Open] = []
        self.documents = 0

    def read(self, events: Iterator[yaml.Event]) -> None:
        for event in events:
            assert event.start_mark is not None  # none but events made by hand are without
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    self.stop(line, "a second document begins", "keep one document a file (no `---` inside)")
            elif isinstance(event, yaml.AliasEvent):
                self.refuse_reference(line, f"alias *{event.anchor}")
                self.scalar(None, line, refused=True)
            elif isinstance(event, yaml.ScalarEvent):
                refused = self.check_node(event, line)
                if self.lines and event.implicit[0] and not refused and not self.expects_key():
                    self.check_comment(event)
                self.scalar(_plain(event.value) if event.implicit[0] else event.value, line, refused)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self.begin({} if isinstance(event, yaml.MappingStartEvent) else [], line, self.check_node(event, line))
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                self.open.pop()

    def check_node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int) -> bool:
        if event.anchor is not None:
            self.refuse_reference(line, f"anchor &{event.anchor}")
        if event.tag is not None:
            self.fault(line, f"tag {shown(event.tag)} is not accepted", "write the plain value without a tag")
            return True
        return False

    def check_comment(self, event: yaml.ScalarEvent) -> None:
        """Whether a comment behind a value without quotes may be a part of it."""
        end, loc = event.end_mark, self.next_loc()
        assert end is not None
        rest = self.lines[end.line][end.column :] if end.line < len(self.lines) else ""
        key = next((part for part in reversed(loc) if isinstance(part, str)), "")
        if text := comment_in(key, event.value, rest):
            self.parsed.warnings.append(YamlProblem(end.line + 1, loc, text))

    def refuse_reference(self, line: int, what: str) -> None:
        self.fault(
            line,
            f"{redact(what)[:60]} is not accepted",
            "write the value out, or put shared options under `defaults`",
        )

    def next_loc(self) -> Loc:
        if not self.open:
            return ()
        top = self.open[-1]
        if isinstance(top.container, list):
            return (*top.loc, len(top.container))
        return (*top.loc, "?" if top.key is None else top.key)  # "?": below a key that was refused

    def expects_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].container, dict) and self.open[-1].expects_key

    def scalar(self, value: object, line: int, refused: bool = False) -> None:
        if self.expects_key():
            self.take_key(value, line, refused)
        else:
            self.add(value, line, refused)

    def begin(self, container: dict[str, object] | list[object], line: int, refused: bool) -> None:
        if len(self.open) >= MAX_DEPTH:
            self.stop(line, f"nested more than {MAX_DEPTH} deep; a manifest needs no more than 6 levels")
        if self.expects_key():
            self.take_key(container, line)
            self.open.append(_Open(self.next_loc(), container))  # read and thrown away
            return
        loc = self.next_loc()
        self.add(container, line, refused)
        self.open.append(_Open(loc, container))

    def take_key(self, value: object, line: int, refused: bool = False) -> None:
        top = self.open[-1]
        assert isinstance(top.container, dict)
        top.expects_key, top.key, top.skip_value = False, None, True
        if refused:
            return
        if not isinstance(value, str):
            if isinstance(value, list | dict):
                text = "a key is a collection: expected a word as key; write `key: value`"
            else:
                text = f"key {shown(value)}: expected a word as key; put it in quotes"
            self.fault(line, text, loc=top.loc)
        elif value == "<<":
            self.fault(line, "merge key << is not accepted", "put shared options under `defaults`", top.loc)
        elif value in top.container:
            first = self.parsed.lines[(*top.loc, value)]
            self.fault(line, f"key {shown(value)} given twice (first in line {first})", "remove one", (*top.loc, value))
        else:
            top.key, top.skip_value = value, False

    def add(self, value: object, line: int, refused: bool) -> None:
        loc = self.next_loc()
        if not self.open:
            self.parsed.data = value
        else:
            top = self.open[-1]
            if isinstance(top.container, list):
                top.container.append(value)
            else:
                top.expects_key = True
                if top.skip_value:
                    return
                assert top.key is not None
                top.container[top.key] = value
        self.parsed.lines[loc] = line
        if refused:
            self.parsed.refused.add(loc)

    def fault(self, line: int, text: str, remedy: str = "", loc: Loc | None = None) -> None:
        self.parsed.faults.append(YamlProblem(line, self.next_loc() if loc is None else loc, text, remedy))

    def stop(self, line: int, text: str, remedy: str = "") -> None:
        self.fault(line, text, remedy)
        self.parsed.refused.add(())
        raise _Stop


def _plain(text: str) -> object:
    """An unquoted word as YAML 1.2 reads it, except that numbers with leading zeros stay text (ids such as 0042)."""
    if text.lower() in _WORDS and text in (text.lower(), text.capitalize(), text.upper()):
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) and not re.fullmatch(r"[-+]?[0-9]+", text) else text


def _refuse(parsed: Parsed, line: int, text: str, remedy: str) -> Parsed:
    parsed.faults.append(YamlProblem(line, (), text, remedy))
    parsed.refused.add(())
    return parsed


def _line_of(error: yaml.YAMLError, text: str) -> int:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return mark.line + 1
    position = getattr(error, "position", None)  # of a forbidden character
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 0


def _reason(error: yaml.YAMLError) -> str:
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
    context = getattr(error, "context", None)
    return redact(" ".join(f"{reason} {context or ''}".split()))[:120]
