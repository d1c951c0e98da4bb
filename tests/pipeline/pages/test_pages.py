"""The pages as text and data: nothing gets out of its place, sizes are bounded, and what is written follows the run."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.prepare import PrepareWorker
from pipeline import evaluate, pages_command
from pipeline.core.command import run_command
from pipeline.core.errors import InputError, StoreError
from pipeline.pages import assets, writer
from pipeline.pages.catalog import OVER, Entry, catalog
from pipeline.pages.cells import MOST_CELLS, Cells
from pipeline.pages.html import page, plain
from pipeline.pages.plots import MOST_POINTS, curves_of, thinned
from pipeline.pages.remedies import remedy
from pipeline.scheduler.work import Done, Job
from pipeline.store.local import LocalStore
from pipeline.store.record import Record
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import Rendered, render_inline, write_manifest
from tests.support.hostile_text import HOSTILE, hostile

MARKUP = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser")


class Found(HTMLParser):
    """Tags of a page with their attributes, and the text of its data."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data, self._in_data = "", False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_data = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data


def tags_of(text: str) -> list[tuple[str, dict[str, str | None]]]:
    return Found(text).tags


@pytest.mark.parametrize("frame", assets.FRAMES)
@settings(max_examples=40)
@given(text=st.one_of(st.sampled_from(HOSTILE), st.text()))
def test_no_text_changes_a_page(frame: str, text: str) -> None:
    harmless = page(frame, "title", {"text": "words"}, "").decode()
    made = page(frame, text, {"text": text, text: [text]}, "").decode("utf-8", "surrogatepass")
    assert tags_of(made) == tags_of(harmless)
    assert json.loads(Found(made).data) == {"text": text, text: [text]}


@pytest.mark.parametrize("frame", assets.FRAMES)
def test_the_policy_of_a_page(frame: str) -> None:
    tags = tags_of(page(frame, "title", {}, "../").decode())
    policy = next(facts["content"] or "" for _, facts in tags if facts.get("http-equiv") == "Content-Security-Policy")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "default-src 'none'" in policy
    for tag, facts in tags:
        assert not [name for name in facts if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            address = facts.get(name)
            assert address is None or re.match(r"(\.\./)?_pages/|#|\.\./index\.html", address), (tag, address)
        if tag == "script":
            assert "src" in facts or facts.get("type") == "application/json"


def test_scripts_never_take_text_for_markup() -> None:
    own = [name for name in assets.SHARED if name.endswith(".js") and name != "hls.min.js"]
    assert len(own) == 6
    for name in own:
        text = assets.read(name).decode()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
        ):
            assert word not in text, (name, word)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name


def test_the_player_is_the_published_one() -> None:
    assert hashlib.sha256(assets.read("hls.min.js")).hexdigest() == assets.HLS_SHA256
    assert assets.HLS_VERSION.encode() in assets.read("hls.min.js")
    assert b"Apache License, Version 2.0" in assets.read("hls.LICENSE.txt")


def test_credentials_do_not_reach_a_page() -> None:
    told = plain({"reason": ["s3://me:secret@host/x?sig=abc: denied"]})
    assert "secret" not in json.dumps(told)
    assert "abc" not in json.dumps(told)


# -- sizes ----------------------------------------------------------------------------------------------------------


def record(gop: int, **made: object) -> Record:
    facts = {"at": "2026-01-02T03:04:05Z", "host": "one", "seconds": 2.0} | made
    return Record("chain", "t", "p", gop * 48, 48, "a", {}, made=facts)


@given(gops=st.integers(1, 40_000))
def test_every_gop_has_a_cell_and_cells_are_few(gops: int) -> None:
    cells = Cells(gops)
    assert cells.count <= MOST_CELLS
    assert (cells.count - 1) * cells.per_cell < gops <= cells.count * cells.per_cell


def test_cells_add_up_what_records_say() -> None:
    cells = Cells(2 * MOST_CELLS)
    for gop in range(3):
        cells.add("chain", record(gop, host="one" if gop != 1 else "two", seconds=1.5))
    told = cells.plain()
    assert (told["per_cell"], told["chain"]["made"], told["chain"]["host"]) == (2, [2, 1], [-1, 0])
    assert told["chain"]["seconds"] == [3.0, 1.5]
    assert [(host["name"], host["chain"]) for host in told["hosts"]] == [("one", 2), ("two", 1)]


