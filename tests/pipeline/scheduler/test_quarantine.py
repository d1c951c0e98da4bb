"""A unit that takes the driver along is found out over restarts, fails its title alone, and never loops for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models.families.fake import Chain, Upscale
from pipeline.driver.in_flight import InFlight
from pipeline.scheduler.quarantine import NEXT, Deaths, InterruptedJob, Quarantine
from pipeline.scheduler.retries import LOST
from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Assign,
    Command,
    Done,
    Failure,
    Finished,
    Job,
    Launch,
    Outcome,
    Scanned,
    WorkerLost,
    WorkerReady,
)
from pipeline.store.local import LocalStore
from tests.conftest import render_inline, write_manifest
from tests.support.crashes import Killed


def note(marks: InFlight, jobs: list[Job]) -> None:
    """As the driver does: decided upon, then written."""
    write = marks.note(jobs)
    if write is not None:
        write()


def runs_until_over(manifest: Path, most: int = 30) -> tuple[int, int]:
    """Start the driver as a job submitter would, until it ends by itself; its exit code, and how often it died."""
    for deaths in range(most):
        try:
            return render_inline(manifest), deaths
        except Killed:
            continue
    raise AssertionError("it loops for ever")


@pytest.mark.parametrize(("part", "method"), [(Chain, "_clip"), (Upscale, "restore")], ids=["chain", "upscale"])
def test_a_unit_that_kills_the_driver_is_poison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: type, method: str
) -> None:
    manifest = write_manifest(tmp_path, [{"id": "bad", "frames": 150}, {"id": "good", "frames": 300}])
    plain: Callable[..., object] = getattr(part, method)

    def deadly(self, *arguments):  # type: ignore[no-untyped-def]
        if part is Chain:
            (lane,) = arguments
            if lane.clip == 4 and lane.seed == seeds_of["bad"]:
                raise Killed
        elif arguments[2]["portrait"][0] == portraits["bad"] and calls_at_third_window():
            raise Killed
        return plain(self, *arguments)

    seeds_of, portraits = identities(manifest)
    windows = iter(range(10**9))

    def calls_at_third_window() -> bool:
        return next(windows) >= 5

    monkeypatch.setattr(part, method, deadly)
    code, deaths = runs_until_over(manifest)
    said = capsys.readouterr().err
    assert code == 1
    assert 3 <= deaths <= 8
    assert "took the driver along 3 times while nothing else was in hand" in said
    assert (tmp_path / "out/good/final.mp4").exists()
    assert not list((tmp_path / "out/_runs").glob("*.marks")), "a run that ended leaves none"
    monkeypatch.setattr(part, method, plain)
    assert render_inline(manifest) == 0, "a rerun has fresh budgets"


def identities(manifest: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Seeds of titles, and the keys of their portraits, by rendering what leads to them."""
    from models.families.registry import FAMILIES
    from pipeline.manifest.catalog import load_manifest
    from pipeline.store.arrays import unpack

    catalog = load_manifest(str(manifest), families=FAMILIES)
    assert render_inline(manifest, "--preview", "2", "--output", str(manifest.parent / "before")) == 0
    portraits = {}
    for title in catalog.titles:
        (record,) = manifest.parent.glob(f"before/{title.id}/chain/*/conditioning/*.json")
        key = json.loads(record.read_text())["objects"]["arrays"]["key"]
        portraits[title.id] = int(unpack((manifest.parent / "before" / key).read_bytes(), key)["portrait"][0])
    return {title.id: title.seed for title in catalog.titles}, portraits


