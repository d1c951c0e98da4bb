"""The catalog report with reasons of any length: a compiler's message, a table that somebody has cut."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.store.opening import open_store
from pipeline.titles.catalog_report import CSV, LONGEST_REASON, Row, failed_titles, write_report


def row(name: str, reason: str) -> Row:
    return Row(name, "failed", "", reason, 1, 2, 3, 4.0, "", 0, "", "stream", "run")


def test_a_reason_of_any_length(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write_report(store, [row("a", "x" * 200_000)])
    write_report(store, [row("b", "short")])
    assert failed_titles(store) == {"a", "b"}


def test_a_report_of_an_earlier_version_with_a_long_field_is_kept(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write_report(store, [row("a", "y" * LONGEST_REASON)])
    store.put(CSV, store.get(CSV).replace(b"y" * LONGEST_REASON, b"y" * 1_000_000))
    write_report(store, [row("b", "short")])
    assert failed_titles(store) == {"a", "b"}


@pytest.mark.parametrize("damage", [b"\0", b'"', b"\xff"])
def test_a_damaged_report_stops_no_run(tmp_path: Path, damage: bytes) -> None:
    store = open_store(str(tmp_path))
    write_report(store, [row("a", "short")])
    whole = store.get(CSV)
    store.put(CSV, whole[: len(whole) // 2] + damage + whole[len(whole) // 2 :])
    write_report(store, [row("b", "short")])
    assert "b" in (failed_titles(store) or ())


def test_a_title_that_was_removed_from_the_output_goes_from_the_table(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    rows = [Row(name, "done", "", "", 1, 1, 48, 1.92, "", 0, "", "s", "r") for name in ("kept", "gone", "here")]
    for row in rows:
        store.put(f"{row.id}/inputs.json", b"{}")
    write_report(store, rows)
    shutil.rmtree(tmp_path / "gone")
    write_report(store, rows[2:])
    assert [line.split(",")[0] for line in store.get(CSV).decode().splitlines()] == ["id", "kept", "here"]
