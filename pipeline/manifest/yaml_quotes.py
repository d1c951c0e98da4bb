"""Texts that YAML reads otherwise than they were meant, because they stand without quotes: what to say of them."""

from __future__ import annotations

import json
import re

from pipeline.core.safe_text import redact

WORDS = ("title", "author", "text", "owner")  # keys whose values are written for people
FILES = (
    "portrait",
    "audio",
    "cover",
    "captions",
    "face_embedding",
    "canvas_fill",
    "table",
    "glob",
    "output",
    "weights",
)

_COMMENT = re.compile(r"[ \t]+#([^\r]*)")
_PLAIN_VALUE = re.compile(r"""\s*(?:- )?\s*([a-z_]+): +([^"'\[{|>&*!#].*?(?:: .*|:)|[@`%].*|\*.+)\s*""")
_IN_BRACES = re.compile(r"""[{,]\s*(title|text|author): +([^"'\[\]{},#]+?: [^"'\[\]{},]*?)\s*[},]""")


def comment_in(key: str, value: str, rest: str) -> str:
    """What to say where a comment that follows a value in its line may be the value's other half; else nothing.

    Somebody who means a comment writes a space behind its sign; `Take #2` and `Take # 2` are texts.
    """
    match = _COMMENT.fullmatch(rest)
    if not match or key not in (*WORDS, *FILES):
        return ""
    meant = r" ?\d|[^\s#]" if key in WORDS else r"[^\s#]"
    if not re.match(meant, match[1]):
        return ""
    whole = f"{value}{rest}".strip()
    return f"what follows the # is read as a comment; if it belongs to the text, put it in quotes: {_quoted(whole)}"


def quotes_for(line: str) -> str:
    """How to write a text with a colon, or one that begins with a sign that YAML keeps for itself, in a broken line."""
    if match := _PLAIN_VALUE.fullmatch(line) or _IN_BRACES.search(line):
        return f"put the text in quotes: {match[1]}: {_quoted(match[2])}"
    return ""


def quotes_within(lines: str) -> str:
    """The same for braces or brackets that do not end, being cut off by a comment."""
    if re.search(r"[ \t]#", lines):
        return "a # behind a space begins a comment; put a text that holds one in quotes"
    return ""


def _quoted(text: str) -> str:
    return redact(json.dumps(text[:60], ensure_ascii=not text.isprintable()))
