"""Records that workers have just committed, handed on with the work that needs them: nobody asks the store again.

A record comes with the news of its commit, as it was written, and is kept for a while. An upscaler gets those of the
latents that it is to read, a publisher those of the fragments that it lists or joins, pages those that they show. What
is not here any more, or never was, is read from the store: this saves requests and decides nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.driver.drive import Executor
from pipeline.scheduler.work import Assign, Command, Done, Event, Finished, Job, Kind, Known, Progress
from pipeline.store.record_checkpoints import RECORDS

MOST = 32 << 20  # bytes of records, of all titles together: those of some 20,000 GOPs
COMMITTED: tuple[Kind, ...] = ("chain", "upscale")  # kinds of work whose records others need

_Unit = tuple[str, Kind, int]


class RecordCache:
    """Used by the driver's loop and by the thread that writes pages."""

    def __init__(self, most: int = MOST):
        self._most, self._size = most, 0
        self._records: OrderedDict[_Unit, bytes] = OrderedDict()
        self._visits: dict[str, int] = {}
        self._lock = threading.Lock()

    def hear(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self._keep(event.done)
            elif isinstance(event, Finished):
                for outcome in event.outcomes:
                    self._keep(outcome.done)

    def visit(self, title: str, visit: int) -> None:
        """A title that was looked at anew has had damage: what was heard of it before is forgotten."""
        with self._lock:
            if self._visits.get(title, 0) == visit:
                return
            self._visits[title] = visit
            for place in [place for place in self._records if place[0] == title]:
                self._size -= len(self._records.pop(place))

    def of(self, title: str, kind: Kind, units: Iterable[int], visit: int) -> tuple[Known, ...]:
        """Those that are here, in a visit of the title."""
        with self._lock:
            if self._visits.get(title, 0) != visit:
                return ()
            found = ((unit, self._records.get((title, kind, unit))) for unit in units)
            return tuple(Known(title, kind, unit, record) for unit, record in found if record is not None)

    def _keep(self, done: Iterable[Done]) -> None:
        with self._lock:
            for one in done:
                place = (one.title, one.kind, one.unit)
                if not one.record or one.kind not in COMMITTED:
                    continue
                self._size += len(one.record) - len(self._records.pop(place, b""))
                self._records[place] = one.record
            while self._size > self._most:
                self._size -= len(self._records.popitem(last=False)[1])


class WithRecords:
    """An executor whose work brings along the records that it needs."""

    def __init__(self, executor: Executor, recent: RecordCache):
        self._executor, self._recent = executor, recent
        self._listed: dict[tuple[str, str], int] = {}  # GOPs that a publisher was told of, by title and worker
        self.drain, self.close = executor.drain, executor.close

    def do(self, command: Command) -> None:
        if isinstance(command, Assign):
            known = tuple(one for job in command.work.jobs for one in self._known(command.worker, job))
            command = replace(command, work=replace(command.work, known=known))
        self._executor.do(command)

    def events(self, timeout: float) -> list[Event]:
        events = self._executor.events(timeout)
        self._recent.hear(events)
        return events

    def _known(self, worker: str, job: Job) -> Sequence[Known]:
        self._recent.visit(job.title, job.visit)
        match job.kind:
            case "upscale":  # windows reach back into the GOP before
                return self._recent.of(job.title, "chain", range(job.first - 1, job.first + job.count), job.visit)
            case "playlist":
                before = self._listed.get((job.title, worker), 0)
                self._listed[job.title, worker] = job.count
                return self._recent.of(job.title, "upscale", range(min(before, job.count), job.count), job.visit)
            case "finish":  # what comes before lies in checkpoints
                self._listed = {place: count for place, count in self._listed.items() if place[0] != job.title}
                units = range(job.count // RECORDS * RECORDS, job.count)
                return [one for kind in COMMITTED for one in self._recent.of(job.title, kind, units, job.visit)]
        return ()
