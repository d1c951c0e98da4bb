"""Titles that the manifest names no longer, in the page and the tables of the catalog.

They are marked, not dropped: their films still lie in the output, and it may hold titles of several manifests. Once a
title's folder is gone, so is its line. A title that is named again loses the mark.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from pipeline.pages.catalog import KEY, VERSION
from pipeline.pages.html import encode, page, plain
from pipeline.store.store import Store
from pipeline.titles.catalog_report import change_reasons
from pipeline.titles.title_folders import read_json

MARK = "not in the manifest of the last run"
REMEDY = "put it back into the manifest to go on with it, or remove its folder"


def mark_unlisted(store: Store, named: Collection[str]) -> list[str]:
    """Bring the catalog's page and tables up to date with the ids that a manifest names; returns what is marked anew.

    Writes nothing where nothing changes.
    """
    there = set(store.folders(""))
    newly: set[str] = set()

    def reason_of(title: str, reason: str) -> str | None:
        known = reason.removeprefix(MARK).removeprefix("; ")
        if title in named:
            return known
        if title not in there:
            return None
        if not reason.startswith(MARK):
            newly.add(title)
        return f"{MARK}; {known}" if known else MARK

    change_reasons(store, reason_of)
    data = read_json(store, KEY) or {}
    before = data.get("titles")
    if data.get("version") == VERSION and isinstance(before, list):
        entries = [_changed(one, reason_of(str(one.get("id")), str(one.get("reason", "")))) for one in before]
        if (kept := [one for one in entries if one is not None]) != before:
            told = plain(data | {"titles": kept, "written": round(time.time(), 1)})
            store.put(KEY, encode(told))
            store.put("index.html", page("index.html", str(told.get("name", "")), told, ""))
    return sorted(newly)


def _changed(entry: dict[str, object], reason: str | None) -> dict[str, object] | None:
    if reason is None or reason == entry.get("reason"):
        return entry if reason is not None else None
    return entry | {"reason": reason, "remedy": REMEDY if reason.startswith(MARK) else ""}
