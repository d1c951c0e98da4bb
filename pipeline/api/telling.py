"""From what the scheduler hears to what the caller of a render is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.api import events as told
from pipeline.api.cancel import Cancel
from pipeline.api.errors import Cancelled
from pipeline.core.safe_text import redact
from pipeline.driver.progress import Told
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.work import Done, Event, Finished, Progress, Reason, WorkerLost

OnEvent = Callable[[told.Event], None]


class Emitter:
    """Calls the callback: one event at a time, in order, from whichever thread has something to tell.

    What the callback raises before workers begin goes straight to the caller. Later the render is stopped as by
    `cancel`, the callback is not called again, and `check` raises it: what has been rendered is committed first.
    """

    def __init__(self, on_event: OnEvent | None, cancel: Cancel):
        self._on_event, self._cancel = on_event, cancel
        self._lock = threading.RLock()
        self._running = False
        self._raised: Exception | None = None

    def __call__(self, event: told.Event) -> None:
        with self._lock:
            if not self._on_event or self._raised:
                return
            try:
                self._on_event(event)
            except Exception as error:
                if not self._running:
                    raise
                self._raised = error
                self._cancel.set(f"on_event raised {type(error).__name__}: {error}")

    def note(self, text: str) -> None:
        """A line of text. Before workers begin this is also where a long look at inputs notices that it is to stop."""
        self(told.Note(text))
        if not self._running:
            self.leave_if_cancelled()

    def leave_if_cancelled(self) -> None:
        if self._cancel.is_set():
            raise Cancelled(self._cancel.reason or "")

    def run_begins(self) -> None:
        self._running = True

    def check(self) -> None:
        """Raise what the callback raised, if anything."""
        if self._raised:
            raise self._raised


class Telling:
    """Watches a schedule; tells each unit once, and how each title ended as soon as it is known."""

    def __init__(self, emit: Callable[[told.Event], None], file_of: Callable[[str], str]):
        self._emit, self._file_of = emit, file_of
        self._told = Told()
        self._over: set[str] = set()

    def observe(self, schedule: Schedule, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self._done(schedule, event.done, last=False)
            elif isinstance(event, Finished):
                for outcome in event.outcomes:
                    self._done(schedule, outcome.done, last=True)
                    job, failure = outcome.job, outcome.failure
                    if failure and failure.cause != "stopped":
                        self._emit(
                            told.UnitFailed(job.title, job.kind, job.first, failure.cause, redact(failure.message))
                        )
            elif isinstance(event, WorkerLost):
                self._emit(told.WorkerLost(event.worker, event.failure.cause, redact(event.failure.message)))
        for name, title in schedule.titles.items():
            if title.over and name not in self._over:
                self._over.add(name)
                self._emit(self._end(name, title))

    def finish(self, schedule: Schedule) -> None:
        """What is not over when a run ends is paused."""
        self.observe(schedule, [])
        for name, title in schedule.titles.items():
            if name not in self._over:
                self._emit(_paused(title, Reason("stopped", name, schedule.stopping or "stopped")))

    def _end(self, name: str, title: TitleState) -> told.Event:
        if title.done:
            return told.TitleDone(name, self._file_of(name), "rendered")
        if title.failed is not None:
            why = title.failed
            return told.TitleFailed(name, redact(str(why)), title.streamed, title.work.gops, why.kind, why.place)
        return _paused(title, title.paused or Reason("stopped", name, "stopped"))

    def _done(self, schedule: Schedule, done: tuple[Done, ...], *, last: bool) -> None:
        for item in self._told.first(done, last=last):
            title = schedule.titles[item.title]
            if item.kind == "chain" or item.kind == "upscale":
                count = title.chained if item.kind == "chain" else title.streamed + len(title.beyond)
                gops = title.work.gops
                self._emit(told.GopDone(item.title, item.kind, item.unit, count, gops, item.seconds))
            else:
                self._emit(told.StepDone(item.title, item.kind, item.unit, item.seconds))


def _paused(title: TitleState, why: Reason) -> told.TitlePaused:
    return told.TitlePaused(why.title, redact(str(why)), title.streamed, title.work.gops, why.kind, why.place)
