"""The driver's loop: the scheduler's commands to an executor, the executor's events to the scheduler.

The loop itself only thinks. Whatever asks the store is done aside: scans, which answer by an event as workers do, and
the marks of what is in hand, without which nothing begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Any, Protocol

from pipeline.core.daemon_pool import DaemonPool
from pipeline.core.errors import OutputError, StoreError
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import (
    Assign,
    Command,
    Event,
    Job,
    Scan,
    ScanFailed,
    Scanned,
    StopAsked,
    WorkerLost,
)
from pipeline.titles.scan import LostForGood

WAIT = 0.5  # seconds an executor may wait for events: how late a stop or a retry may be noticed
SOON = 0.02  # seconds that an event may wait while something is done aside
SCANS_AT_ONCE = 8

Write = Callable[[], None]


class Executor(Protocol):
    """Carries out commands, on Ray or in this process."""

    def do(self, command: Command) -> None:
        """Begin to carry out a command; returns at once."""

    def events(self, timeout: float) -> list[Event]:
        """What has happened, waiting up to `timeout` seconds where nothing has."""

    def drain(self) -> None:
        """Tell the workers to finish the unit in hand and stop."""

    def close(self) -> None:
        """Release everything; workers that still run are ended."""


def drive(
    schedule: Schedule,
    executor: Executor,
    scan: Callable[[str], Scanned],
    *,
    stop: Callable[[], str | None] = lambda: None,
    grace: float = 20.0,
    mark: Callable[[list[Job]], Write | None] = lambda jobs: None,
    observe: Callable[[Schedule, list[Event]], None] = lambda schedule, events: None,
) -> None:
    """Run until the schedule is finished, or until `grace` seconds after `stop` first gave a reason.

    `mark` is told what is in hand before more is begun; what it returns is done before that, and aside.
    """
    scans, held = _Scans(scan), _Held(executor, mark)
    try:
        _turns(schedule, executor, scans, held, stop, grace, observe)
    finally:
        scans.close()
        held.close()


def _turns(
    schedule: Schedule,
    executor: Executor,
    scans: _Scans,
    held: _Held,
    stop: Callable[[], str | None],
    grace: float,
    observe: Callable[[Schedule, list[Event]], None],
) -> None:
    deadline: float | None = None
    while True:
        now = time.monotonic()
        if deadline is None and (reason := stop()):
            schedule.handle(StopAsked(reason), now)
            executor.drain()
            deadline = now + grace
        commands = schedule.decide(now)
        for command in commands:
            if isinstance(command, Scan):
                scans.begin(command.title)
            elif not isinstance(command, Assign):
                executor.do(command)
        held.begin([command for command in commands if isinstance(command, Assign)], schedule.in_hand)
        if schedule.finished or (deadline is not None and now >= deadline):
            return
        events = scans.events()
        if not events:
            aside = scans.begun + held.begun
            wait(aside, SOON, FIRST_COMPLETED)  # for none where nothing is done aside
            events = executor.events(0 if aside else WAIT) + scans.events()
        for event in events:
            schedule.handle(event, time.monotonic())
        held.go_on(events)
        observe(schedule, events)


class _Scans:
    """Titles that are being looked up. A store that does not answer or no longer lets us in pauses one title alone."""

    def __init__(self, scan: Callable[[str], Scanned]):
        self._scan, self._aside = scan, DaemonPool("scan", SCANS_AT_ONCE)
        self._looking: dict[str, Future[Scanned]] = {}

    def close(self) -> None:
        self._aside.close()

    @property
    def begun(self) -> list[Future[Any]]:
        return list(self._looking.values())

    def begin(self, title: str) -> None:
        self._looking[title] = self._aside.submit(partial(self._scan, title))

    def events(self) -> list[Event]:
        found: list[Event] = []
        for title, answer in [(title, answer) for title, answer in self._looking.items() if answer.done()]:
            del self._looking[title]
            try:
                found.append(answer.result())
            except LostForGood as error:
                found.append(ScanFailed(title, str(error), for_good=True))
            except (StoreError, OutputError) as error:
                found.append(ScanFailed(title, str(error)))
        return found


class _Held:
    """Work that waits until the mark of it is written; in the order in which it was handed out."""

    def __init__(self, executor: Executor, mark: Callable[[list[Job]], Write | None]):
        self._executor, self._mark, self._aside = executor, mark, DaemonPool("marks")
        self._waiting: list[tuple[Future[None], list[Assign]]] = []

    def close(self) -> None:
        self._aside.close()

    @property
    def begun(self) -> list[Future[Any]]:
        return [written for written, _ in self._waiting[:1]]  # what comes after it waits for it

    def begin(self, assigned: list[Assign], in_hand: list[Job]) -> None:
        if not assigned:
            return
        write = self._mark(in_hand)
        if write is None and not self._waiting:
            for command in assigned:
                self._executor.do(command)
        else:
            self._waiting.append((self._aside.submit(write or _nothing), assigned))

    def go_on(self, events: list[Event]) -> None:
        """Hand on what is marked by now; a worker that was lost meanwhile has nothing to begin."""
        lost = {event.worker for event in events if isinstance(event, WorkerLost)}
        self._waiting = [
            (written, [command for command in assigned if command.worker not in lost])
            for written, assigned in self._waiting
        ]
        while self._waiting and self._waiting[0][0].done():
            written, assigned = self._waiting.pop(0)
            written.result()
            for command in assigned:
                self._executor.do(command)


def _nothing() -> None:
    """Nothing is to be written, but what was handed out before still waits."""
