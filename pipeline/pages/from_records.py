"""The pages of titles that no run is working on, written from records and reports."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from pipeline.checks.status_of import last_ends, status_of
from pipeline.pages.assets import put_assets
from pipeline.pages.catalog import KEY, Entry, catalog, catalog_name, entry_of_status, name_of
from pipeline.pages.cells import Cells, Stage
from pipeline.pages.facts import facts_of, input_names
from pipeline.pages.html import encode, page, plain
from pipeline.pages.title_page import page_data, put_page, read_on, said_before, views_of
from pipeline.store.store import Store
from pipeline.titles.title_folders import TitleFolders, read_json


def write_pages(store: Store, titles: Iterable[tuple[TitleFolders, tuple[str, ...]]]) -> int:
    """Write the pages of these titles and the catalog with them in it; returns how many titles those are."""
    put_assets(store)
    ends = last_ends(store)
    entries: dict[str, Entry] = {}
    for folders in _current(store, (folders for folders, _ in titles)):
        entries[folders.title] = write_title(store, folders, ends.get(folders.title))
    before = read_json(store, KEY) or {}
    run = before.get("run")
    name = catalog_name(store)
    data = plain(catalog(name, entries.values(), before, run if isinstance(run, dict) else {}, time.time()))
    store.put(KEY, encode(data))
    store.put("index.html", page("index.html", name, data, ""))
    return len(entries)


def write_title(store: Store, folders: TitleFolders, end: dict[str, object] | None = None) -> Entry:
    """Write the page of one title; `end` is how the newest run left it. For whatever adds to a title afterwards."""
    title = folders.title
    facts, incidents = said_before(store, title)
    if folders.plan:
        facts = facts_of(folders.plan, input_names(store, title))
    name = name_of(folders.plan) if folders.plan else _name(facts, title)
    status = status_of(store, folders, end)
    entry = entry_of_status(status, name, time.time())
    entry = replace(entry, thumb=store.exists(f"{title}/thumb.jpg"), page=True, retries=len(incidents))
    cells = Cells(folders.gops)
    views = views_of(store, folders)
    upto: dict[Stage, int] = {"chain": entry.chained, "stream": entry.upscaled}
    known = -1
    while not read_on(views, cells, upto) and sum(cells.read.values()) > known:
        known = sum(cells.read.values())
    put_page(store, entry, page_data(store, entry, facts or _reported(store, title), cells, incidents, time.time()))
    return entry


def _current(store: Store, titles: Iterable[TitleFolders]) -> Iterable[TitleFolders]:
    """One for each title: of several streams the one that its report names, else the last."""
    best: dict[str, TitleFolders] = {}
    for folders in titles:
        hashes = (read_json(store, f"{folders.title}/report.json") or {}).get("hashes")
        made = str(hashes.get("stream")) if isinstance(hashes, dict) else ""
        held = best.get(folders.title)
        if held is None or not (held.stream_hash and made.startswith(held.stream_hash)):
            best[folders.title] = folders
    return best.values()


def _name(facts: dict[str, object], title: str) -> str:
    tags = facts.get("tags")
    found = [tag[1] for tag in tags if isinstance(tag, list) and tag[:1] == ["title"]] if isinstance(tags, list) else []
    return str(found[0]) if found else title


def _reported(store: Store, title: str) -> dict[str, object]:
    """What a report tells of a title whose plan nobody knows any more."""
    report, given = (read_json(store, f"{title}/{name}.json") or {} for name in ("report", "provenance"))
    options, inputs = report.get("options"), given.get("inputs")
    names = input_names(store, title)
    files = (
        [("portrait", inputs.get("portrait")), *(("audio", one) for one in inputs.get("audio", ()))] if inputs else []
    )
    return {
        "family": report.get("family", ""),
        "note": report.get("note", ""),
        "frames": report.get("frames", 0),
        "seed": str(report.get("seed", "")),
        "inputs": [{"role": role, "name": names.get(str(one), ""), "sha256": str(one)} for role, one in files],
        "options": [{"name": name, "value": str(value), "enters": ""} for name, value in (options or {}).items()],
        "hashes": report.get("hashes", {}),
        "weights": {"hash": str(given.get("weights", "")), "files": []},
    }
