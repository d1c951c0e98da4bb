"""The catalog report: one row a title in `catalog.csv` and `catalog.parquet`, beside the titles' own folders."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.csv_text import NotCSV, read_csv
from pipeline.core.timeline import FPS
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

LONGEST_REASON = 32_000  # characters: a cell of a spreadsheet holds 32,767
CSV, PARQUET = "catalog.csv", "catalog.parquet"


@dataclass(frozen=True)
class Row:
    """How a title ended. `file` and `reason` are empty where there is none."""

    id: str
    state: str  # done, failed or paused
    file: str
    reason: str
    gops: int  # finished
    gops_planned: int
    frames: int
    seconds: float
    owner: str
    priority: int
    due: str
    stream: str  # hash of what was asked for
    run: str


def row_of(plan: TitlePlan, end: Mapping[str, object], run: str) -> Row:
    return Row(
        id=plan.id,
        state=str(end["state"]),
        file=str(end.get("file", "")),
        reason=_short(str(end.get("reason", ""))),
        gops=int(str(end["gops"])),
        gops_planned=plan.gops,
        frames=plan.frames,
        seconds=plan.frames / FPS,
        owner=plan.options.owner,
        priority=plan.priority,
        due=plan.options.due or "",
        stream=plan.hashes.stream,
        run=run,
    )


def _short(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"


def write_report(store: Store, rows: list[Row]) -> None:
    """Replace both files. Rows of titles that this run was not about stay as an earlier run has left them, but for
    finished ones of which the output holds nothing any more."""
    there = set(store.folders(""))
    kept = {row["id"]: row for row in _earlier(store) if row["id"] in there or row["state"] != "done"}
    new = {row.id: {name: _plain(value) for name, value in asdict(row).items()} for row in rows}
    _write(store, list((kept | new).values()))


def change_reasons(store: Store, changed: Callable[[str, str], str | None]) -> None:
    """Give the rows that are there other reasons, by id and reason; None takes a row out. Writes what changes only."""
    before = _earlier(store)
    found = [(row, changed(row["id"], row["reason"])) for row in before]
    table = [row | {"reason": reason} for row, reason in found if reason is not None]
    if table != before:
        _write(store, table)


def _write(store: Store, table: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    store.put(CSV, text.getvalue().encode())
    columns = {field.name: [_typed(field.name, row[field.name]) for row in table] for field in fields(Row)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    store.put(PARQUET, buffer.getvalue())


def failed_titles(store: Store) -> set[str] | None:
    """Titles that failed when they were last tried; None where there is no report."""
    return {row["id"] for row in _earlier(store) if row["state"] == "failed"} if store.exists(CSV) else None


def _earlier(store: Store) -> list[dict[str, str]]:
    """Rows of the report that is there; nothing where it is of another form."""
    if not store.exists(CSV):
        return []
    try:
        names, rows = read_csv(store.get(CSV).decode(errors="replace"))
        if names != [field.name for field in fields(Row)]:
            return []
        whole = (row for _, row in rows if None not in row and None not in row.values())
        return [cast(dict[str, str], row) for row in whole if _is_typed(cast(dict[str, str], row))]
    except NotCSV:
        return []


def _is_typed(row: Mapping[str, str]) -> bool:
    try:
        return bool([_typed(name, text) for name, text in row.items()])
    except ValueError:
        return False


def _plain(value: object) -> str:
    """Text for a table; what a spreadsheet would take for a formula is quoted."""
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and not isinstance(value, int | float) else text


_TYPES = {"gops": int, "gops_planned": int, "frames": int, "priority": int, "seconds": float}


def _typed(name: str, text: str) -> object:
    return _TYPES.get(name, str)(text)
