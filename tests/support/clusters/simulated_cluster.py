"""A cluster that exists only as numbers: workers that start, work, fail and die in any order, under a virtual clock.

It carries out a schedule's commands and checks each against what the scheduler promises.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from pipeline.scheduler.ready_jobs import PLAYLIST_EVERY, Unit, units_of
from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Assign,
    Command,
    Done,
    Event,
    Failure,
    Finished,
    Launch,
    Outcome,
    Progress,
    Retire,
    Role,
    Scan,
    Scanned,
    StopAsked,
    Work,
    WorkerLost,
    WorkerReady,
)

ROLE_OF: dict[str, Role] = {
    "sound": "prepare",
    "conditioning": "prepare",
    "features": "prepare",
    "chain": "chain",
    "upscale": "upscale",
    "playlist": "publish",
    "finish": "publish",
}


@dataclass
class Faults:
    """How often things go wrong, of a thousand steps of a worker, and how often at most."""

    start: int = 0  # a worker dies while starting
    crash: int = 0  # a worker dies at work
    preempted: int = 0
    failure: int = 0  # a job fails, its worker lives
    infrastructure: int = 0
    memory: int = 0
    damaged: int = 0
    stopped: int = 0
    lost_news: int = 0  # a commit of which the scheduler hears nothing before the worker dies
    per_unit: int = 2  # so many deaths and failures of one unit
    per_title: int = 3  # so much damage


@dataclass
class _Worker:
    role: Role
    ready: bool = False
    work: Work | None = None
    done: dict[int, list[Done]] = field(default_factory=dict)  # by place of the job
    failures: dict[int, Failure] = field(default_factory=dict)


class Cluster:
    def __init__(self, titles: list[TitleWork], limits: Limits, random: Random, faults: Faults | None = None):
        self.schedule = Schedule(titles, limits)
        self.limits, self.random, self.faults = limits, random, faults or Faults()
        self.titles = {title.id: title for title in titles}
        self.now = 0.0
        self.steps = 0
        self.store: set[Unit] = set()  # what is committed
        self.told: set[Unit] = set()  # what the scheduler has heard of since its last scan
        self.commits: Counter[Unit] = Counter()
        self.workers: dict[str, _Worker] = {}
        self.launched: Counter[Role] = Counter()
        self.assigned: list[tuple[float, str, Work]] = []
        self.playlists: dict[str, list[tuple[float, int]]] = {}
        self.scans: Counter[str] = Counter()
        self.poison: set[Unit] = set()  # units that kill whoever takes them
        self.lone_deaths: Counter[Unit] = Counter()
        self.troubles: Counter[Unit | str] = Counter()
        self.unsuited: set[tuple[str, str]] = set()  # (title, worker): what the worker will say when it is asked
        self.said_unsuited: set[tuple[str, str]] = set()
        self.stillborn: set[Role] = set()  # roles whose workers never start
        self._starts = 0

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self, most: int = 20_000) -> None:
        """Until the schedule is finished; a schedule that does not finish in `most` steps waits for ever."""
        while True:
            self.decide()
            if self.schedule.finished:
                return
            self.steps += 1
            assert self.steps < most, f"not finished after {most} steps: {self.schedule.titles}"
            self.step()

    def decide(self) -> list[Command]:
        commands = self.schedule.decide(self.now)
        for command in commands:
            self._carry_out(command)
        if not any(isinstance(command, Scan) for command in commands):
            assert self.schedule.decide(self.now) == [], "nothing has changed since"
        return commands

    def step(self) -> None:
        """One thing happens, or only time passes."""
        movable = [name for name, worker in self.workers.items() if not worker.ready or worker.work is not None]
        if not movable or self.random.random() < 0.1:
            self.now += self.random.choice((0.1, 0.5, 2.0))
        if movable:
            for event in self._advance(self.random.choice(movable)):
                self.give(event)

    def give(self, event: Event) -> None:
        match event:
            case Progress(done):
                self._hear(done)
            case Finished(name, outcomes):
                for outcome in outcomes:
                    self._hear(outcome.done)
                    if outcome.failure and outcome.failure.cause == "numerics":
                        self.said_unsuited.add((outcome.job.title, name))
        self.schedule.handle(event, self.now)

    def stop(self) -> None:
        self.give(StopAsked("a test says so"))

    # -- the scheduler's promises --------------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        match command:
            case Launch(name, role):
                assert name not in self.workers
                self.workers[name] = _Worker(role)
                self.launched[role] += 1
                assert sum(worker.role == role for worker in self.workers.values()) <= self.limits.of(role, 0)
            case Retire(name):
                assert self.workers.pop(name).work is None, "a worker with work in hand was ended"
            case Scan(title):
                assert not [unit for unit in self._held() if unit[0] == title], "a scan while the title is in hand"
                self.scans[title] += 1
                self.told = {unit for unit in self.told if unit[0] != title} | self._seen(found := self._scan(title))
                self.give(found)
            case Assign(name, work):
                self._check(name, work)
                self.workers[name].work = work
                self.workers[name].done = {place: [] for place in range(len(work.jobs))}
                self.assigned.append((self.now, name, work))

    def _check(self, name: str, work: Work) -> None:
        worker = self.workers[name]
        assert self.schedule.stopping is None, "work was handed out after a stop"
        assert worker.ready
        assert worker.work is None
        assert len(work.jobs) <= (2 * self.limits.lanes if worker.role == "chain" else 1)
        assert len({job.title for job in work.jobs}) == len(work.jobs)
        for job in work.jobs:
            title = self.titles[job.title]
            assert ROLE_OF[job.kind] == worker.role
            assert not self.schedule.titles[job.title].over, "work for a title that is over"
            assert (job.title, name) not in self.said_unsuited, "work for a worker that has said it does not suit"
            for unit in units_of(job):
                assert unit not in self._held(), f"{unit} is in two workers' hands"
                assert unit not in self.told, f"{unit} is committed and was asked for again"
            chained = sum(unit[:2] == (job.title, "chain") for unit in self.told)
            match job.kind:
                case "chain":
                    assert job.count == 1
                    assert job.first == chained < title.gops, "GOPs are chained one after the other"
                    assert (job.title, "conditioning", 0) in self.told
                    for block in range(title.blocks_for(job.first)):
                        assert (job.title, "features", block) in self.told
                case "upscale":
                    assert job.first + job.count <= chained, "upscaled before it was chained"
                    assert job.first // title.segment == (job.first + job.count - 1) // title.segment
                case "features":
                    assert (job.title, "sound", 0) in self.told
                case "finish":
                    assert job.count == title.gops
                    for gop in range(title.gops):
                        assert (job.title, "upscale", gop) in self.told
                case "playlist":
                    for gop in range(job.count):
                        assert (job.title, "upscale", gop) in self.told
                    before = self.playlists.get(job.title, [])
                    for at, count in before[-1:]:
                        assert self.now >= at + PLAYLIST_EVERY, "playlists too often"
                        assert job.count > count, "a playlist with nothing new"

    # -- the workers --------------------------------------------------------------------------------------------------

    def _held(self) -> set[Unit]:
        jobs = [job for worker in self.workers.values() if worker.work for job in worker.work.jobs]
        return {unit for job in jobs for unit in units_of(job)}

    def _chance(self, per_mille: int, key: Unit | str, most: int) -> bool:
        if self.troubles[key] >= most or self.random.randrange(1000) >= per_mille:
            return False
        self.troubles[key] += 1
        return True

    def _advance(self, name: str) -> list[Event]:
        """The worker starts, commits its next unit, fails, ends or dies."""
        worker, faults = self.workers[name], self.faults
        if worker.work is None:
            if worker.role in self.stillborn or (self._starts < 3 and self.random.randrange(1000) < faults.start):
                self._starts += 1
                return [self._lose(name, Failure("crash", "no such library"))]
            self._starts = 0
            worker.ready = True
            return [WorkerReady(name)]
        place, unit = self._next_unit(worker)
        if unit is None:
            work, worker.work = worker.work, None
            for place, failure in worker.failures.items():
                if failure.cause == "damaged":
                    self._damage(work.jobs[place].title)
            outcomes = [
                Outcome(job, tuple(worker.done[place]), worker.failures.pop(place, None))
                for place, job in enumerate(work.jobs)
            ]
            for job, outcome in zip(work.jobs, outcomes, strict=True):
                if job.kind == "playlist" and outcome.failure is None:
                    self.playlists.setdefault(job.title, []).append((self.now, job.count))
            return [Finished(name, tuple(outcomes))]
        return self._work(name, worker, place, unit)

    def _next_unit(self, worker: _Worker) -> tuple[int, Unit | None]:
        assert worker.work
        for place, job in enumerate(worker.work.jobs):
            done = len(worker.done[place])
            units = [] if job.kind == "playlist" else units_of(job)
            if place not in worker.failures and done < len(units):
                return place, units[done]
        return 0, None

    def _work(self, name: str, worker: _Worker, place: int, unit: Unit) -> list[Event]:
        assert worker.work
        faults, job = self.faults, worker.work.jobs[place]
        if unit in self.poison:
            # What the scheduler has not heard of counts as on board.
            on_board = [one for other in worker.work.jobs for one in units_of(other) if one not in self.told]
            self.lone_deaths[unit] += len(on_board) == len(worker.work.jobs) == 1
            return [self._lose(name, Failure("crash", "segmentation fault"))]
        if (unit[0], name) in self.unsuited and job.kind in ("chain", "upscale"):
            worker.failures[place] = Failure("numerics", "begun on another class of machine")
            return []
        if self._chance(faults.crash, unit, faults.per_unit):
            return [self._lose(name, Failure(self.random.choice(("crash", "memory")), "killed"))]
        if self._chance(faults.preempted, "preempted", 20):
            return [self._lose(name, Failure("preempted", "node taken"))]
        for cause in ("infrastructure", "memory", "stopped"):
            if self._chance(getattr(faults, cause), unit, faults.per_unit):
                worker.failures[place] = Failure(cause, cause)  # type: ignore[arg-type]
                return []
        if self._chance(faults.failure, unit, faults.per_unit):
            worker.failures[place] = Failure("crash", "ValueError")
            return []
        if self._chance(faults.damaged, unit[0], faults.per_title):
            worker.failures[place] = Failure("damaged", "not what its record says")
            return []
        item = Done(unit[0], unit[1], unit[2], won=unit not in self.store)
        self.commits[unit] += item.won
        self.store.add(unit)
        worker.done[place].append(item)
        if self._chance(faults.lost_news, unit, faults.per_unit):
            return [self._lose(name, Failure("crash", "killed after a commit"))]
        return [Progress((item,))] if self.random.random() < 0.5 else []

    def _lose(self, name: str, failure: Failure) -> Event:
        del self.workers[name]
        return WorkerLost(name, failure)

    def _damage(self, title: str) -> None:
        """Something that is committed gets lost; what was made of it stays. A file on its way needs it no more."""
        there = sorted(unit for unit in self.store if unit[0] == title)
        if there and (title, "finish", 0) not in self.store | self._held():
            unit = self.random.choice(there)
            self.store.discard(unit)
            self.commits[unit] -= 1

    def _hear(self, done: tuple[Done, ...]) -> None:
        self.told |= {(item.title, item.kind, item.unit) for item in done}

    @staticmethod
    def _seen(found: Scanned) -> set[Unit]:
        """The units that a scan counts."""
        name = found.title
        once = {"sound": found.sound, "conditioning": found.conditioning, "finish": found.done}
        seen: list[Unit] = [(name, kind, 0) for kind, there in once.items() if there]  # type: ignore[misc]
        seen += [(name, "features", block) for block in found.blocks]
        seen += [(name, "chain", gop) for gop in range(found.chained)]
        return {*seen, *((name, "upscale", gop) for gop in found.streamed)}

    def _scan(self, name: str) -> Scanned:
        """As the real one: a chain counts while all that it was made of is there, fragments below its end.

        What lies beyond stays in the store: who comes to it finds it made already.
        """
        title, chained = self.titles[name], 0
        while (name, "chain", chained) in self.store and all(
            unit in self.store
            for unit in [
                (name, "conditioning", 0),
                *((name, "features", block) for block in range(title.blocks_for(chained))),
            ]
        ):
            chained += 1
        return Scanned(
            name,
            (name, "sound", 0) in self.store,
            (name, "conditioning", 0) in self.store,
            tuple(block for block in range(title.blocks) if (name, "features", block) in self.store),
            chained,
            tuple(gop for gop in range(chained) if (name, "upscale", gop) in self.store),
            (name, "finish", 0) in self.store,
        )


def whole(title: TitleWork) -> set[Unit]:
    """All units of a finished title."""
    one: list[Unit] = [(title.id, "sound", 0), (title.id, "conditioning", 0), (title.id, "finish", 0)]
    blocks: list[Unit] = [(title.id, "features", block) for block in range(title.blocks_needed)]
    chain: list[Unit] = [(title.id, "chain", gop) for gop in range(title.gops)]
    upscale: list[Unit] = [(title.id, "upscale", gop) for gop in range(title.gops)]
    return {*one, *blocks, *chain, *upscale}
