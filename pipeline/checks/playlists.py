"""Checks of the playlists: they list exactly the committed prefix, and everything that they name exists."""

from __future__ import annotations

import posixpath
from typing import Literal

from pipeline.checks.findings import Findings
from pipeline.core.errors import MissingObject, StoreError
from pipeline.core.timeline import FPS, GOP, gop_range
from pipeline.media.m3u8 import Entry, MediaPlaylist, key_of, media_playlists, read_media_playlist, uris_in
from pipeline.store.ledger import Ledger
from pipeline.store.small_json import parse_json
from pipeline.store.store import Store
from pipeline.titles.found import readable

Kind = Literal["pictures", "sound", "captions"]

_SLACK = 0.001  # seconds by which a listed duration may be rounded


def check_playlists(findings: Findings, store: Store, committed: int) -> None:
    """Playlists of the title's stream; `committed` GOPs have a fragment, counted without a gap."""
    found = findings.found
    if not found.stream or "stream" in findings.dropped:
        return
    keys = media_playlists(store, found.title, found.stream_hash)
    kinds = [_check_media_playlist(findings, store, key, committed) for key in keys]
    if findings.done:
        for kind in ("pictures", "sound"):
            if kind not in kinds:
                text = f"no playlist lists the {kind}, though the title is done"
                findings.fault("hls", None, text, findings.remedy_of_views())
        _check_index(findings, store, keys)


def _check_media_playlist(findings: Findings, store: Store, key: str, committed: int) -> Kind | None:
    """Check one playlist; returns what it lists."""
    found = findings.found
    try:
        playlist = read_media_playlist(store.get(key).decode(), key)
    except (StoreError, ValueError) as error:
        findings.fault("hls", None, f"{key} cannot be read ({error})", findings.remedy_of_views())
        return None
    entries, ended = playlist.entries, playlist.ended
    if len(entries) > committed or (findings.done and len(entries) != committed):
        text = f"{key} lists {len(entries)} GOPs, {committed} are committed"
        findings.fault("hls", None, text, findings.remedy_of_views())
    if ended != (len(entries) == found.gops):
        text = f"{key} lists {len(entries)} of {found.gops} GOPs and {'has' if ended else 'lacks'} EXT-X-ENDLIST"
        findings.fault("hls", None, text, findings.remedy_of_views())
    if not entries:
        return None
    heard = found.plan.prefix(found.plan.heard) if found.plan else "/".join(entries[0].key.split("/")[:3])
    if entries[0].key.startswith((f"{found.title}/sound/", f"{found.title}/loudness/")):
        _check_sound(findings, store, key, playlist, heard)
        return "sound"
    if entries[0].key.endswith(".vtt"):
        _check_captions(findings, store, key, playlist)
        return "captions"
    _check_pictures(findings, key, playlist)
    return "pictures"


def _check_pictures(findings: Findings, key: str, playlist: MediaPlaylist) -> None:
    """Entry g must be the fragment that the record of GOP g names."""
    suffix = key.rpartition("/")[2].removeprefix("video").removesuffix(".m3u8")  # of the rendition
    init, name = f"{findings.found.stream}/init{suffix}.mp4", f"fragment{suffix}"
    if playlist.init is None or playlist.init.key != init:
        named = playlist.init.key if playlist.init else "none"
        findings.fault("hls", None, f"{key} names the header {named}, expected {init}", findings.remedy_of_views())
    for gop, entry in enumerate(playlist.entries):
        if gop >= findings.found.gops:
            return  # told by the count
        expected = findings.fragments.get(name, {}).get(gop)
        if expected is None:
            continue  # told by the check of the stream
        _check_duration(findings, key, gop, entry)
        if entry.key != expected:
            text = f"{key} names {entry.key}, the record names {expected}"
            findings.fault("hls", gop * GOP, text, findings.remedy_of_views())


def _check_sound(findings: Findings, store: Store, key: str, playlist: MediaPlaylist, heard: str) -> None:
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
        findings.fault("hls", None, f"{key} names another header than {whole}", findings.remedy_of_views())
    for gop, entry in enumerate(playlist.entries[: len(ranges)]):
        start, size = ranges[gop]
        _check_duration(findings, key, gop, entry)
        if (entry.key, entry.part) != (whole, (start, start + size)):
            text = f"{key} names bytes {entry.part} of {entry.key}, expected {(start, start + size)} of {whole}"
            findings.fault("hls", gop * GOP, text, findings.remedy_of_views())
    if not _exists(store, whole):
        text = f"{key} names {whole}, which is missing"
        findings.fault("hls", None, text, findings.remedy(ledger, 0, record.generation))


def _check_captions(findings: Findings, store: Store, key: str, playlist: MediaPlaylist) -> None:
    """Entry g must be a WebVTT file of its own inside the one object."""
    for gop, entry in enumerate(playlist.entries):
        _check_duration(findings, key, gop, entry)
    named = playlist.entries[0].key
    try:
        data = store.get(named)
    except StoreError:
        text = f"{key} names {named}, which is missing"
        findings.fault("hls", None, text, findings.remedy_of_views())
        return
    for gop, entry in enumerate(playlist.entries):
        start, stop = entry.part or (0, 0)
        if entry.key != named or not data[start:stop].startswith(b"WEBVTT\n") or stop > len(data):
            text = f"{key} names bytes {entry.part} of {entry.key}, which are no captions"
            findings.fault("hls", gop * GOP, text, findings.remedy_of_views())


def _check_duration(findings: Findings, key: str, gop: int, entry: Entry) -> None:
    if gop >= findings.found.gops:
        return
    first, stop = gop_range(gop, findings.found.frames)
    if abs(entry.seconds - (stop - first) / FPS) > _SLACK + 1 / FPS * (stop == findings.found.frames):
        text = f"{key} gives {entry.seconds} s, expected {(stop - first) / FPS}"
        findings.fault("hls", first, text, findings.remedy_of_views())


def _check_index(findings: Findings, store: Store, keys: list[str]) -> None:
    """The playlist that people open: it must name this stream's playlists, unless another plan's has replaced it."""
    key = f"{findings.found.title}/hls/index.m3u8"
    try:
        named = {key_of(posixpath.dirname(key), uri) for uri in uris_in(store.get(key).decode())}
    except MissingObject:
        findings.fault("hls", None, f"{key} is missing, though the title is done", findings.remedy_of_views())
        return
    except (StoreError, ValueError) as error:
        findings.fault("hls", None, f"{key} cannot be read ({error})", findings.remedy_of_views())
        return
    if named.isdisjoint(keys):
        findings.other_plan("hls", f"{key} is of another plan")
        return
    for one in sorted(named):
        if not _exists(store, one):
            findings.fault("hls", None, f"{key} names {one}, which is missing", findings.remedy_of_views())


def _exists(store: Store, key: str) -> bool:
    try:
        return store.exists(key)
    except StoreError:
        return False  # an address that leads out of the store
