"""Playlists read back (RFC 8216): what they list, and where it lies."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from pipeline.store.store import Store

_URI = re.compile(r'URI="([^"]*)"')


@dataclass(frozen=True)
class Entry:
    """A listed segment: its key in the store, seconds, and bytes [start, stop) if it is a part of an object."""

    key: str
    seconds: float
    part: tuple[int, int] | None = None


@dataclass(frozen=True)
class MediaPlaylist:
    """`init` is the initialisation segment; `ended` that nothing will be added."""

    entries: tuple[Entry, ...]
    init: Entry | None
    ended: bool


def read_media_playlist(text: str, key: str) -> MediaPlaylist:
    """The playlist at `key`, its relative URIs turned into keys. Raises ValueError for what is no media playlist."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "#EXTM3U":
        raise ValueError("its first line is not #EXTM3U")
    folder = posixpath.dirname(key)
    entries: list[Entry] = []
    init = None
    seconds: float | None = None
    part: tuple[int, int] | None = None
    for line in lines[1:]:
        name, _, value = line.partition(":")
        match name:
            case "#EXTINF":
                seconds = float(value.split(",")[0])
            case "#EXT-X-BYTERANGE":
                part = _part(value, entries)
            case "#EXT-X-MAP":
                if not (uri := _URI.search(value)):
                    raise ValueError("its EXT-X-MAP has no URI")
                found = re.search(r'BYTERANGE="([^"]*)"', value)
                init = Entry(key_of(folder, uri[1]), 0.0, _part(found[1], []) if found else None)
            case _ if not line.startswith("#"):
                if seconds is None:
                    raise ValueError(f"{line} has no EXTINF before it")
                entries.append(Entry(key_of(folder, line), seconds, part))
                seconds = part = None
    return MediaPlaylist(tuple(entries), init, "#EXT-X-ENDLIST" in lines)


def uris_in(text: str) -> Iterator[str]:
    """All URIs of a playlist: lines of their own and attributes."""
    for line in text.splitlines():
        if line.startswith("#"):
            yield from _URI.findall(line)
        elif line.strip():
            yield line.strip()


def media_playlists(store: Store, title: str, stream_hash: str) -> list[str]:
    """Keys of the playlists of a title's stream; `stream_hash` may be its beginning."""
    folders = [name for name in store.folders(f"{title}/hls") if name.startswith(stream_hash)]
    return [key for name in folders for key in store.list(f"{title}/hls/{name}") if key.endswith(".m3u8")]


def key_of(folder: str, uri: str) -> str:
    """The key that a relative URI of a playlist in `folder` stands for."""
    return posixpath.normpath(posixpath.join(folder, unquote(uri)))


def _part(value: str, before: list[Entry]) -> tuple[int, int]:
    """`<length>[@<start>]`; without a start it begins where the entry before it ends."""
    length, _, start = value.partition("@")
    first = int(start) if start else before[-1].part[1] if before and before[-1].part else 0
    return first, first + int(length)
