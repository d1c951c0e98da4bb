"""The page of one title: what its records, its reports and the run say of it, brought together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from pipeline import __version__
from pipeline.core.errors import StoreError
from pipeline.core.timeline import GOP
from pipeline.pages import assets
from pipeline.pages.catalog import VERSION, Entry
from pipeline.pages.cells import STAGES, Cells, Stage
from pipeline.pages.html import encode, page, plain
from pipeline.pages.plots import curves_of
from pipeline.pages.scenes_view import ScenesView
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_folders import TitleFolders, read_json

DOWNLOADS = ("captions.vtt", "captions.srt", "report.json", "provenance.json", "evaluation.json")
AT_ONCE = 512  # records of a stage that are read before others get their turn


def data_key(title: str) -> str:
    return f"{title}/page.json"


def page_key(title: str) -> str:
    return f"{title}/report.html"


Views = dict[Stage, StageView | ScenesView]


def views_of(store: Store, folders: TitleFolders) -> Views:
    """Views of the stages that pages show. They read every record as it comes, and so leave the checkpoints."""
    views: Views = {}
    for stage in STAGES:
        if prefix := folders.prefix(stage):
            views[stage] = StageView(store, prefix, checkpoint=True)
    if folders.scenes:
        views["chain"] = ScenesView(store, folders.scenes)
    return views


def read_on(views: Mapping[Stage, StageView | ScenesView], cells: Cells, upto: Mapping[Stage, int]) -> bool:
    """Add records that `cells` does not have yet, to `upto` GOPs of each stage; whether all of them are in now."""
    for stage in STAGES:
        start = cells.read[stage]
        stop = min(upto[stage], start + AT_ONCE)
        if start < stop and stage in views:
            for record in views[stage].unbroken(range(start * GOP, stop * GOP, GOP)):
                cells.add(stage, record)
    return all(cells.read[stage] >= upto[stage] for stage in STAGES)


def page_data(
    store: Store,
    entry: Entry,
    facts: dict[str, object],
    cells: Cells,
    incidents: Sequence[Mapping[str, object]],
    written: float,
) -> dict[str, object]:
    """Everything that a title's page shows, as plain data. Reads the title's reports once it is over."""
    files, reports = _files(store, entry), _reports(store, entry)
    return plain(
        {
            "version": VERSION,
            "assets": assets.folder(),
            "software": f"Longtake {__version__}",
            "written": round(written, 1),
            "entry": asdict(entry),
            "facts": facts,
            "files": files,
            "timeline": cells.plain(),
            "incidents": [dict(one) for one in incidents],
            **reports,
        }
    )


def put_page(store: Store, entry: Entry, data: dict[str, object]) -> None:
    """The data first: an open page asks for it, and one that is opened now brings its own."""
    store.put(data_key(entry.id), encode(data))
    store.put(page_key(entry.id), page("report.html", entry.name, data, "../"))


def is_current(store: Store, entry: Entry, hashes: Mapping[str, str]) -> bool:
    """Whether the page of a title that is over says so already, in this version's form."""
    try:
        found = read_json(store, data_key(entry.id)) or {}
        there = found.get("assets") == assets.folder() and store.exists(page_key(entry.id))
    except StoreError:
        return False
    before, facts = found.get("entry"), found.get("facts")
    if not there or not isinstance(before, dict) or not isinstance(facts, dict) or facts.get("hashes") != hashes:
        return False
    return all(before.get(name) == asdict(entry)[name] for name in ("state", "upscaled", "reason"))


def said_before(store: Store, title: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    """What an earlier page said of what the title is made of, and of what was tried again: no record tells that."""
    before = read_json(store, data_key(title)) or {}
    facts, incidents = before.get("facts"), before.get("incidents")
    kept = [one for one in incidents if isinstance(one, dict)] if isinstance(incidents, list) else []
    return facts if isinstance(facts, dict) else {}, kept


def _files(store: Store, entry: Entry) -> dict[str, object]:
    """Paths, seen from the title's folder, of what there is to watch, look at and download."""

    def there(names: Iterable[str]) -> list[str]:
        return [name for name in names if store.exists(f"{entry.id}/{name}")]

    video = {"done": "final.mp4", "preview": "preview.mp4"}.get(entry.state, "")
    stream = "hls/index.m3u8" if entry.listed or entry.over else ""
    found = there(filter(None, (video, stream, "poster.jpg")))
    return {
        "video": video if video in found else "",
        "stream": stream if stream in found else "",
        "poster": "poster.jpg" if "poster.jpg" in found else "",
        "captions": there(["captions.vtt"]) if entry.state == "done" else [],
        "sheet": "contact.jpg" if entry.state == "done" and there(["contact.jpg"]) else "",
        "downloads": there(DOWNLOADS) if entry.over else [],
    }


def _reports(store: Store, entry: Entry) -> dict[str, object]:
    if entry.state != "done":
        return {}
    report, provenance, evaluation = (
        read_json(store, f"{entry.id}/{name}.json") for name in ("report", "provenance", "evaluation")
    )
    return {"report": report, "provenance": provenance, "curves": curves_of(evaluation)}
