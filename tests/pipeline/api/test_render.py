"""The library: what a program sees of plans, renders and checks."""

from __future__ import annotations

import doctest
import signal
import subprocess
import sys
import threading
import tomllib
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from actors.upscale import UpscaleWorker
from pipeline import api
from pipeline.core.errors import InputError, LongtakeError
from tests.conftest import write_manifest

ROOT = Path(__file__).parents[3]
TWO = [{"id": "one", "frames": 70}, {"id": "two", "frames": 50}]


@pytest.fixture
def catalog(tmp_path: Path) -> api.Catalog:
    return api.load(write_manifest(tmp_path, TWO))


def render(catalog: api.Catalog, on_event: api.OnEvent | None = None, **options: object) -> api.Result:
    return api.render(catalog, on_event=on_event, executor="inline", **options)  # type: ignore[arg-type]


def gops_of(told: list[api.Event]) -> list[tuple[str, str, int, int, int]]:
    return [(one.title, one.stage, one.gop, one.done, one.gops) for one in told if isinstance(one, api.GopDone)]


def test_events_tell_every_gop_once_and_in_order(catalog: api.Catalog, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[api.Event] = []
    result = render(catalog, told.append)
    gops = gops_of(told)
    assert sorted(gops) == sorted(
        (title, stage, gop, gop + 1, 2) for title in ("one", "two") for stage in ("chain", "upscale") for gop in (0, 1)
    )
    for title in ("one", "two"):
        assert gops.index((title, "chain", 0, 1, 2)) < gops.index((title, "upscale", 0, 1, 2))
    kinds = [type(one) for one in told if not isinstance(one, api.Note)]
    assert kinds[0] is api.Started
    ends = [one for one in told if isinstance(one, api.TitleDone)]
    assert {one.title: one.file for one in ends} == {end.id: end.file for end in result.titles}
    assert all(Path(one.file).is_file() for one in ends)
    assert [(end.id, end.state, end.done, end.gops) for end in result.titles] == [
        ("one", "done", 2, 2),
        ("two", "done", 2, 2),
    ]
    assert result.exit_code == 0
    assert result.check() is result
    assert {one.stage for one in told if isinstance(one, api.StepDone)} >= {"sound", "conditioning", "features"}
    assert capfd.readouterr() == ("", ""), "the library prints nothing"
    with pytest.raises(FrozenInstanceError):
        ends[0].title = "three"  # type: ignore[misc]


def test_what_is_done_is_not_made_again(catalog: api.Catalog) -> None:
    render(catalog)
    told: list[api.Event] = []
    assert render(catalog, told.append).exit_code == 0
    assert [one.how for one in told if isinstance(one, api.TitleDone)] == ["found done", "found done"]
    told.clear()
    assert [end.state for end in render(catalog, told.append, skip_done=True).titles] == ["done", "done"]
    assert [one.how for one in told if isinstance(one, api.TitleDone)] == ["not opened", "not opened"]
    assert not gops_of(told)


def test_plan_status_and_verify(catalog: api.Catalog) -> None:
    plan = api.plan(catalog)
    assert [(cost.plan.id, cost.plan.frames, cost.plan.gops) for cost in plan.titles] == [
        ("one", 70, 2),
        ("two", 50, 2),
    ]
    assert (plan.frames, plan.gops) == (120, 4)
    assert plan.total()["frames"] == 120
    assert [one.state for one in api.status(catalog).titles] == ["not begun", "not begun"]
    result = render(catalog)
    assert [(one.id, one.state, one.upscaled) for one in api.status(result.output).titles] == [
        ("one", "done", 2),
        ("two", "done", 2),
    ]
    found: list[api.VerifiedTitle] = []
    checked = api.verify(result.output, on_title=found.append)
    assert checked.ok
    assert checked.titles == tuple(found)
    assert all(one.finished and one.pictures for one in found)
    files = [path for path in Path(result.output).glob("one/stream/**/*") if path.is_file() and path.suffix != ".json"]
    max(files, key=lambda path: path.stat().st_size).write_bytes(b"damaged")
    checked = api.verify(catalog, only=["one"])
    assert not checked.ok
    assert [one.id for one in checked.titles] == ["one"]
    fault = checked.titles[0].faults[0]
    assert isinstance(fault, api.Fault)
    assert fault.title == "one"


def test_cancelled_from_another_thread_it_pauses_and_goes_on_later(tmp_path: Path) -> None:
    catalog, cancel = api.load(write_manifest(tmp_path, [{"id": "one", "frames": 700}])), api.Cancel()

    told: list[api.Event] = []

    def hear(event: api.Event) -> None:
        told.append(event)
        if isinstance(event, api.GopDone) and event.stage == "chain" and event.gop == 1:
            thread = threading.Thread(target=cancel.set, args=("enough",))
            thread.start()
            thread.join()

    result = render(catalog, hear, cancel=cancel)
    (end,) = result.titles
    assert (end.state, end.reason, end.kind, end.place) == ("paused", "enough", "stopped", "")
    assert end.done < end.gops == 15
    assert result.exit_code == 75
    with pytest.raises(api.TitlesPaused) as paused:
        result.check()
    assert paused.value.titles == {"one": "enough"}
    assert told[-1] == api.TitlePaused("one", "enough", end.done, end.gops, "stopped")
    assert render(catalog).check().titles[0].done == 15


def test_cancelled_before_it_begins(catalog: api.Catalog) -> None:
    cancel = api.Cancel()
    cancel.set("not today")
    with pytest.raises(api.Cancelled, match="not today") as raised:
        render(catalog, cancel=cancel)
    assert raised.value.reason == "not today"
    assert not list(Path(catalog.output).glob("one/chain"))


def test_what_the_callback_raises_ends_the_render_and_is_raised(tmp_path: Path) -> None:
    catalog = api.load(write_manifest(tmp_path, [{"id": "one", "frames": 700}]))
    told: list[api.Event] = []

    def hear(event: api.Event) -> None:
        told.append(event)
        if isinstance(event, api.GopDone) and event.gop == 1:
            raise ZeroDivisionError("in the callback")

    with pytest.raises(ZeroDivisionError, match="in the callback"):
        render(catalog, hear)
    assert isinstance(told[-1], api.GopDone), "it is not called again"
    status = api.status(catalog).titles[0]
    assert 2 <= status.chained < 15
    assert any("ZeroDivisionError: in the callback" in note for note in status.notes)
    assert render(catalog).exit_code == 0


def test_what_the_callback_raises_before_workers_begin(catalog: api.Catalog) -> None:
    def hear(event: api.Event) -> None:
        raise ZeroDivisionError(type(event).__name__)

    with pytest.raises(ZeroDivisionError, match="Note"):
        render(catalog, hear)
    assert not list(Path(catalog.output).glob("one/chain"))


def test_from_a_thread_and_one_at_a_time(catalog: api.Catalog) -> None:
    refused: list[api.Busy] = []
    results: list[api.Result] = []

    def hear(event: api.Event) -> None:
        if isinstance(event, api.Started):
            with pytest.raises(api.Busy) as busy:
                render(catalog)
            refused.append(busy.value)

    thread = threading.Thread(target=lambda: results.append(render(catalog, hear)))
    thread.start()
    thread.join()
    assert refused
    assert results[0].exit_code == 0


def test_signal_handlers_stay_the_callers(catalog: api.Catalog) -> None:
    during: list[object] = []
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    render(catalog, lambda event: during.append([signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]))
    assert all(found == before for found in during)


def test_a_title_that_fails_is_told_and_does_not_raise(catalog: api.Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    work_on = UpscaleWorker.work_on

    def failing(self, job, plan):  # type: ignore[no-untyped-def]
        if job.title == "one":
            raise InputError("the picture cannot be made")
        yield from work_on(self, job, plan)

    monkeypatch.setattr(UpscaleWorker, "work_on", failing)
    told: list[api.Event] = []
    result = render(catalog, told.append)
    assert [(end.id, end.state, end.kind) for end in result.titles] == [
        ("one", "failed", "user"),
        ("two", "done", None),
    ]
    assert result.exit_code == 1
    (failed,) = [one for one in told if isinstance(one, api.TitleFailed)]
    assert failed == api.TitleFailed("one", "the picture cannot be made", 0, 2, "user")
    (unit,) = [one for one in told if isinstance(one, api.UnitFailed)]
    assert (unit.title, unit.stage, unit.first, unit.cause) == ("one", "upscale", 0, "user")
    with pytest.raises(api.TitlesFailed) as raised:
        result.check()
    assert raised.value.titles == {"one": "the picture cannot be made"}


def test_a_unit_that_fails_again_and_again_is_told_with_its_place(
    catalog: api.Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_on = UpscaleWorker.work_on

    def failing(self, job, plan):  # type: ignore[no-untyped-def]
        if job.title == "one":
            raise ZeroDivisionError
        yield from work_on(self, job, plan)

    monkeypatch.setattr(UpscaleWorker, "work_on", failing)
    told: list[api.Event] = []
    end = render(catalog, told.append).titles[0]
    (failed,) = [one for one in told if isinstance(one, api.TitleFailed)]
    assert (failed.kind, failed.place) == (end.kind, end.place) == ("poison", "upscale 0")
    assert failed.reason == end.reason


def test_mistakes_are_exceptions_with_fields(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [*TWO, {"id": "three", "frames": 50, "audio": "x", "seed": "no"}])
    with pytest.raises(api.ManifestError) as raised:
        api.load(manifest)
    (problem,) = raised.value.problems
    assert isinstance(problem, api.Problem)
    assert problem.place.endswith("titles[2].seed")
    assert isinstance(raised.value, LongtakeError)
    assert raised.value.exit_code == 2
    catalog = api.load(manifest, skip_invalid=True)
    assert [title.id for title in catalog.titles] == ["one", "two"]
    assert catalog.problems == (problem,)
    told: list[api.Event] = []
    result = render(catalog, told.append, skip_invalid=True)
    assert [one.problem for one in told if isinstance(one, api.TitleSkipped)] == [problem]
    assert (result.problems, result.exit_code) == ((problem,), 1)


@pytest.mark.parametrize("text", ["pipeline.api", "docs/library.md"])
def test_examples(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_manifest(tmp_path, [{"id": "one", "frames": 70}, {"id": "two", "frames": 50}])
    (tmp_path / "notes.txt").write_text("a text")
    (tmp_path / "wrong.yaml").write_text(manifest.read_text().replace("portrait-1.png", "notes.txt"))
    monkeypatch.chdir(tmp_path)
    if text.endswith(".md"):
        failed, tried = doctest.testfile(str(ROOT / text), module_relative=False)
    else:
        failed, tried = doctest.testmod(api)
    assert tried >= 5
    assert failed == 0


def test_the_example_script(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/library.py"), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 titles, 418 frames")
    assert lines[-1] == "no faults"
    assert {line.partition(":")[0] for line in lines} >= {"first", "second"}


def test_types_are_shipped() -> None:
    """For type checkers of programs that import the library."""
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("pipeline", "models"):
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in shipped[package]
