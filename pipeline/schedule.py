"""The scheduler: events in, commands out. A pure state machine without clock, I/O or randomness.

Invariants:

* a unit is in at most one worker's hands at a time;
* a title's GOPs are chained one after the other, never two at once;
* what is committed is never asked for again, unless a scan of the store says that it is gone;
* a unit that kills its worker three times while alone on it fails its title, and only that title.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.work import (
    ROLES,
    Assign,
    Command,
    Done,
    Event,
    Failure,
    Finished,
    Job,
    Kind,
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

POISON = 3  # deaths while alone after which a unit is given up
BAD_WORKER = 3  # different units a worker may fail before it is replaced
PATIENCE = 6  # attempts that may fail on infrastructure before the title pauses
BACKOFF = 1.0  # seconds before the first such retry; doubles
PLAYLIST_EVERY = 5.0  # seconds between two playlists of a title
SCANS = 3  # times that damage may send a title back to a scan

Unit = tuple[str, Kind, int]


# -- state --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """Most workers of each role, and titles in one chain worker's batch."""

    prepare: int = 1
    chain: int = 1
    upscale: int = 1
    publish: int = 1
    lanes: int = 1

    def of(self, role: Role) -> int:
        return getattr(self, role)


@dataclass(frozen=True)
class TitleWork:
    """The size of a title. `gops` is what this run is to make: all of them, or a preview's."""

    id: str
    priority: int
    gops: int
    blocks: int
    segment: int
    block_of_gop: tuple[int, int] = (1500, 48)  # frames of a block of features, and of a GOP
    reach: int = 0  # frames beyond the GOP that its last clip hears

    def blocks_for(self, gop: int) -> int:
        """Number of blocks, from the first on, that GOP `gop` needs."""
        block, size = self.block_of_gop
        return min(self.blocks, ((gop + 1) * size + self.reach - 1) // block + 1)


@dataclass
class _Title:
    work: TitleWork
    scanned: bool = False
    scans: int = 0
    sound: bool = False
    conditioning: bool = False
    blocks: set[int] = field(default_factory=set)
    chained: int = 0
    streamed: int = 0  # contiguous prefix
    beyond: set[int] = field(default_factory=set)  # streamed GOPs after the prefix
    listed: int = 0
    listed_at: float = float("-inf")
    done: bool = False
    failed: str | None = None
    paused: str | None = None

    @property
    def over(self) -> bool:
        return self.done or self.failed is not None or self.paused is not None

    @property
    def active(self) -> bool:
        return self.scanned and not self.over


@dataclass
class _Worker:
    role: Role
    ready: bool = False
    work: Work | None = None
    failed_units: set[Unit] = field(default_factory=set)


class Schedule:
    """Feed it events with `handle`, ask it for commands with `decide`, until `finished`."""

    def __init__(self, titles: Iterable[TitleWork], limits: Limits):
        self.titles = {title.id: _Title(title) for title in titles}
        self.limits = limits
        self.workers: dict[str, _Worker] = {}
        self.stopping: str | None = None
        self.now = 0.0
        self._busy: set[Unit] = set()
        self._alone: set[Unit] = set()  # units that were on board when a worker died
        self._deaths: Counter[Unit] = Counter()
        self._tries: Counter[Unit] = Counter()
        self._not_before: dict[Unit, float] = {}
        self._unsuited: set[tuple[str, Role, str]] = set()
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
        state = self.titles[title]
        if not state.over:
            state.failed = reason

    def pause(self, title: str, reason: str) -> None:
        state = self.titles[title]
        if not state.over:
            state.paused = reason

    # -- events ---------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> None:
        self.now = max(self.now, now)
        match event:
            case Scanned():
                self._scanned(event)
            case WorkerReady(worker):
                if worker in self.workers:
                    self.workers[worker].ready = True
            case WorkerLost(worker, failure):
                self._lost(worker, failure)
            case Progress(done):
                self._commit(done)
            case Finished(worker, outcomes):
                self._finished(worker, outcomes)
            case StopAsked(reason):
                self.stopping = self.stopping or reason

    def _scanned(self, event: Scanned) -> None:
        self._scanning.discard(event.title)
        title = self.titles[event.title]
        title.scanned = True
        title.sound, title.conditioning, title.done = event.sound, event.conditioning, event.done
        title.blocks = set(event.blocks)
        title.chained = min(event.chained, title.work.gops)
        title.streamed, title.beyond = 0, {gop for gop in event.streamed if gop < title.work.gops}
        self._advance_prefix(title)

    def _lost(self, name: str, failure: Failure) -> None:
        worker = self.workers.pop(name, None)
        if worker is None or worker.work is None:
            return
        units = [unit for job in worker.work.jobs for unit in self._units(job)]
        self._busy.difference_update(units)
        units = [unit for unit in units if not self._is_committed(unit)]
        if failure.cause == "preempted":
            return
        self._blame(units, failure)

    def _finished(self, name: str, outcomes: Iterable[Outcome]) -> None:
        worker = self.workers.get(name)
        if worker is None or worker.work is None:
            return
        worker.work = None
        for outcome in outcomes:
            self._busy.difference_update(self._units(outcome.job))
            self._commit(outcome.done)
            if outcome.failure is not None:
                self._failed(name, worker, outcome, outcome.failure)
            elif outcome.job.kind == "playlist":
                title = self.titles[outcome.job.title]
                title.listed = max(title.listed, outcome.job.count)
                title.listed_at = self.now

    def _failed(self, name: str, worker: _Worker, outcome: Outcome, failure: Failure) -> None:
        job = outcome.job
        title = self.titles[job.title]
        left = [unit for unit in self._units(job) if not self._is_committed(unit)]
        match failure.cause:
            case "stopped" | "preempted":
                return
            case "user":
                self.fail(job.title, failure.message)
                return
            case "numerics":
                self._unsuited.add((job.title, worker.role, name))
                if all((job.title, worker.role, other) in self._unsuited for other in self._of(worker.role)):
                    self.pause(job.title, failure.message)
                return
            case "damaged":
                title.scans += 1
                if title.scans > SCANS:
                    self.fail(job.title, failure.message)
                elif job.title not in self._to_scan:
                    title.scanned = False
                    self._to_scan.append(job.title)
                return
            case "infrastructure":
                for unit in left[:1]:
                    self._tries[unit] += 1
                    self._not_before[unit] = self.now + BACKOFF * 2 ** (self._tries[unit] - 1)
                    if self._tries[unit] >= PATIENCE:
                        self.pause(job.title, failure.message)
                return
        worker.failed_units.update(left[:1])
        self._blame(left[:1], failure)

    def _blame(self, units: list[Unit], failure: Failure) -> None:
        """Count a death against a unit that was alone; otherwise have all of them tried again one by one."""
        if len(units) == 1:
            (unit,) = units
            self._deaths[unit] += 1
            if self._deaths[unit] >= POISON:
                title, kind, number = unit
                self.fail(title, f"{kind} {number} failed {POISON} times: {failure.message}")
        self._alone.update(units)

    def _commit(self, done: Iterable[Done]) -> None:
        for item in done:
            title = self.titles.get(item.title)
            if title is None:
                continue
            unit = (item.title, item.kind, item.unit)
            self._alone.discard(unit)
            self._tries.pop(unit, None)
            match item.kind:
                case "sound":
                    title.sound = True
                case "conditioning":
                    title.conditioning = True
                case "features":
                    title.blocks.add(item.unit)
                case "chain":
                    title.chained = max(title.chained, item.unit + 1)
                case "upscale":
                    title.beyond.add(item.unit)
                    self._advance_prefix(title)
                case "finish":
                    title.done = True

    @staticmethod
    def _advance_prefix(title: _Title) -> None:
        while title.streamed in title.beyond:
            title.beyond.discard(title.streamed)
            title.streamed += 1

    def _is_committed(self, unit: Unit) -> bool:
        name, kind, number = unit
        title = self.titles[name]
        match kind:
            case "sound":
                return title.sound
            case "conditioning":
                return title.conditioning
            case "features":
                return number in title.blocks
            case "chain":
                return number < title.chained
            case "upscale":
                return number < title.streamed or number in title.beyond
            case "finish":
                return title.done
            case "playlist":
                return False

    @staticmethod
    def _units(job: Job) -> list[Unit]:
        if job.kind in ("playlist", "finish"):
            return [(job.title, job.kind, 0)]
        return [(job.title, job.kind, job.first + k) for k in range(job.count)]

    # -- commands -------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> list[Command]:
        """What to do next. The commands count as carried out; their results come back as events."""
        self.now = max(self.now, now)
        commands: list[Command] = []
        if self.stopping is None:
            # A scan trusts the store, so it waits until nothing of the title is in anybody's hands.
            held = {unit[0] for unit in self._busy}
            for title in [t for t in self._to_scan if t not in held]:
                self._to_scan.remove(title)
                self._scanning.add(title)
                commands.append(Scan(title))
            self._replace_bad_workers(commands)
            for role in ROLES:
                for worker in self._idle(role):
                    work = self._next_work(worker, role)
                    if work is not None:
                        self.workers[worker].work = work
                        self._busy.update(unit for job in work.jobs for unit in self._units(job))
                        commands.append(Assign(worker, work))
            for role in ROLES:
                self._scale(role, commands)
        return commands

    def _of(self, role: Role) -> list[str]:
        return [name for name, worker in self.workers.items() if worker.role == role]

    def _idle(self, role: Role) -> list[str]:
        return [name for name in self._of(role) if self.workers[name].ready and self.workers[name].work is None]

    def _replace_bad_workers(self, commands: list[Command]) -> None:
        for name, worker in list(self.workers.items()):
            if worker.work is None and len(worker.failed_units) >= BAD_WORKER:
                del self.workers[name]
                commands.append(Retire(name, kill=True))

    def _scale(self, role: Role, commands: list[Command]) -> None:
        """One worker more while there is work that nobody takes, none where there is nothing left to do."""
        mine = self._of(role)
        idle = self._idle(role)
        starting = [name for name in mine if not self.workers[name].ready]
        waiting = any(True for _ in self._startable(role))
        wanted = waiting or (not mine and self._expects(role))
        if wanted and not starting and not idle and len(mine) < self.limits.of(role):
            self._launched += 1
            name = f"{role}-{self._launched}"
            self.workers[name] = _Worker(role)
            commands.append(Launch(name, role))
        elif idle and not self._expects(role):
            for name in idle:
                del self.workers[name]
                commands.append(Retire(name))

    def _expects(self, role: Role) -> bool:
        """Whether this role will have work before the run is over (so workers are held through lulls)."""
        for title in self.titles.values():
            if title.over:
                continue
            if not title.scanned:
                return True
            match role:
                case "prepare":
                    if not (title.sound and title.conditioning and len(title.blocks) >= title.work.blocks):
                        return True
                case "chain":
                    if title.chained < title.work.gops:
                        return True
                case "upscale":
                    if title.streamed < title.work.gops:
                        return True
                case "publish":
                    return True
        return False

    # -- choosing work --------------------------------------------------------------------------------------------

    def _next_work(self, worker: str, role: Role) -> Work | None:
        jobs: list[Job] = []
        for job in self._startable(role, worker):
            if not jobs:
                jobs.append(job)
                if role != "chain" or self._must_be_alone(job):
                    break
            elif not self._must_be_alone(job):
                jobs.append(job)
            if len(jobs) == self.limits.lanes:
                break
        if not jobs:
            return None
        self._assigned += 1
        return Work(self._assigned, jobs[0].kind, tuple(jobs))

    def _must_be_alone(self, job: Job) -> bool:
        return any(unit in self._alone for unit in self._units(job))

    def _free(self, unit: Unit) -> bool:
        return unit not in self._busy and self._not_before.get(unit, 0.0) <= self.now

    def _startable(self, role: Role, worker: str | None = None) -> Iterator[Job]:
        """Jobs that could start now, best first."""
        titles = [title for title in self.titles.values() if title.active]
        if worker is not None:
            titles = [title for title in titles if (title.work.id, role, worker) not in self._unsuited]
        match role:
            case "prepare":
                titles.sort(key=lambda t: (-t.work.priority, -t.work.gops, t.work.id))
                for title in titles:
                    yield from self._prepare_jobs(title)
            case "chain":
                titles.sort(key=lambda t: (-t.work.priority, t.chained - t.work.gops, t.work.id))
                for title in titles:
                    unit: Unit = (title.work.id, "chain", title.chained)
                    ready = title.conditioning and title.chained < title.work.gops
                    if ready and self._free(unit) and self._heard(title):
                        yield Job(title.work.id, "chain", title.chained)
            case "upscale":
                titles.sort(key=lambda t: (-t.work.priority, t.work.gops - t.streamed, t.work.id))
                for title in titles:
                    yield from self._upscale_jobs(title)
            case "publish":
                for title in titles:
                    yield from self._publish_jobs(title)

    def _prepare_jobs(self, title: _Title) -> Iterator[Job]:
        name = title.work.id
        if not title.sound and self._free((name, "sound", 0)):
            yield Job(name, "sound")
        if not title.conditioning and self._free((name, "conditioning", 0)):
            yield Job(name, "conditioning")
        if title.sound:
            for block in range(title.work.blocks):
                if block not in title.blocks and self._free((name, "features", block)):
                    yield Job(name, "features", block)

    def _heard(self, title: _Title) -> bool:
        """Whether the blocks of features that the next GOP reads are there."""
        return all(block in title.blocks for block in range(title.work.blocks_for(title.chained)))

    def _upscale_jobs(self, title: _Title) -> Iterator[Job]:
        """Runs of GOPs that are chained and not upscaled, cut at segment borders, shared between idle workers."""
        name, segment = title.work.id, title.work.segment
        ready = [
            gop
            for gop in range(title.streamed, title.chained)
            if gop not in title.beyond and self._free((name, "upscale", gop))
        ]
        share = max(1, -(-len(ready) // max(1, len(self._idle("upscale")))))
        start = 0
        while start < len(ready):
            first, stop = ready[start], start + 1
            while (
                stop < len(ready)
                and ready[stop] == first + stop - start
                and ready[stop] // segment == first // segment
                and stop - start < share
                and (name, "upscale", first) not in self._alone
                and (name, "upscale", ready[stop]) not in self._alone
            ):
                stop += 1
            yield Job(name, "upscale", first, stop - start)
            start = stop

    def _publish_jobs(self, title: _Title) -> Iterator[Job]:
        name = title.work.id
        if not self._free((name, "playlist", 0)) or not self._free((name, "finish", 0)):
            return
        if title.streamed == title.work.gops and title.sound:
            yield Job(name, "finish", 0, title.work.gops)
        elif title.sound and title.streamed > title.listed and self.now >= title.listed_at + PLAYLIST_EVERY:
            yield Job(name, "playlist", 0, title.streamed)
