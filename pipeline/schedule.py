"""The scheduler: events in, commands out. A pure state machine without clock, I/O or randomness.

Invariants:

* a unit is in at most one worker's hands at a time;
* a title's GOPs are chained one after the other, never two at once;
* what is committed is never asked for again, unless a scan of the store says that it is gone;
* a unit that kills its worker three times while alone on it fails its title, and only that title;
* a title that nobody can work on pauses and says why: nothing waits for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from pipeline.choose import Unit, chain_jobs, prepare_jobs, publish_jobs, units_of, upscale_jobs
from pipeline.title_state import TitleState, TitleWork
from pipeline.work import (
    ROLES,
    Assign,
    Command,
    Done,
    Event,
    Failure,
    Finished,
    Job,
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

__all__ = ["Limits", "Schedule", "TitleWork"]

POISON = 3  # deaths while alone after which a unit is given up
BAD_WORKER = 3  # different units a worker may fail before it is replaced
STILLBORN = 5  # workers of a role that may die in a row before one is ready
PATIENCE = 6  # attempts that may fail on infrastructure before the title pauses
BACKOFF = 1.0  # seconds before the first such retry; doubles
MOST_AHEAD = 4  # jobs of one title that preparing looks at: more workers than that help other titles
SCANS = 20  # times that damage may send a title back to a scan: a store that damages everything is found out


@dataclass(frozen=True)
class Limits:
    """Most workers of each role, and titles in one chain worker's batch."""

    prepare: int = 1
    chain: int = 1
    upscale: int = 1
    publish: int = 1
    lanes: int = 1
    upscale_after: int = 0  # most upscalers once the chains are over and have left their devices

    def of(self, role: Role, chains_over: bool = False) -> int:
        return max(self.upscale, self.upscale_after) if role == "upscale" and chains_over else getattr(self, role)


@dataclass
class _Worker:
    role: Role
    ready: bool = False
    work: Work | None = None
    leaving: bool = False  # it was told to stop by somebody else: it takes no more work
    failed_units: set[Unit] = field(default_factory=set)
    unsuited: dict[str, str] = field(default_factory=dict)  # titles begun on another numerics class, and what it said


