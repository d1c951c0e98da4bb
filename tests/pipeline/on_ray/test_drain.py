"""Machines that are announced to go: their workers finish the GOP in hand, get no more work, and nobody is blamed."""

from __future__ import annotations

import pytest

from pipeline.on_ray import drain as execute_drain
from pipeline.on_ray.drain import Drains
from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Assign,
    Done,
    Failure,
    Finished,
    Launch,
    Outcome,
    Retire,
    Scanned,
    WorkerLeaving,
    WorkerLost,
    WorkerReady,
)


def test_workers_on_draining_nodes_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {"a": "node-1", "b": "node-2", "c": "node-1"}
    draining: set[str] = set()
    monkeypatch.setattr(execute_drain, "EVERY", 0.0)
    monkeypatch.setattr(execute_drain, "_draining", lambda: draining)
    monkeypatch.setattr(execute_drain, "_node_of", lambda handle: nodes[handle])
    drains, workers = Drains(), {name: name for name in nodes}
    assert drains.newly_leaving(workers) == []
    draining.add("node-1")
    assert drains.newly_leaving(workers) == ["a", "c"]
    assert drains.newly_leaving(workers) == []
    assert [drains.announced(name) for name in "abc"] == [True, False, True]


def scheduled() -> tuple[Schedule, Assign]:
    schedule = Schedule([TitleWork("one", 0, 4, 1, 10)], Limits())
    schedule.handle(Scanned("one", True, True, (0,), 0, (), False), 0.0)
    for command in schedule.decide(0.0):
        if isinstance(command, Launch):
            schedule.handle(WorkerReady(command.worker), 0.0)
    (assign,) = (command for command in schedule.decide(0.0) if isinstance(command, Assign))
    return schedule, assign


def test_the_gop_in_hand_ends_and_no_other_begins() -> None:
    schedule, assign = scheduled()
    schedule.handle(WorkerLeaving(assign.worker), 1.0)
    job = assign.work.jobs[0]
    schedule.handle(Finished(assign.worker, (Outcome(job, (Done("one", "chain", 0),)),)), 2.0)
    commands = schedule.decide(2.0)
    assert Retire(assign.worker) in commands
    assert not any(isinstance(command, Assign) and command.worker == assign.worker for command in commands)
    assert any(isinstance(command, Launch) and command.role == "chain" for command in commands)


def test_what_had_been_announced_is_free() -> None:
    for _ in range(10):
        schedule, assign = scheduled()
        schedule.handle(WorkerLost(assign.worker, Failure("preempted", "as announced")), 1.0)
        assert not schedule.retries.alone(("one", "chain", 0))
        assert schedule.titles["one"].failed is None
