"""Titles that the manifest names no longer, in the page and the tables of the catalog.

They are marked, not dropped: their films still lie in the output, and it may hold titles of several manifests. Once a
title's folder is gone, so is its line. A title that is named again loses the mark.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from pipeline.pages.catalog import KEY, VERSION
from pipeline.pages.html import encode, page, plain
from pipeline.store.store import Store
from pipeline.titles.catalog_report import change_reasons
from pipeline.titles.title_folders import read_json

MARK = "not in the manifest of the last run"
REMEDY = "put it back into the manifest to go on with it, or remove its folder"


@dataclass(frozen=True)
class Reason:
    """Why a title is as it is: `text`, empty where all is well, and whether the manifest names it no longer."""

    text: str
    unlisted: bool = False

    def __str__(self) -> str:
        return "; ".join(part for part in (MARK if self.unlisted else "", self.text) if part)


def read_reason(stored: str) -> Reason:
    """A reason as page and tables keep it, which have one text for both: only here is it taken apart."""
    text = stored.removeprefix(MARK)
    return Reason(text.removeprefix("; "), unlisted=text != stored)


def mark_unlisted(store: Store, named: Collection[str]) -> list[str]:
    """Bring the catalog's page and tables up to date with the ids that a manifest names; returns what is marked anew.

    Writes nothing where nothing changes.
    """
    there = set(store.folders(""))
    newly: set[str] = set()

    def reason_of(title: str, stored: str) -> Reason | None:
        before = read_reason(stored)
        if title in named:
            return Reason(before.text)
        if title not in there:
            return None
        if not before.unlisted:
            newly.add(title)
        return Reason(before.text, unlisted=True)

    def changed(title: str, stored: str) -> str | None:
        reason = reason_of(title, stored)
        return None if reason is None else str(reason)

    change_reasons(store, changed)
    data = read_json(store, KEY) or {}
    before = data.get("titles")
    if data.get("version") == VERSION and isinstance(before, list):
        entries = [_changed(one, reason_of(str(one.get("id")), str(one.get("reason", "")))) for one in before]
        if (kept := [one for one in entries if one is not None]) != before:
            told = plain(data | {"titles": kept, "written": round(time.time(), 1)})
            store.put(KEY, encode(told))
            store.put("index.html", page("index.html", str(told.get("name", "")), told, ""))
    return sorted(newly)


def _changed(entry: dict[str, object], reason: Reason | None) -> dict[str, object] | None:
    if reason is None or str(reason) == entry.get("reason"):
        return entry if reason is not None else None
    return entry | {"reason": str(reason), "remedy": REMEDY if reason.unlisted else ""}