class Schedule:
    """Feed it events with `handle`, ask it for commands with `decide`, until `finished`."""

    def __init__(self, titles: Iterable[TitleWork], limits: Limits):
        self.titles = {title.id: TitleState(title) for title in titles}
        self.limits = limits
        self.workers: dict[str, _Worker] = {}
        self.stopping: str | None = None
        self.now = 0.0
        self._busy: set[Unit] = set()
        self._alone: set[Unit] = set()  # units that were on board when a worker died
        self._deaths: Counter[Unit] = Counter()
        self._tries: Counter[Unit] = Counter()
        self._not_before: dict[Unit, float] = {}
        self._stillborn: Counter[Role] = Counter()
        self._birth_failure: dict[Role, str] = {}
        self._launched = 0
        self._assigned = 0
        self._to_scan = list(self.titles)
        self._scanning: set[str] = set()

    # -- what others may ask --------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Nothing is running, and nothing more will be started."""
        idle = not self._busy and not self._scanning
        return idle and (self.stopping is not None or all(title.over for title in self.titles.values()))

    def fail(self, title: str, reason: str) -> None:
        if not self.titles[title].over:
            self.titles[title].failed = reason
            self._scanning.discard(title)

    def pause(self, title: str, reason: str) -> None:
        if not self.titles[title].over:
            self.titles[title].paused = reason
            self._scanning.discard(title)

    # -- events ---------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> None:
        self.now = max(self.now, now)
        match event:
            case Scanned(name):
                self._scanning.discard(name)
                self.titles[name].load(event)
            case WorkerReady(name):
                if name in self.workers:
                    self.workers[name].ready = True
                    self._stillborn[self.workers[name].role] = 0
            case WorkerLost(name, failure):
                self._lost(name, failure)
            case Progress(done):
                self._commit(done)
            case Finished(name, outcomes):
                self._finished(name, outcomes)
            case StopAsked(reason):
                self.stopping = self.stopping or reason

    def _lost(self, name: str, failure: Failure) -> None:
        worker = self.workers.pop(name, None)
        if worker is None:
            return
        if worker.work is None:
            if not worker.ready and failure.cause != "preempted":
                self._stillborn[worker.role] += 1
                self._birth_failure[worker.role] = failure.message
            return
        units = self._release(worker.work)
        if failure.cause != "preempted":
            left = [unit for unit in units if not self._is_committed(unit)]
            self._blame(left, failure, was_alone=len(worker.work.jobs) == len(left) == 1)

    def _finished(self, name: str, outcomes: Iterable[Outcome]) -> None:
        worker = self.workers.get(name)
        if worker is None or worker.work is None:
            return
        work, worker.work = worker.work, None
        self._release(work)
        for outcome in outcomes:
            self._commit(outcome.done)
            if outcome.failure is not None:
                # A failure that leaves the worker alive is the first uncommitted unit's, if no other lane was there.
                self._failed(worker, outcome, outcome.failure, was_alone=len(work.jobs) == 1)
            elif outcome.job.kind == "playlist":
                title = self.titles[outcome.job.title]
                title.listed = max(title.listed, outcome.job.count)
                title.listed_at = self.now
                self._forget((outcome.job.title, "playlist", 0))

    def _failed(self, worker: _Worker, outcome: Outcome, failure: Failure, was_alone: bool) -> None:
        job = outcome.job
        left = [unit for unit in units_of(job) if not self._is_committed(unit)][:1]
        match failure.cause:
            case "stopped" | "preempted":
                worker.leaving = True
            case "user":
                self.fail(job.title, failure.message)
            case "numerics":
                worker.unsuited[job.title] = failure.message
            case "damaged":
                self._look_again(job.title, failure.message)
            case "infrastructure":
                for unit in left:
                    self._tries[unit] += 1
                    self._not_before[unit] = self.now + BACKOFF * 2 ** (self._tries[unit] - 1)
                    if self._tries[unit] >= PATIENCE:
                        self.pause(job.title, failure.message)
            case "memory" | "crash":
                worker.failed_units.update(left)
                self._blame(left, failure, was_alone)

    def _look_again(self, name: str, reason: str) -> None:
        """Trust the store and not what is known: something that was committed is damaged."""
        title = self.titles[name]
        if title.over or name in self._to_scan:
            return
        title.visit += 1
        title.scanned = False
        if title.visit > SCANS:
            self.fail(name, reason)
        else:
            self._to_scan.append(name)

    def _blame(self, units: list[Unit], failure: Failure, was_alone: bool) -> None:
        """Count a death against a unit that was alone; have all that were on board tried again one by one."""
        self._alone.update(units)
        for unit in units if was_alone else []:
            self._deaths[unit] += 1
            if self._deaths[unit] >= POISON:
                title, kind, number = unit
                self.fail(title, f"{kind} {number} failed {POISON} times while alone on a worker: {failure.message}")

    def _commit(self, done: Iterable[Done]) -> None:
        for item in done:
            if item.title in self.titles:
                self.titles[item.title].commit(item)
                self._forget((item.title, item.kind, item.unit))

    def _forget(self, unit: Unit) -> None:
        """What went wrong with a unit that is now done."""
        self._alone.discard(unit)
        for counts in (self._deaths, self._tries, self._not_before):
            counts.pop(unit, None)

    def _release(self, work: Work) -> list[Unit]:
        units = [unit for job in work.jobs for unit in units_of(job)]
        self._busy.difference_update(units)
        return units

    def _is_committed(self, unit: Unit) -> bool:
        name, kind, number = unit
        return self.titles[name].is_committed(kind, number)

    # -- commands -------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> list[Command]:
        """What to do next. The commands count as carried out; their results come back as events."""
        self.now = max(self.now, now)
        commands: list[Command] = []
        if self.stopping is None:
            self._give_up()
            self._start_scans(commands)
            self._send_home(commands)
            for role in ROLES:
                for name in self._idle(role):
                    work = self._next_work(name, role)
                    if work is not None:
                        self.workers[name].work = work
                        self._busy.update(unit for job in work.jobs for unit in units_of(job))
                        commands.append(Assign(name, work))
            for role in ROLES:
                self._scale(role, commands)
        return commands

    def _of(self, role: Role) -> list[str]:
        return [name for name, worker in self.workers.items() if worker.role == role]

    def _idle(self, role: Role) -> list[str]:
        return [name for name in self._of(role) if self.workers[name].ready and self.workers[name].work is None]

    def _give_up(self) -> None:
        """Pause titles that wait for a role of which no worker starts, or none computes as theirs do."""
        for role in ROLES:
            mine = self._of(role)
            if self._stillborn[role] < STILLBORN and len(mine) < self._most(role):
                continue
            for name, title in self.titles.items():
                if not (title.active and title.expects(role)):
                    continue
                if not mine:
                    why = self._birth_failure[role]
                    self.pause(name, f"{STILLBORN} {role} workers in a row died while starting: {why}")
                elif all(name in self.workers[one].unsuited for one in mine):
                    self.pause(name, self.workers[mine[-1]].unsuited[name])

    def _start_scans(self, commands: list[Command]) -> None:
        # A scan trusts the store, so it waits until nothing of the title is in anybody's hands.
        held = {unit[0] for unit in self._busy}
        for name in [name for name in self._to_scan if name not in held]:
            self._to_scan.remove(name)
            if not self.titles[name].over:
                self._scanning.add(name)
                commands.append(Scan(name))

    def _send_home(self, commands: list[Command]) -> None:
        """Replace workers that were stopped or that fail whatever they get; end those with nothing left to do."""
        for name, worker in list(self.workers.items()):
            bad = len(worker.failed_units) >= BAD_WORKER
            if worker.work is None and worker.ready and (bad or worker.leaving or not self._expects(worker.role)):
                del self.workers[name]
                commands.append(Retire(name, kill=bad))

    def _most(self, role: Role) -> int:
        # Not earlier: a chain that has to be started anew must find its device free, or nothing moves any more.
        over = not self._of("chain") and not any(t.active and t.expects("chain") for t in self.titles.values())
        return self.limits.of(role, over)

    def _scale(self, role: Role, commands: list[Command]) -> None:
        """Launch a worker for every piece of work that nobody takes, and the first one ahead of its work."""
        mine = self._of(role)
        room = self._most(role) - len(mine)
        if room <= 0 or self._stillborn[role] >= STILLBORN:
            return
        starting = sum(not self.workers[name].ready for name in mine)
        if self._stillborn[role]:  # starts fail: one at a time
            room = 1 - starting
        missing = self._untaken(role, starting + room) - starting
        if not mine and any(title.active and title.expects(role) for title in self.titles.values()):
            missing = max(missing, 1)
        for _ in range(min(missing, room)):
            self._launched += 1
            name = f"{role}-{self._launched}"
            self.workers[name] = _Worker(role)
            commands.append(Launch(name, role))

    def _untaken(self, role: Role, most: int) -> int:
        """Calls that could start now if there were workers, counted up to `most`."""
        lanes = self.limits.lanes if role == "chain" else 1
        jobs = sum(1 for _, _ in zip(range(most * lanes), self._startable(role), strict=False))
        return -(-jobs // lanes)

    def _expects(self, role: Role) -> bool:
        """Whether this role will have work before the run is over (so workers are held through lulls)."""
        return any(title.expects(role) for title in self.titles.values())

    # -- choosing work --------------------------------------------------------------------------------------------

    def _next_work(self, worker: str, role: Role) -> Work | None:
        jobs: list[Job] = []
        for job in self._startable(role, worker):
            alone = any(unit in self._alone for unit in units_of(job))
            if jobs and alone:
                continue
            jobs.append(job)
            if alone or role != "chain" or len(jobs) == self.limits.lanes:
                break
        if not jobs:
            return None
        self._assigned += 1
        return Work(self._assigned, jobs[0].kind, tuple(jobs))

    def _free(self, unit: Unit) -> bool:
        return unit not in self._busy and self._not_before.get(unit, 0.0) <= self.now

    def _startable(self, role: Role, worker: str | None = None) -> Iterator[Job]:
        """Jobs that could start now, best first; with `worker`, those that it may take."""
        titles = [title for title in self.titles.values() if title.active]
        if worker is not None:
            titles = [title for title in titles if title.work.id not in self.workers[worker].unsuited]
        match role:
            case "prepare":  # what every title needs to begin, before more of the longest
                titles.sort(key=lambda t: (-t.work.priority, -t.work.gops, t.work.id))
                jobs = [job for title in titles for job in islice(prepare_jobs(title, self._free), MOST_AHEAD)]
                yield from sorted(jobs, key=lambda job: (job.kind == "features", job.first))
            case "chain":  # the longest first: it decides when all is done
                titles.sort(key=lambda t: (-t.work.priority, t.chained - t.work.gops, t.work.id))
                for title in titles:
                    yield from chain_jobs(title, self._free)
            case "upscale":  # the one that is nearest to its end
                titles.sort(key=lambda t: (-t.work.priority, t.work.gops - t.streamed, t.work.id))
                # Whoever takes work leaves some for workers still to come; a new one is only worth a whole segment.
                workers = self.limits.of(role, chains_over=True) if worker else 1
                for title in titles:
                    yield from upscale_jobs(title, self._free, self._alone.__contains__, workers)
            case "publish":  # files before playlists, and the oldest playlist first
                titles.sort(key=lambda t: (t.streamed < t.work.gops, t.listed_at, t.work.id))
                for title in titles:
                    yield from publish_jobs(title, self._free, self.now)
