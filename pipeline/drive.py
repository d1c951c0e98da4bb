"""The driver's loop: the scheduler's commands to an executor, the executor's events to the scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from pipeline.schedule import Schedule
from pipeline.work import Command, Event, Scan, Scanned, StopAsked

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
    observe: Callable[[Schedule, list[Event]], None] = lambda schedule, events: None,
) -> None:
    """Run until the schedule is finished, or until `grace` seconds after `stop` first gave a reason."""
    deadline: float | None = None
    while True:
        now = time.monotonic()
        if deadline is None and (reason := stop()):
            schedule.handle(StopAsked(reason), now)
            executor.drain()
            deadline = now + grace
        for command in schedule.decide(now):
            if isinstance(command, Scan):
                schedule.handle(scan(command.title), now)
            else:
                executor.do(command)
        if schedule.finished or (deadline is not None and now >= deadline):
            return
        events = executor.events(WAIT)
        for event in events:
            schedule.handle(event, time.monotonic())
        observe(schedule, events)
