"""What makes catalogs of hundreds of titles bearable: tables, choices of what to render, a report, shared portraits."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from models.families.registry import FAMILIES
from pipeline.core.errors import ManifestError
from pipeline.manifest.catalog import load_manifest
from tests.conftest import render_inline, write_manifest, write_portrait, write_wav

HEAD = {"version": 1, "output": "out", "family": "fake", "defaults": {"resolution": 64, "base_size": 64}}


def manifest_of(folder: Path, **more: Any) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(HEAD | more, sort_keys=False))
    return path


def test_titles_from_a_table_with_overrides(tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_text(
        "id,portrait,audio,priority,crf,face_box,owner\n"
        'one,p.png,a.wav,5,23,"[1, 2, 3, 4]",studio a\n'
        "two,p.png,a.wav; b.wav,,,,\n"
    )
    own = [{"id": "two", "crf": 30}, {"id": "three", "portrait": "p.png", "audio": "c.wav"}]
    catalog = load_manifest(manifest_of(tmp_path, titles_from=[{"table": "books.csv"}], titles=own), families=FAMILIES)
    one, two, three = catalog.titles
    assert (one.id, one.priority, one.options.crf, one.options.owner) == ("one", 5, 23, "studio a")
    assert one.options.face_box == (1, 2, 3, 4)
    assert (two.id, two.priority, two.options.crf) == ("two", 0, 30)
    assert two.audio == (str(tmp_path / "a.wav"), str(tmp_path / "b.wav"))
    assert three.id == "three"


def test_titles_from_parquet(tmp_path: Path) -> None:
    rows = {"id": ["a", "b"], "portrait": ["p.png"] * 2, "audio": [["x.wav", "y.wav"], ["z.wav"]], "seed": [7, None]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    a, b = load_manifest(manifest_of(tmp_path, titles_from=[{"table": "t.parquet"}]), families=FAMILIES).titles
    assert (a.seed, [Path(one).name for one in a.audio]) == (7, ["x.wav", "y.wav"])
    assert b.seed != 7


def test_titles_from_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    for name in ("Chapter 2.wav", "chapter-1.wav", "notes.txt"):
        (tmp_path / "audio" / name).write_bytes(b"x")
    source = {"glob": "audio/*.wav", "portrait": "faces/{name}.png", "crf": 25}
    titles = load_manifest(manifest_of(tmp_path, titles_from=[source]), families=FAMILIES).titles
    assert [title.id for title in titles] == ["chapter-2", "chapter-1"]
    assert titles[0].portrait == str(tmp_path / "faces" / "Chapter 2.png")
    assert titles[1].audio == (str(tmp_path / "audio" / "chapter-1.wav"),)
    assert {title.options.crf for title in titles} == {25}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"table": "gone.csv"}, "gone.csv"),
        ({"glob": "*.flac", "portrait": "p.png"}, "holds no title"),
        ({"portrait": "p.png"}, "either `table` or `glob`"),
        ({"table": "bad.csv"}, "(bad.csv, line 3)"),
        ({"table": "ragged.csv"}, "line 2 has not as many cells"),
    ],
)
def test_mistakes_name_the_row(tmp_path: Path, source: dict[str, str], said: str) -> None:
    (tmp_path / "bad.csv").write_text("id,portrait,audio,crf\na,p.png,a.wav,20\nb,p.png,a.wav,high\n")
    (tmp_path / "ragged.csv").write_text("id,portrait,audio\na,p.png\n")
    with pytest.raises(ManifestError) as error:
        load_manifest(manifest_of(tmp_path, titles_from=[source]), families=FAMILIES)
    assert said in str(error.value)


def rows(output: Path) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in csv.DictReader((output / "catalog.csv").open())}


def test_the_report_says_how_every_title_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what failed can be tried again alone; what is done is not looked at."""
    titles = [{"id": "good", "frames": 20, "owner": "a"}, {"id": "bad", "frames": 30, "priority": 3}]
    manifest, output = write_manifest(tmp_path, titles), tmp_path / "out"
    assert render_inline(manifest, "--only", "bad", "--preview", "1.92") in (0, 2)
    assert render_inline(manifest) == 0
    assert {row["state"] for row in rows(output).values()} == {"done"}
    table = pq.read_table(output / "catalog.parquet").to_pylist()
    assert [(row["id"], row["gops"], row["frames"], row["owner"]) for row in table][-2:] == [
        ("bad", 1, 30, ""),
        ("good", 1, 20, "a"),
    ] or {row["id"] for row in table} == {"good", "bad"}
    (tmp_path / "audio-0.wav").unlink()
    assert render_inline(manifest, "--skip-done") == 0, "though the source of one is gone"
    assert "Nothing is left to render" in capsys.readouterr().err
    assert render_inline(manifest, "--retry-failed") == 0


