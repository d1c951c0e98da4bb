"""Text for a terminal or a log: whatever it quotes, it moves no cursor, renames no window and hides no line."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printed(text: str) -> str:
    """`text` with control characters and marks of direction spelt out; tabs and line ends stay."""
    return _CONTROL.sub(_spelt, text)


def _spelt(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
