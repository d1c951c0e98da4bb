"""The inline executor: the same workers and the same commands in this process, one call at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from pipeline.scheduler.work import Assign, Command, Event, Finished, Launch, Progress, Retire, Role, WorkerReady
from pipeline.scheduler.worker_protocol import WorkerProtocol
from pipeline.titles.title_plan import TitlePlan

MakeWorker = Callable[[Role], WorkerProtocol[TitlePlan]]


class InlineExecutor:
    def __init__(self, make_worker: MakeWorker, plans: dict[str, TitlePlan], lanes: int | None = None):
        """`lanes`: of a chain's batch, 0 to find out what is best here, None for the family's."""
        self._make = make_worker
        self._lanes = lanes
        self._plans = plans
        self._workers: dict[str, WorkerProtocol[TitlePlan]] = {}
        self._events: list[Event] = []
        self._queue: deque[Assign] = deque()
        self._draining = False

    def do(self, command: Command) -> None:
        match command:
            case Launch(name, role):
                worker = self._workers[name] = self._make(role)
                ready = worker.ready(next(iter(self._plans.values())), self._lanes)
                self._events.append(WorkerReady(name, ready))
            case Retire(name):
                self._workers.pop(name, None)
            case Assign():
                self._queue.append(command)

    def events(self, timeout: float) -> list[Event]:
        if not self._events and not self._queue:
            time.sleep(min(timeout, 0.05))  # only a retry's or a playlist's time is being waited for
        events, self._events = self._events, []
        if self._queue:
            assign = self._queue.popleft()
            worker = self._workers[assign.worker]
            if self._draining:
                worker.stop()
            plans = {job.title: self._plans[job.title] for job in assign.work.jobs}
            outcomes = worker.run(assign.work, plans)
            events += [Progress(worker.news()[1]), Finished(assign.worker, outcomes)]
        return events

    def drain(self) -> None:
        self._draining = True
        for worker in self._workers.values():
            worker.stop()

    def close(self) -> None:
        self._workers.clear()
