"""What a finished catalog has lost of its pages and tables is written again, though nothing is left to render."""

from __future__ import annotations

from pipeline.core.errors import MissingObject
from pipeline.pages.from_records import write_pages
from pipeline.store.store import Store
from pipeline.titles.catalog_report import CSV, PARQUET, row_of, write_report
from pipeline.titles.title_folders import folders_of_plan
from pipeline.titles.title_plan import TitlePlan


def restore(store: Store, plans: dict[str, TitlePlan]) -> None:
    """Write again what a run leaves for all titles, and pages, where it is gone or cut; all of these are done.

    An output without the files that all pages share never had any, or is only a part of one.
    """
    pages = ["index.html", *(f"{name}/report.html" for name in plans)]
    if "_pages" in store.folders("") and not all(_is_whole(store, key) for key in pages):
        write_pages(store, [(folders_of_plan(store, plan), ()) for plan in plans.values()])
    if not store.exists(CSV) or not store.exists(PARQUET):
        done = {"state": "done", "file": "", "reason": ""}
        rows = [
            row_of(plan, done | {"file": f"{name}/final.mp4", "gops": plan.gops}, "") for name, plan in plans.items()
        ]
        write_report(store, rows)


def _is_whole(store: Store, key: str) -> bool:
    try:
        size = store.size(key)
        return store.get_range(key, max(0, size - 20), size).rstrip().endswith(b"</html>")
    except MissingObject:
        return False