def test_only_what_failed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from actors.publish import PublishWorker

    manifest, output = write_manifest(tmp_path, [{"id": n, "frames": 20} for n in ("a", "b", "c")]), tmp_path / "out"
    work_on = PublishWorker.work_on

    def fails(self, job, plan):  # type: ignore[no-untyped-def]
        if plan.id == "b" and job.kind == "finish":
            raise ValueError("no such disk")
        yield from work_on(self, job, plan)

    with monkeypatch.context() as patch:
        patch.setattr(PublishWorker, "work_on", fails)
        assert render_inline(manifest) == 1
    found = rows(output)
    assert {name: row["state"] for name, row in found.items()} == {"a": "done", "b": "failed", "c": "done"}
    assert "no such disk" in found["b"]["reason"]
    run = found["a"]["run"]
    assert render_inline(manifest, "--retry-failed") == 0
    found = rows(output)
    assert found["b"]["state"] == "done"
    assert found["a"]["run"] == run != found["b"]["run"]


def test_no_report_to_retry_from(tmp_path: Path) -> None:
    assert render_inline(write_manifest(tmp_path, [20]), "--retry-failed") == 2


def test_fail_fast_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from actors.prepare import PrepareWorker
    from pipeline.core.errors import InputError

    work_on = PrepareWorker.work_on

    def fails(self, job, plan):  # type: ignore[no-untyped-def]
        if plan.id == "title-0":
            raise InputError("not a face")
        yield from work_on(self, job, plan)

    monkeypatch.setattr(PrepareWorker, "work_on", fails)
    manifest = write_manifest(tmp_path, [600, 600, 600])
    assert render_inline(manifest, "--fail-fast") == 1
    found = rows(tmp_path / "out")
    assert found["title-0"]["state"] == "failed"
    assert "not a face" in found["title-0"]["reason"]
    assert found["title-1"]["state"] == found["title-2"]["state"] == "paused"


def test_identical_portraits_are_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.families.fake import Prepare

    calls = []
    conditioning = Prepare.conditioning
    monkeypatch.setattr(Prepare, "conditioning", lambda *args: calls.append(1) or conditioning(*args))
    face = write_portrait(tmp_path / "face.png").name
    titles = [{"id": f"t{n}", "frames": 20, "portrait": face} for n in range(3)]
    titles.append({"id": "other", "frames": 20, "portrait": face, "face_box": [1, 1, 20, 20]})
    manifest = write_manifest(tmp_path, titles)
    assert render_inline(manifest) == 0
    assert len(calls) == 2, "once as it is, once with a box"
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/chain/*/conditioning/0*.json")]
    keys = {record["objects"]["arrays"]["key"] for record in records}
    assert len(keys) == 4, "every title has a copy of its own"
    for path in (tmp_path / "out" / "_portraits").iterdir():
        path.write_bytes(b"damaged")
    write_wav(tmp_path / "audio-0.wav", 25, seed=9)
    assert render_inline(manifest) == 0, "what is damaged is prepared anew"
    assert len(calls) == 3
