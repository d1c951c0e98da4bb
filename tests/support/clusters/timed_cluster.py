"""A cluster on a virtual clock: every call takes as long as its kind does, nothing fails."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from pipeline.scheduler.pools import Limits
from pipeline.scheduler.ready_jobs import units_of
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Assign,
    Command,
    Done,
    Event,
    Finished,
    Launch,
    Outcome,
    Ready,
    Retire,
    Scan,
    Scanned,
    Work,
    WorkerReady,
)

Seconds = Callable[[str, Work], float]  # of a call, by worker


@dataclass
class TimedCluster:
    titles: list[TitleWork]
    limits: Limits
    chain: float = 0.6  # seconds of a GOP, in every lane at once
    upscale: float = 0.3  # seconds of a GOP
    start: float = 5.0  # seconds until a worker is ready
    found: dict[str, Scanned] = field(default_factory=dict)
    device: Callable[[str], Ready] = lambda worker: Ready()
    slower: Callable[[str], float] = lambda worker: 1.0  # times as long
    now: float = 0.0
    turns: int = 0

    def __post_init__(self) -> None:
        self.schedule = Schedule(self.titles, self.limits)
        self.calls: list[tuple[float, float, str, Work]] = []  # begin, end, worker, work
        self.chained: dict[str, list[float]] = {title.id: [] for title in self.titles}  # when each GOP was
        self.done: dict[str, float] = {}
        self.workers: list[tuple[float, str, int]] = []  # (when, role, workers from then on)
        self._roles: dict[str, str] = {}
        self._events: list[tuple[float, int, Event]] = []
        self._order = count()

    def run(self, until: float = float("inf")) -> float:
        """To the end, or to a moment; the time by then."""
        while self.now < until:
            while commands := self.schedule.decide(self.now):
                for command in commands:
                    self._carry_out(command)
            if self.schedule.finished:
                break
            times = [self._events[0][0]] if self._events else []
            times += [wake] if (wake := self.schedule.wake_at) is not None else []
            assert times, "nothing will ever happen"
            self.turns += 1
            assert self.turns < 100_000, "no end in sight"
            self.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                self._give(heapq.heappop(self._events)[2])
        return self.now

    def of(self, role: str) -> int:
        return sum(one == role for one in self._roles.values())

    def _give(self, event: Event) -> None:
        if isinstance(event, Finished):
            for outcome in event.outcomes:
                for item in outcome.done:
                    if item.kind == "chain":
                        self.chained[item.title].append(self.now)
                    if item.kind == "finish":
                        self.done[item.title] = self.now
        self.schedule.handle(event, self.now)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Launch(name, role):
                self._roles[name] = role
                self.workers.append((self.now, role, self.of(role)))
                self._at(self.start, WorkerReady(name, self.device(name)))
            case Retire(name):
                role = self._roles.pop(name)
                self.workers.append((self.now, role, self.of(role)))
            case Scan(title):
                self.schedule.handle(self.found.get(title, Scanned(title, True, True, (0,), 0, (), False)), self.now)
            case Assign(name, work):
                seconds = self.slower(name) * {"chain": self.chain, "upscale": self.upscale * work.jobs[0].count}.get(
                    work.kind, 0.05
                )
                self.calls.append((self.now, self.now + seconds, name, work))
                self._at(seconds, Finished(name, tuple(self._outcome(work, place) for place in range(len(work.jobs)))))

    def _outcome(self, work: Work, place: int) -> Outcome:
        job = work.jobs[place]
        if work.kind == "playlist" or (work.kind == "chain" and place >= max(1, work.lanes)):
            return Outcome(job)
        return Outcome(job, tuple(Done(*unit) for unit in units_of(job)))

    def _at(self, seconds: float, event: Event) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), event))
