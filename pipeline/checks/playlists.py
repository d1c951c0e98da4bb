"""Checks of the playlists: they list exactly the committed prefix, and everything that they name exists."""

from __future__ import annotations

import posixpath
from typing import Literal

from pipeline.checks.title_check import TitleCheck
from pipeline.core.errors import MissingObject, StoreError
from pipeline.core.timeline import FPS, GOP, gop_range
from pipeline.media.m3u8 import Entry, MediaPlaylist, key_of, media_playlists, read_media_playlist, uris_in
from pipeline.store.ledger import Ledger
from pipeline.store.small_json import parse_json
from pipeline.store.store import Store
from pipeline.titles.title_folders import readable

Kind = Literal["pictures", "sound", "captions"]

_SLACK = 0.001  # seconds by which a listed duration may be rounded


def check_playlists(check: TitleCheck, store: Store, committed: int) -> None:
    """Playlists of the title's stream; `committed` GOPs have a fragment, counted without a gap."""
    folders = check.folders
    if not folders.stream or "stream" in check.dropped:
        return
    keys = media_playlists(store, folders.title, folders.stream_hash)
    kinds = [_check_media_playlist(check, store, key, committed) for key in keys]
    if check.done:
        for kind in ("pictures", "sound"):
            if kind not in kinds:
                text = f"no playlist lists the {kind}, though the title is done"
                check.fault("hls", None, text, check.remedy_of_views())
        _check_index(check, store, keys)


def _check_media_playlist(check: TitleCheck, store: Store, key: str, committed: int) -> Kind | None:
    """Check one playlist; returns what it lists."""
    folders = check.folders
    try:
        playlist = read_media_playlist(store.get(key).decode(), key)
    except (StoreError, ValueError) as error:
        check.fault("hls", None, f"{key} cannot be read ({error})", check.remedy_of_views())
        return None
    entries, ended = playlist.entries, playlist.ended
    if len(entries) > committed or (check.done and len(entries) != committed):
        text = f"{key} lists {len(entries)} GOPs, {committed} are committed"
        check.fault("hls", None, text, check.remedy_of_views())
    if ended != (len(entries) == folders.gops):
        text = f"{key} lists {len(entries)} of {folders.gops} GOPs and {'has' if ended else 'lacks'} EXT-X-ENDLIST"
        check.fault("hls", None, text, check.remedy_of_views())
    if not entries:
        return None
    heard = folders.plan.prefix(folders.plan.heard) if folders.plan else "/".join(entries[0].key.split("/")[:3])
    if entries[0].key.startswith((f"{folders.title}/sound/", f"{folders.title}/loudness/")):
        _check_sound(check, store, key, playlist, heard)
        return "sound"
    if entries[0].key.endswith(".vtt"):
        _check_captions(check, store, key, playlist)
        return "captions"
    _check_pictures(check, key, playlist)
    return "pictures"


def _check_pictures(check: TitleCheck, key: str, playlist: MediaPlaylist) -> None:
    """Entry g must be the fragment that the record of GOP g names."""
    suffix = key.rpartition("/")[2].removeprefix("video").removesuffix(".m3u8")  # of the rendition
    init, name = f"{check.folders.stream}/init{suffix}.mp4", f"fragment{suffix}"
    if playlist.init is None or playlist.init.key != init:
        named = playlist.init.key if playlist.init else "none"
        check.fault("hls", None, f"{key} names the header {named}, expected {init}", check.remedy_of_views())
    for gop, entry in enumerate(playlist.entries):
        if gop >= check.folders.gops:
            return  # told by the count
        expected = check.fragments.get(name, {}).get(gop)
        if expected is None:
            continue  # told by the check of the stream
        _check_duration(check, key, gop, entry)
        if entry.key != expected:
            text = f"{key} names {entry.key}, the record names {expected}"
            check.fault("hls", gop * GOP, text, check.remedy_of_views())


def _check_sound(check: TitleCheck, store: Store, key: str, playlist: MediaPlaylist, heard: str) -> None:
    """Entry g must be the bytes of GOP g in the sound's fragments; `heard` is where its record lies."""
    ledger = Ledger(store, heard)
    record = readable(ledger, 0)
    try:
        index = parse_json(ledger.load(record, "index")) if record else None
        ranges = index["ranges"] if index else []
        header = (0, int(index["init_bytes"])) if index else None
    except (StoreError, ValueError, KeyError, TypeError):
        record = None
    if record is None or "hls" not in record.objects:
        return  # told by the check of the sound
    whole = record.objects["hls"].key
    if playlist.init is None or (playlist.init.key, playlist.init.part) != (whole, header):
        check.fault("hls", None, f"{key} names another header than {whole}", check.remedy_of_views())
    for gop, entry in enumerate(playlist.entries[: len(ranges)]):
        start, size = ranges[gop]
        _check_duration(check, key, gop, entry)
        if (entry.key, entry.part) != (whole, (start, start + size)):
            text = f"{key} names bytes {entry.part} of {entry.key}, expected {(start, start + size)} of {whole}"
            check.fault("hls", gop * GOP, text, check.remedy_of_views())
    if not _exists(store, whole):
        text = f"{key} names {whole}, which is missing"
        check.fault("hls", None, text, check.remedy(ledger, 0, record.generation))


def _check_captions(check: TitleCheck, store: Store, key: str, playlist: MediaPlaylist) -> None:
    """Entry g must be a WebVTT file of its own inside the one object."""
    for gop, entry in enumerate(playlist.entries):
        _check_duration(check, key, gop, entry)
    named = playlist.entries[0].key
    try:
        data = store.get(named)
    except StoreError:
        text = f"{key} names {named}, which is missing"
        check.fault("hls", None, text, check.remedy_of_views())
        return
    for gop, entry in enumerate(playlist.entries):
        start, stop = entry.part or (0, 0)
        if entry.key != named or not data[start:stop].startswith(b"WEBVTT\n") or stop > len(data):
            text = f"{key} names bytes {entry.part} of {entry.key}, which are no captions"
            check.fault("hls", gop * GOP, text, check.remedy_of_views())


def _check_duration(check: TitleCheck, key: str, gop: int, entry: Entry) -> None:
    if gop >= check.folders.gops:
        return
    first, stop = gop_range(gop, check.folders.frames)
    if abs(entry.seconds - (stop - first) / FPS) > _SLACK + 1 / FPS * (stop == check.folders.frames):
        text = f"{key} gives {entry.seconds} s, expected {(stop - first) / FPS}"
        check.fault("hls", first, text, check.remedy_of_views())


def _check_index(check: TitleCheck, store: Store, keys: list[str]) -> None:
    """The playlist that people open: it must name this stream's playlists, unless another plan's has replaced it."""
    key = f"{check.folders.title}/hls/index.m3u8"
    try:
        named = {key_of(posixpath.dirname(key), uri) for uri in uris_in(store.get(key).decode())}
    except MissingObject:
        check.fault("hls", None, f"{key} is missing, though the title is done", check.remedy_of_views())
        return
    except (StoreError, ValueError) as error:
        check.fault("hls", None, f"{key} cannot be read ({error})", check.remedy_of_views())
        return
    if named.isdisjoint(keys):
        check.other_plan("hls", f"{key} is of another plan")
        return
    for one in sorted(named):
        if not _exists(store, one):
            check.fault("hls", None, f"{key} names {one}, which is missing", check.remedy_of_views())


def _exists(store: Store, key: str) -> bool:
    try:
        return store.exists(key)
    except StoreError:
        return False  # an address that leads out of the store
