"""The driver's loop: scans, stops and grace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from pipeline.core.errors import InputError, StoreError
from pipeline.driver import drive as driving
from pipeline.driver.drive import drive
from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Assign,
    Command,
    Done,
    Event,
    Failure,
    Finished,
    Job,
    Launch,
    Outcome,
    Scanned,
    WorkerLost,
    WorkerReady,
)
from pipeline.titles.scan import LostForGood


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Instant:
    """An executor whose workers do everything at once, or, once `stuck`, nothing any more."""

    def __init__(self, clock: Clock, stuck_after: int = 10**6):
        self.clock, self.stuck_after = clock, stuck_after
        self.assigned: list[Assign] = []
        self.drained = 0
        self._events: list[Event] = []

    def do(self, command: Command) -> None:
        match command:
            case Launch(name):
                self._events.append(WorkerReady(name))
            case Assign(name, work):
                self.assigned.append(command)
                if len(self.assigned) <= self.stuck_after:
                    done = [
                        tuple(Done(job.title, job.kind, job.first + k) for k in range(job.count))
                        if job.kind not in ("playlist", "finish")
                        else (Done(job.title, job.kind, 0),)
                        for job in work.jobs
                    ]
                    outcomes = tuple(Outcome(job, units) for job, units in zip(work.jobs, done, strict=True))
                    self._events.append(Finished(name, outcomes))

    def events(self, timeout: float) -> list[Event]:
        events, self._events = self._events, []
        self.clock.now += 0.01 if events else timeout
        return events

    def drain(self) -> None:
        self.drained += 1

    def close(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(driving, "time", clock)
    return clock


def schedule_of(*names: str, gops: int = 3) -> Schedule:
    return Schedule([TitleWork(name, 0, gops, 1, 2) for name in names], Limits())


def nothing_there(title: str) -> Scanned:
    return Scanned(title, False, False, (), 0, (), False)


def test_titles_are_driven_to_their_end(clock: Clock) -> None:
    schedule, seen = schedule_of("a", "b"), []
    drive(schedule, Instant(clock), nothing_there, observe=lambda schedule, events: seen.extend(events))
    assert all(title.done for title in schedule.titles.values())
    finished = sum(isinstance(event, Finished) for event in seen)
    assert finished >= 2 * (1 + 1 + 1 + 3 + 2 + 1)


def test_a_store_that_fails_a_scan_pauses_that_title_alone(clock: Clock) -> None:
    def scan(title: str) -> Scanned:
        if title == "a":
            raise StoreError("s3://bucket/a: no answer")
        return nothing_there(title)

    schedule = schedule_of("a", "b")
    drive(schedule, Instant(clock), scan)
    assert str(schedule.titles["a"].paused) == "s3://bucket/a: no answer"
    assert schedule.titles["b"].done


def test_a_mistake_of_the_user_ends_the_run(clock: Clock) -> None:
    def scan(title: str) -> Scanned:
        raise InputError("no such bucket")

    with pytest.raises(InputError):
        drive(schedule_of("a"), Instant(clock), scan)


def test_a_stop_waits_for_what_is_in_hand_as_long_as_the_grace(clock: Clock) -> None:
    schedule, executor = schedule_of("a"), Instant(clock, stuck_after=5)
    asked: list[tuple[float, int]] = []

    def stop() -> str | None:
        if len(executor.assigned) < 6:
            return None
        asked.append((clock.now, len(executor.assigned)))
        return "SIGTERM received"

    drive(schedule, executor, nothing_there, stop=stop, grace=20.0)
    assert executor.drained == 1
    ((at, handed_out),) = asked
    assert len(executor.assigned) == handed_out
    assert 20.0 <= clock.now - at < 20.0 + 2 * driving.WAIT
    assert schedule.stopping == "SIGTERM received"
    assert not schedule.titles["a"].over


def test_a_stop_with_nothing_in_hand_ends_at_once(clock: Clock) -> None:
    schedule, executor = schedule_of("a"), Instant(clock)
    drive(schedule, executor, nothing_there, stop=lambda: "Ctrl-C", grace=20.0)
    assert clock.now == 0.0
    assert executor.assigned == []


def test_a_stop_does_not_wait_for_a_scan(clock: Clock) -> None:
    """A title of ten hours takes a while to look up; a first Ctrl-C is answered all the same."""
    looking, go_on = threading.Event(), threading.Event()

    def scan(title: str) -> Scanned:
        looking.set()
        go_on.wait(60)
        return nothing_there(title)

    began = time.monotonic()
    schedule = schedule_of("a")
    drive(schedule, Instant(clock), scan, stop=lambda: "Ctrl-C" if looking.is_set() else None)
    go_on.set()
    assert time.monotonic() - began < 5.0
    assert not schedule.titles["a"].over


def test_others_go_on_while_a_title_is_being_looked_up(clock: Clock) -> None:
    schedule = schedule_of("slow", "quick")

    def scan(title: str) -> Scanned:
        while title == "slow" and not schedule.titles["quick"].done:
            time.sleep(0.001)
        return nothing_there(title)

    drive(schedule, Instant(clock), scan)
    assert all(title.done for title in schedule.titles.values())


def test_the_executor_does_not_sleep_while_something_is_done_aside(clock: Clock) -> None:
    """Where it has nothing to do itself, the driver goes on as soon as that is done."""
    executor, asked = Instant(clock), list[float]()
    looking, go_on, events = threading.Event(), threading.Event(), executor.events

    def noted(timeout: float) -> list[Event]:
        if looking.is_set():
            asked.append(timeout)
        if len(asked) == 3:
            go_on.set()
        return events(timeout)

    def scan(title: str) -> Scanned:
        looking.set()
        go_on.wait(60)
        looking.clear()
        return nothing_there(title)

    executor.events = noted  # type: ignore[method-assign]
    drive(schedule_of("a"), executor, scan)
    assert set(asked) == {0}


def test_what_is_lost_for_good_fails_its_title(clock: Clock) -> None:
    def scan(title: str) -> Scanned:
        raise LostForGood("title a: final.mp4 is no longer there")

    schedule = schedule_of("a")
    drive(schedule, Instant(clock), scan)
    assert str(schedule.titles["a"].failed) == "title a: final.mp4 is no longer there"


def test_nothing_begins_before_its_mark_is_written(clock: Clock) -> None:
    executor, written = Instant(clock), list[tuple[str, int]]()
    begun_before: list[int] = []

    def mark(jobs: list[Job]) -> Callable[[], None]:
        units = [(job.kind, job.first) for job in jobs]

        def write() -> None:
            time.sleep(0.002)
            begun_before.append(len(executor.assigned))
            written.extend(units)

        return write

    schedule = schedule_of("a")
    do = executor.do

    def checked(command: Command) -> None:
        if isinstance(command, Assign):
            assert all((job.kind, job.first) in written for job in command.work.jobs)
        do(command)

    executor.do = checked  # type: ignore[method-assign]
    drive(schedule, executor, nothing_there, mark=mark)
    assert schedule.titles["a"].done
    assert len(begun_before) > 3


def test_a_worker_that_is_lost_before_its_mark_is_written_gets_nothing(clock: Clock) -> None:
    executor, lost = Instant(clock), list[str]()
    events = executor.events

    def losing(timeout: float) -> list[Event]:
        found = events(timeout)
        if waiting.is_set() and not lost and (busy := [name for name, one in schedule.workers.items() if one.work]):
            lost.append(busy[0])
            found.append(WorkerLost(busy[0], Failure("crash", "gone")))
            go_on.set()
        return found

    waiting, go_on = threading.Event(), threading.Event()

    def mark(jobs: list[Job]) -> Callable[[], None]:
        def write() -> None:
            waiting.set()
            go_on.wait(60)

        return write

    schedule = schedule_of("a")
    executor.events = losing  # type: ignore[method-assign]
    drive(schedule, executor, nothing_there, mark=mark)
    assert schedule.titles["a"].done
    assert lost[0] not in {command.worker for command in executor.assigned}


def test_the_threads_of_a_run_end_with_it(clock: Clock) -> None:
    before = threading.active_count()
    for _ in range(5):
        drive(schedule_of("a"), Instant(clock), nothing_there, mark=lambda jobs: lambda: None)
    for thread in threading.enumerate():
        if thread.name in ("scan", "marks"):
            thread.join(20)
    assert threading.active_count() <= before
