"""What went wrong while a run went on: which units failed, when and why; so a page can show what was tried again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.core.safe_text import redact
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import Event, Failure, Finished, Job, Work, WorkerLost

MOST = 100  # kept of a title, the newest
LONGEST = 1_000  # characters of a message
_NO_FAULT = ("stopped", "preempted")


@dataclass(frozen=True)
class Incident:
    """`at`: seconds since 1970; `first` and `count`: units of `kind`, as a job says them."""

    at: float
    kind: str
    first: int
    count: int
    cause: str
    message: str


class Incidents:
    """Looks at what happens; `of` tells of a title."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: dict[str, deque[Incident]] = {}
        self._held: dict[str, Work] = {}  # by worker, as it was at the last look

    def observe(self, schedule: Schedule, events: Iterable[Event], now: float) -> None:
        for event in events:
            if isinstance(event, Finished):
                for outcome in event.outcomes:
                    if outcome.failure:
                        self._keep(outcome.job, outcome.failure, now)
            elif isinstance(event, WorkerLost) and (work := self._held.get(event.worker)):
                for job in work.jobs:
                    self._keep(job, event.failure, now)
        self._held = {name: worker.work for name, worker in schedule.workers.items() if worker.work}

    def of(self, title: str) -> tuple[Incident, ...]:
        return tuple(self._kept.get(title, ()))

    def _keep(self, job: Job, failure: Failure, now: float) -> None:
        if failure.cause in _NO_FAULT:
            return
        self.counts[job.title] += 1
        kept = self._kept.setdefault(job.title, deque(maxlen=MOST))
        message = redact(failure.message)[:LONGEST]
        kept.append(Incident(round(now), job.kind, job.first, job.count, failure.cause, message))