def test_one_mark_a_run_and_few_writes(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    marks = InFlight(store, "run")
    writes = []
    plain, store.put = store.put, lambda key, data: writes.append(key) or plain(key, data)  # type: ignore[method-assign,func-returns-value]
    for gop in range(100):
        note(marks, [Job("a", "chain", gop)])
        note(marks, [Job("a", "chain", gop), Job("a", "upscale", gop // 10 * 10, 10)])
        note(marks, [Job("a", "playlist", 0)])
    assert writes == ["_runs/run.marks"] * 11
    marks.clear()
    assert store.list("_runs") == []


def test_marks_are_taken_over_and_kept_until_looked_up(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    note(InFlight(store, "one"), [Job("a", "chain", 7), Job("b", "upscale", 0, 2)])
    second = InFlight(store, "two")
    quarantine = second.take_over()
    schedule = Schedule([TitleWork("a", 0, 20, 1, 10), TitleWork("b", 0, 20, 1, 10)], Limits(), quarantine)
    schedule.handle(Scanned("a", True, True, (0,), 8, (), False), 0.0)
    note(second, [Job("a", "chain", 8)])
    assert store.list("_runs") == ["_runs/one.marks", "_runs/two.marks"], "b has not been looked up yet"
    schedule.handle(Scanned("b", True, True, (0,), 5, (0,), False), 0.0)
    assert quarantine.deaths == {("a", "chain", 8): Deaths({"one"}), ("b", "upscale", 1): Deaths({"one"})}
    note(second, [Job("a", "sound")])
    assert store.list("_runs") == ["_runs/two.marks"]
    third = InFlight(store, "three").take_over()
    assert third.deaths == quarantine.deaths


def test_damaged_marks_are_passed_over(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    for number, text in enumerate([b"", b"[]", b'{"in_hand": [[1]]}', b"\xff", b'{"in_hand": 3, "exact": 1}']):
        store.put(f"_runs/{number}.marks", text)
    assert InFlight(store, "run").take_over().deaths == {}


def solo_schedule(**deaths: Deaths) -> Schedule:
    known = [((name, "chain", 3), one) for name, one in deaths.items()]
    schedule = Schedule([TitleWork(name, 0, 20, 1, 10) for name in "ab"], Limits(lanes=4), Quarantine(known=known))
    for name in "ab":
        schedule.handle(Scanned(name, True, True, (0,), 3, (), False), 0.0)
    return schedule


def turn(schedule: Schedule) -> list[Command]:
    commands = schedule.decide(0.0)
    for command in commands:
        if isinstance(command, Launch):
            schedule.handle(WorkerReady(command.worker), 0.0)
    return commands


def test_a_unit_under_suspicion_has_the_cluster_for_itself() -> None:
    schedule = solo_schedule(a=Deaths({"one", "two"}))
    assigned: list[Assign] = []
    for _ in range(5):
        assigned += [command for command in turn(schedule) if isinstance(command, Assign)]
    (only,) = assigned
    assert [job.title for job in only.work.jobs] == ["a"]
    job = only.work.jobs[0]
    schedule.handle(Finished(only.worker, (Outcome(job, (Done("a", "chain", 3),)),)), 1.0)
    titles = {job.title for _ in range(3) for c in turn(schedule) if isinstance(c, Assign) for job in c.work.jobs}
    assert titles == {"a", "b"}


def test_the_third_time_alone_is_the_last() -> None:
    schedule = solo_schedule(a=Deaths({"one", "two"}, {"three", "four", "five"}))
    assert "took the driver along 3 times" in str(schedule.titles["a"].failed)
    assert schedule.titles["b"].failed is None


def test_the_mark_of_a_job_tells_which_unit_was_next() -> None:
    quarantine = Quarantine([InterruptedJob("one", "a", "chain", NEXT, 1, True)])
    schedule = Schedule([TitleWork("a", 0, 20, 1, 10)], Limits(), quarantine)
    schedule.handle(Scanned("a", True, True, (0,), 5, (), False), 0.0)
    assert quarantine.deaths == {("a", "chain", 5): Deaths(set(), {"one"})}


@pytest.mark.parametrize(("cause", "times"), [("crash", 3), ("lost", LOST)])
def test_a_unit_that_takes_its_machine_along_is_poison(cause: str, times: int) -> None:
    schedule = Schedule([TitleWork("a", 0, 20, 1, 10)], Limits())
    schedule.handle(Scanned("a", True, True, (0,), 3, (), False), 0.0)
    deaths = 0
    for _ in range(100):
        for command in turn(schedule):
            if isinstance(command, Assign) and command.work.kind == "chain":
                deaths += 1
                schedule.handle(WorkerLost(command.worker, Failure(cause, "gone")), 0.0)  # type: ignore[arg-type]
        if schedule.titles["a"].failed:
            break
    assert deaths == times
    assert "chain 3" in str(schedule.titles["a"].failed)