def test_damaged_facts_of_a_record_are_no_trouble() -> None:
    cells = Cells(3)
    cells.add("stream", record(0, at=None, host=None, seconds="long"))
    cells.add("stream", record(1, at="yesterday", seconds=float("nan")))
    assert cells.plain()["stream"]["made"] == [1, 1]
    page("report.html", "t", cells.plain(), "")


def test_a_long_title_has_a_small_page() -> None:
    cells = Cells(18_750)  # ten hours
    for gop in range(18_750):
        for stage in ("chain", "stream"):
            cells.add(stage, record(gop, host=f"host-{gop % 999}", seconds=gop / 7))  # type: ignore[arg-type]
    assert len(json.dumps(cells.plain())) < 60_000


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=5000))
def test_curves_are_thinned_to_what_can_be_drawn(values: list[float | None]) -> None:
    step, thin = thinned(values)
    assert len(thin) <= MOST_POINTS
    assert len(thin) == -(-len(values) // step)


def test_curves_of_whatever_evaluate_left() -> None:
    assert curves_of(None) is None
    assert curves_of({"per_second": "damaged", "note": "x"}) is None
    found = curves_of(
        {"series": {"identity": [1, None, 0.5, float("nan")], "names": ["a"]}, "mouth_r": 0.9, "frames": 9, "ok": True}
    )
    assert found == {
        "series": [{"name": "identity", "step": 1, "values": [1.0, None, 0.5, None]}],
        "sums": {"mouth_r": 0.9},
    }


# -- the catalog ----------------------------------------------------------------------------------------------------


def test_titles_of_other_runs_stay_in_the_catalog() -> None:
    first = catalog("c", [Entry("a", "a", "done", 1.0, 1), Entry("b", "b", "failed", 1.0, 1)], None, {}, 1.0)
    second = catalog("c", [Entry("b", "b", "done", 1.0, 1)], first, {}, 2.0)
    assert [(one["id"], one["state"]) for one in second["titles"]] == [("b", "done"), ("a", "done")]
    assert catalog("c", [], {"version": 99, "titles": [{"id": "x"}]}, {}, 1.0)["titles"] == []


def test_whatever_went_wrong_has_a_remedy() -> None:
    for state in OVER:
        assert bool(remedy(state, "user")) == (state in ("failed", "paused", "damaged"))
    assert "verify" in remedy("failed", "poison")


# -- what a run writes ----------------------------------------------------------------------------------------------


def data_in(path: Path) -> dict:  # type: ignore[type-arg]
    return json.loads(Found(path.read_text()).data)


def test_a_run_leaves_its_pages(finished: Rendered) -> None:
    told = data_in(finished.output / "index.html")
    assert told == json.loads((finished.output / "_pages" / "catalog.json").read_text())
    assert told["run"]["state"] == "ended"
    (entry,) = told["titles"]
    assert (entry["id"], entry["state"], entry["gops"], entry["upscaled"]) == ("reading", "done", 3, 3)
    assert entry["thumb"]
    assert entry["page"]
    folder = finished.output / "reading"
    title = data_in(folder / "report.html")
    assert title == json.loads((folder / "page.json").read_text())
    assert title["files"]["video"] == "final.mp4"
    assert title["files"]["stream"] == "hls/index.m3u8"
    assert title["timeline"]["chain"]["made"] == title["timeline"]["stream"]["made"] == [1, 1, 1]
    assert [(one["role"], one["name"]) for one in title["facts"]["inputs"]] == [
        ("portrait", "portrait-0.png"),
        ("audio", "audio-0.wav"),
    ]
    assert title["provenance"]["file"]["sha256"] == title["report"]["final"]["sha256"]
    assert str(finished.output.parent) not in json.dumps(title)
    for name in assets.SHARED:
        assert (finished.output / assets.folder() / name).read_bytes() == assets.read(name)


def test_a_hostile_title_is_data_only(tmp_path: Path) -> None:
    titles = [{"id": "one", "frames": 20, "prompts": [{"at": 0, "text": hostile(0)}]}]
    assert render_inline(write_manifest(tmp_path, titles)) == 0
    path = tmp_path / "out" / "one" / "report.html"
    assert data_in(path)["facts"]["prompts"][0]["text"] == hostile(0)
    assert tags_of(path.read_text()) == tags_of(page("report.html", "one", {}, "../").decode())


def test_the_command_writes_the_same_pages(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    folder = rendered.output / "reading"
    before = data_in(folder / "report.html")
    for target in (str(rendered.manifest), str(rendered.output)):
        for path in (rendered.output / "index.html", folder / "report.html", folder / "page.json"):
            path.unlink()
            if target == str(rendered.output) and path.name == "page.json":
                path.write_text(json.dumps(before))
        assert pages_command.run([target]) == 0
        after = data_in(folder / "report.html")
        for name in ("facts", "files", "timeline", "report", "provenance"):
            assert after[name] == before[name], name
        for name in ("id", "state", "gops", "chained", "upscaled", "stream", "thumb"):
            assert after["entry"][name] == before["entry"][name], name
    assert "1 titles" in capsys.readouterr().out


def test_the_command_knows_outputs_that_never_had_pages(rendered: Rendered) -> None:
    (rendered.output / "reading" / "page.json").unlink()
    (rendered.output / "_pages" / "catalog.json").unlink()
    assert pages_command.run([str(rendered.output)]) == 0
    told = data_in(rendered.output / "reading" / "report.html")
    assert told["facts"]["hashes"] == told["report"]["hashes"]
    assert [one["role"] for one in told["facts"]["inputs"]] == ["portrait", "audio"]


def test_a_failed_title_says_why_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_manifest(tmp_path, [{"id": "good", "frames": 20}, {"id": "bad", "frames": 30}])
    sound = hashlib.sha256((tmp_path / "audio-1.wav").read_bytes()).hexdigest()
    work_on = PrepareWorker.work_on

    def fails(self: PrepareWorker, job: Job, plan: TitlePlan) -> Iterator[Done]:
        if job.title == "bad":
            raise InputError(f"{sound[:12]}… cannot be read; export that passage again")
        yield from work_on(self, job, plan)

    monkeypatch.setattr(PrepareWorker, "work_on", fails)
    assert render_inline(manifest) != 0
    entries = {one["id"]: one for one in data_in(tmp_path / "out" / "index.html")["titles"]}
    assert entries["good"]["state"] == "done"
    assert entries["bad"]["state"] in ("failed", "paused")
    assert sound[:12] in entries["bad"]["reason"]
    assert entries["bad"]["remedy"]
    assert data_in(tmp_path / "out" / "bad" / "report.html")["incidents"]


def test_pages_that_cannot_be_written_do_not_stop_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put = LocalStore.put

    def refuse(store: LocalStore, key: str, data: bytes) -> None:
        if "_pages" in key or key.endswith(".html"):
            raise StoreError(f"{key}: no answer")
        put(store, key, data)

    monkeypatch.setattr(LocalStore, "put", refuse)
    assert render_inline(write_manifest(tmp_path, [20])) == 0
    assert "longtake pages" in capsys.readouterr().err
    assert not (tmp_path / "out" / "index.html").exists()


def test_an_idle_catalog_is_not_written_again(finished: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a title that is done, its page is left as it is."""
    page_ = finished.output / "reading" / "report.html"
    before = page_.stat().st_mtime_ns
    assert finished.render() == 0
    assert page_.stat().st_mtime_ns == before


def test_a_long_run_writes_at_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the driver looks around, the catalog is written at most every so often."""
    monkeypatch.setattr(writer, "EVERY", 0.2)
    monkeypatch.setattr(writer, "TITLE_EVERY", 0.2)
    written: list[float] = []
    put = LocalStore.put

    def note(store: LocalStore, key: str, data: bytes) -> None:
        if key == "index.html":
            written.append(time.monotonic())
        put(store, key, data)

    monkeypatch.setattr(LocalStore, "put", note)
    assert render_inline(write_manifest(tmp_path, [600])) == 0
    assert len(written) >= 2
    # A write may come late on a busy machine, and the next in time again; the last one does not wait.
    assert len(written) - 2 <= (written[-1] - written[0]) / 0.2


def test_what_evaluate_measured_is_on_the_page(rendered: Rendered) -> None:
    assert run_command(evaluate.command, [str(rendered.output)]) == 0
    curves = data_in(rendered.output / "reading" / "report.html")["curves"]
    assert {"mouth_sync", "identity", "sharpness", "flicker"} <= {one["name"] for one in curves["series"]}
    assert "border_ratio" in curves["sums"]
