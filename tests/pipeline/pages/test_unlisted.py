"""A title that was taken out of the manifest does not stay in the catalog as if it belonged there."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from pipeline.pages.unlisted import MARK, Reason, mark_unlisted, read_reason
from pipeline.store.opening import open_store
from pipeline.titles.catalog_report import Row, write_report
from tests.conftest import render_inline, write_manifest
from tests.support.damage import snapshot


def reasons(output: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Of the table and of the page, which hold the same titles as the file that open pages ask for."""
    with (output / "catalog.csv").open() as file:
        table = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    data = json.loads((output / "_pages/catalog.json").read_text())
    page = {one["id"]: one["reason"] for one in data["titles"]}
    shown = (output / "index.html").read_text()
    assert all(f'"id":"{name}"' in shown.replace('": "', '":"') for name in page)
    assert (MARK in shown) == any(reason.startswith(MARK) for reason in page.values())
    return table, page


@pytest.mark.parametrize("more", [(), ("--skip-done",), ("--only", "a")])
def test_a_title_that_was_taken_out_is_marked(
    tmp_path: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    titles = [{"id": name, "frames": 10} for name in ("a", "b", "c")]
    manifest = write_manifest(tmp_path, titles)
    assert render_inline(manifest) == 0
    assert reasons(tmp_path / "out") == (dict.fromkeys("abc", ""), dict.fromkeys("abc", ""))
    write_manifest(tmp_path, titles[:2])
    capsys.readouterr()
    assert render_inline(manifest, *more) == 0, "nothing is left to do, but for that"
    assert "c: no longer in the manifest; " in capsys.readouterr().err
    marked = {"a": "", "b": "", "c": MARK}
    assert reasons(tmp_path / "out") == (marked, marked)
    assert (tmp_path / "out/c/final.mp4").exists()
    before = snapshot(tmp_path / "out")
    assert render_inline(manifest, *more) == 0
    assert "no longer" not in capsys.readouterr().err
    assert snapshot(tmp_path / "out") == before, "what is told once is told"


def test_another_run_keeps_the_mark_and_a_title_that_comes_back_loses_it(tmp_path: Path) -> None:
    titles = [{"id": name, "frames": 10, "files": place} for place, name in enumerate("ab")]
    manifest = write_manifest(tmp_path, titles)
    assert render_inline(manifest) == 0
    write_manifest(tmp_path, [titles[0], {"id": "d", "frames": 12, "files": 7}])
    assert render_inline(manifest) == 0
    marked = {"a": "", "b": MARK, "d": ""}
    assert reasons(tmp_path / "out") == (marked, marked)
    write_manifest(tmp_path, titles)
    assert render_inline(manifest) == 0
    marked = {"a": "", "b": "", "d": MARK}
    assert reasons(tmp_path / "out") == (marked, marked)
    shutil.rmtree(tmp_path / "out/d")
    assert render_inline(manifest) == 0
    assert reasons(tmp_path / "out") == (dict.fromkeys("ab", ""), dict.fromkeys("ab", ""))


@pytest.mark.parametrize(
    "reason", [Reason(""), Reason("no disk"), Reason("", True), Reason("no disk; try again", True)]
)
def test_a_reason_is_read_as_it_was_written(reason: Reason) -> None:
    assert read_reason(str(reason)) == reason


def test_why_it_failed_is_still_said(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write_report(store, [Row("x", "failed", "", "no such disk", 1, 2, 48, 1.92, "", 0, "", "s", "r")])
    store.put("x/inputs.json", b"{}")
    assert mark_unlisted(store, ["y"]) == ["x"]
    assert f"{MARK}; no such disk" in store.get("catalog.csv").decode()
    assert mark_unlisted(store, ["x"]) == []
    assert MARK not in store.get("catalog.csv").decode()
    assert "no such disk" in store.get("catalog.csv").decode()


def test_a_dry_run_and_a_manifest_with_mistakes_mark_nothing(tmp_path: Path) -> None:
    titles = [{"id": name, "frames": 10} for name in ("a", "b")]
    manifest = write_manifest(tmp_path, titles)
    assert render_inline(manifest) == 0
    write_manifest(tmp_path, titles[:1])
    assert render_inline(manifest, "--dry-run") == 0
    good = manifest.read_text()
    manifest.write_text(good.replace("audio-0.wav", "audio-9.wav"))
    assert render_inline(manifest) == 2
    assert reasons(tmp_path / "out") == (dict.fromkeys("ab", ""), dict.fromkeys("ab", ""))
