"""Views of a finished title: files that people open, written from its records; a report says how each was written."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.errors import MissingObject
from pipeline.store.digests import sha256
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

_BESIDE = ("poster.jpg", "thumb.jpg", "contact.jpg", "captions.vtt", "captions.srt", "provenance.json")


def written(store: Store, plan: TitlePlan) -> dict[str, dict[str, object]]:
    """sha256 and size of every view that is there, by key; for the report, which is written after them."""
    keys = [f"{plan.id}/{name}" for name in _BESIDE] + [f"{plan.id}/hls/index.m3u8"]
    keys += list(store.list(f"{plan.id}/hls/{plan.hashes.stream[:16]}"))
    found = {}
    for key in keys:
        try:
            data = store.get_range(key, 0, store.size(key))  # as it lies there: some stores keep playlists compressed
        except MissingObject:
            continue
        found[key] = {"sha256": sha256(data), "size": len(data)}
    return found


def reported(report: Mapping[str, object], *, streamed: bool) -> list[Stored]:
    """The views that a report names; without those of the stream where it was let go. Nothing of earlier versions."""
    views = report.get("views")
    found = []
    for key, facts in views.items() if isinstance(views, dict) else ():
        if (streamed or "/hls/" not in key) and isinstance(facts, dict) and type(facts.get("size")) is int:
            found.append(Stored(str(key), str(facts.get("sha256")), facts["size"]))
    return found


def lost_view(store: Store, views: list[Stored]) -> str | None:
    """What of the views is missing or of another size; None where nothing is."""
    for stored in views:
        try:
            size = store.size(stored.key)
        except MissingObject:
            return f"{stored.key} is no longer there"
        if size != stored.size:
            return f"{stored.key} has {size} bytes, expected {stored.size}"
    return None
