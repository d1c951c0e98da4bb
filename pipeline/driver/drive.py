"""The driver's loop: the scheduler's commands to an executor, the executor's events to the scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from pipeline.core.errors import OutputError, StoreError
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import Assign, Command, Event, Job, Scan, Scanned, StopAsked

WAIT = 0.5  # seconds an executor may wait for events: how late a stop or a retry may be noticed


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
    mark: Callable[[list[Job]], None] = lambda jobs: None,
    observe: Callable[[Schedule, list[Event]], None] = lambda schedule, events: None,
) -> None:
    """Run until the schedule is finished, or until `grace` seconds after `stop` first gave a reason.

    `mark` is told what is in hand before more is begun.
    """
    deadline: float | None = None
    while True:
        now = time.monotonic()
        if deadline is None and (reason := stop()):
            schedule.handle(StopAsked(reason), now)
            executor.drain()
            deadline = now + grace
        commands = schedule.decide(now)
        if any(isinstance(command, Assign) for command in commands):
            mark(schedule.in_hand)
        for command in commands:
            if isinstance(command, Scan):
                _scan(schedule, command.title, scan)
            else:
                executor.do(command)
        if schedule.finished or (deadline is not None and now >= deadline):
            return
        # After a scan there is something new to decide upon already.
        events = executor.events(0 if any(isinstance(command, Scan) for command in commands) else WAIT)
        for event in events:
            schedule.handle(event, time.monotonic())
        observe(schedule, events)


def _scan(schedule: Schedule, title: str, scan: Callable[[str], Scanned]) -> None:
    """Look a title up; a store that does not answer, or no longer lets us in, pauses this title alone."""
    try:
        schedule.handle(scan(title), time.monotonic())
    except (StoreError, OutputError) as error:
        schedule.pause(title, str(error))
