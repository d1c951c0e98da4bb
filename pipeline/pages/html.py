"""Pages as text: a fixed frame, and data in it that no browser takes for anything but data."""

from __future__ import annotations

import html
import json
from typing import TypeVar, cast

from pipeline.core.safe_text import redact
from pipeline.pages import assets

# Only files of the output itself; nothing written into a page runs. hls.js hands pictures
# to the player as `blob:` and makes the text track of chapters from an empty `data:`.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)

T = TypeVar("T")

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def plain(value: T) -> T:
    """A copy of plain data with credentials taken out of whatever addresses its texts hold; tuples become lists."""
    return cast(T, _plain(value))


def _plain(value: object) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def encode(data: object) -> bytes:
    """Plain data as the JSON that pages ask for."""
    return (json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n").encode()


def page(frame: str, title: str, data: object, root: str) -> bytes:
    """The page `frame` (an asset) with its data; `root` leads from the page to the output's top, "" or "../"."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    parts = {
        "policy": html.escape(POLICY),
        "title": html.escape(title),
        "assets": html.escape(root + assets.folder()),
        "root": html.escape(root),
        "data": text,
    }
    pieces = assets.read(frame).decode().split("{{")
    made = pieces[0]
    for piece in pieces[1:]:  # in one pass: what is put in is not looked at again
        name, _, rest = piece.partition("}}")
        made += parts[name] + rest
    return made.encode()
