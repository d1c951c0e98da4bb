"""The scheduler: events in, commands out. A pure state machine without clock, I/O or randomness.

Invariants:

* a unit is in at most one worker's hands at a time;
* a title's GOPs are chained one after the other, never two at once;
* what is committed is never asked for again, unless a scan of the store says that it is gone;
* a unit that kills its worker three times while alone on it fails its title, and only that title;
* a title that nobody can work on pauses and says why: nothing waits for ever;
* a unit that takes the driver along is found out over restarts (`quarantine.py`), and fails only its title.

A decision costs about the same however many titles wait: they stand in queues (`fair_queue.py`), which are brought up
to date for the titles that something happened to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.scheduler.backlog import Backlog
from pipeline.scheduler.films import Films
from pipeline.scheduler.lanes import ChainLanes, WorkerState
from pipeline.scheduler.pools import Limits, Pools
from pipeline.scheduler.quarantine import Quarantine
from pipeline.scheduler.ready_jobs import Unit, chain_jobs, units_of
from pipeline.scheduler.retries import BACKOFF, LOST, PATIENCE, POISON, Retries
from pipeline.scheduler.speeds import Speeds
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    ROLES,
    Assign,
    Command,
    Done,
    Event,
    Failure,
    Finished,
    Job,
    Kind,
    Outcome,
    Progress,
    Reason,
    Role,
    Scan,
    ScanFailed,
    Scanned,
    StopAsked,
    Work,
    WorkerLeaving,
    WorkerLost,
    WorkerReady,
)

__all__ = ["BACKOFF", "PATIENCE", "POISON", "Limits", "Schedule", "TitleWork"]

# Times that damage may send a title back to a scan without anything new coming of it: a store that damages everything
# is found out, and however much was damaged before is mended in one run.
SCANS = 20


_ROLE_OF: dict[Kind, Role] = {
    "sound": "prepare",
    "conditioning": "prepare",
    "features": "prepare",
    "chain": "chain",
    "upscale": "upscale",
    "playlist": "publish",
    "finish": "publish",
}


class Schedule:
    """Feed it events with `handle`, ask it for commands with `decide`, until `finished`."""

    def __init__(self, titles: Iterable[TitleWork], limits: Limits, quarantine: Quarantine | None = None):
        self.quarantine = quarantine or Quarantine()
        self._films = Films(titles)
        self.titles, self._states = self._films.titles, self._films.states
        self.limits = limits
        self.stopping: str | None = None
        self.speeds = Speeds()
        self.retries = Retries()
        self._backlog = Backlog(self._states, self.retries, self.speeds, limits.chain * limits.lanes)
        self.fair = self._backlog.fair
        self.chain_lanes = ChainLanes(
            self._states, self.fair["chain"], self._backlog.queues["chain"], self._chains_alone
        )
        self._pools = Pools(limits, self._states, self._backlog, self.chain_lanes, self.speeds)
        self.workers = self._pools.workers
        self._assigned = 0
        self._scanning: set[str] = set()
        self._to_scan = list(self.titles)

    # -- what others may ask --------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Nothing is running, and nothing more will be started."""
        self._backlog.refresh()
        if self._backlog.busy:
            return False
        return self.stopping is not None or not (self._scanning or self._backlog.open)

    @property
    def scenes(self) -> dict[str, TitleWork]:
        """Of all titles, as far as it is known where they begin."""
        return self._films.scenes()

    @property
    def now(self) -> float:
        return self._backlog.now

    @property
    def wake_at(self) -> float | None:
        """When `decide` may have commands though no event came before; None if not at all."""
        return min((at for at in (self._backlog.wake_at, self._pools.wake_at) if at is not None), default=None)

    def fail(self, reason: Reason) -> None:
        for state in self._still_open(reason.title):
            state.failed = self._films.told(reason)

    def pause(self, reason: Reason) -> None:
        for state in self._still_open(reason.title):
            state.paused = self._films.told(reason)

    def _still_open(self, name: str) -> Iterator[TitleState]:
        """The title and its scenes, of which nothing more is to be done: a title ends as a whole."""
        self._scanning.discard(self._films.film_of(name))
        for one in self._films.parts_of(name):
            if not self._states[one].over:
                yield self._states[one]
                self._backlog.touch(one)

    # -- events ---------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> None:
        self._backlog.now = max(self.now, now)
        match event:
            case Scanned(name):
                self._scanning.discard(name)
                self._load(event)
            case ScanFailed(name, reason, for_good):
                self._scanning.discard(name)
                (self.fail if for_good else self.pause)(Reason("records", name, reason))
            case WorkerReady(name, ready):
                if name in self.workers:
                    worker = self.workers[name]
                    worker.ready, worker.device, worker.lanes = True, ready.device, ready.lanes or self.limits.lanes
                    self._pools.born(worker.role)
            case WorkerLeaving(name):
                if name in self.workers:
                    self.workers[name].leaving = True
            case WorkerLost(name, failure):
                self._lost(name, failure)
            case Progress(done):
                self._commit(done)
            case Finished(name, outcomes):
                self._finished(name, outcomes)
            case StopAsked(reason):
                self.stopping = self.stopping or reason

    def _load(self, found: Scanned) -> None:
        self._films.load(found)
        for name in reversed(self._films.parts_of(found.title)):
            self._backlog.touch(name)
            self._accuse(name)

    def _lost(self, name: str, failure: Failure) -> None:
        worker = self.workers.pop(name, None)
        if worker is None:
            return
        self.chain_lanes.leave(name)
        if worker.work is None:
            if not worker.ready and failure.cause != "preempted":
                self._pools.stillborn(worker.role, failure)
            return
        units = self._backlog.release(worker.work.jobs)
        if failure.cause != "preempted":
            left = [unit for unit in units if not self._is_committed(unit)]
            self._blame(left, failure, was_alone=len(worker.work.jobs) == len(left) == 1)

    def _finished(self, name: str, outcomes: Iterable[Outcome]) -> None:
        worker = self.workers.get(name)
        if worker is None or worker.work is None:
            return
        work, worker.work = worker.work, None
        self._backlog.release(work.jobs)
        for outcome in outcomes:
            self._commit(outcome.done)
            if outcome.failure is not None:
                # A failure that leaves the worker alive is the first uncommitted unit's, if no other lane was there.
                self._failed(name, outcome, outcome.failure, was_alone=len(work.jobs) == 1)
            elif outcome.job.kind == "playlist":
                title = self._states[outcome.job.title]
                title.listed = max(title.listed, outcome.job.count)
                title.listed_at = self.now
                self.retries.forget((outcome.job.title, "playlist", 0))
            elif outcome.job.kind == "chain":
                self.chain_lanes.note(outcome.job.title, outcome.ahead)
                if not outcome.done:  # a spare that was not needed, or not to its end
                    self.fair["chain"].charge(self._states[outcome.job.title].work.owner, -1)
        self._measure(worker, work, outcomes)

    def _measure(self, worker: WorkerState, work: Work, outcomes: Iterable[Outcome]) -> None:
        """A chain worker makes a GOP of each lane in one call; others work unit after unit."""
        units = sum(len(outcome.done) for outcome in outcomes)
        if work.kind == "chain":
            units = min(units, 1)
        if work.kind in ("chain", "upscale") and not any(outcome.failure for outcome in outcomes):
            self.speeds.note(worker.role, worker.device, self.now - worker.began, units)

    def _failed(self, name: str, outcome: Outcome, failure: Failure, was_alone: bool) -> None:
        job, worker = outcome.job, self.workers[name]
        left = [unit for unit in units_of(job) if not self._is_committed(unit)][:1]
        self.chain_lanes.forget(job.title)
        match failure.cause:
            case "stopped" | "preempted":
                worker.leaving = True
            case "user":
                self.fail(Reason("user", job.title, failure.message))
            case "numerics":
                worker.unsuited[job.title] = failure.message
            case "damaged":
                self._look_again(job.title, failure.message)
            case "infrastructure":
                for unit in left:
                    again = self.retries.retry(unit, self.now)
                    if again is None:
                        self.pause(Reason("infrastructure", job.title, failure.message, f"{unit[1]} {unit[2]}"))
                    else:
                        self._backlog.again_at(again, job.title)
            case "memory" | "crash":
                worker.failed_units.update(left)
                self._blame(left, failure, was_alone)

    def _look_again(self, name: str, reason: str) -> None:
        """Trust the store and not what is known: something that was committed is damaged."""
        name = self._films.film_of(name)
        title = self.titles[name]
        if title.over or name in self._to_scan:
            return
        title.note_progress()
        title.visit += 1
        title.in_vain += 1
        for one in self._films.parts_of(name):
            self._states[one].scanned = False
            self._backlog.touch(one)
        if title.in_vain > SCANS:
            self.fail(Reason("damaged", name, reason))
        else:
            self._to_scan.append(name)

    def _blame(self, units: list[Unit], failure: Failure, was_alone: bool) -> None:
        """Count a death against a unit that was alone; have all that were on board tried again one by one."""
        lost = failure.cause == "lost"
        for title, kind, number in self.retries.died(units, was_alone, machine=lost):
            what = f"took its machine along {LOST} times" if lost else f"failed {POISON} times"
            place = f"{kind} {number}"
            text = f"{place} {what} while alone on a worker: {failure.message}"
            self.fail(Reason("poison", title, text, place))

    def _accuse(self, name: str) -> None:
        """Units that were in hand when former drivers died are tried alone; what took three along is given up."""
        for unit, deaths in self.quarantine.look_up(self._states[name]):
            self.retries.suspect(unit)
            if len(deaths.alone) >= POISON:
                place = f"{unit[1]} {unit[2]}"
                text = f"{place} took the driver along {POISON} times while nothing else was in hand"
                self.fail(Reason("poison", name, text, place))

    def _commit(self, done: Iterable[Done]) -> None:
        for item in done:
            if item.title in self._states:
                state = self._states[item.title]
                for scene in self._films.commit(item):
                    self._backlog.touch(scene)
                if state.work.film:
                    self._backlog.touch(state.work.film)
                elif item.kind == "sound" and state.work.in_scenes and not state.scenes:
                    self._look_again(item.title, "where its scenes begin cannot be read")
                self.retries.forget((item.title, item.kind, item.unit))
                self.quarantine.forget((item.title, item.kind, item.unit))
                self._backlog.touch(item.title)

    def _is_committed(self, unit: Unit) -> bool:
        name, kind, number = unit
        return self._states[name].is_committed(kind, number)

    # -- commands -------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> list[Command]:
        """What to do next. The commands count as carried out; their results come back as events."""
        self._backlog.now = max(self.now, now)
        commands: list[Command] = []
        self._backlog.refresh()
        if self.stopping is None:
            self._give_up()
            self._backlog.refresh()
            self._start_scans(commands)
            self._pools.send_home(commands)
            if not self._hand_out_solo(commands):
                for role in ROLES:
                    self._hand_out(role, commands)
            for role in ROLES:
                self._pools.scale(role, commands)
            self._pools.shrink(commands)
        return commands

    def _give_up(self) -> None:
        """Pause titles that wait for a role that nobody will fill."""
        for role in ROLES:
            for name, why in self._pools.stuck(role).items():
                if self._states[name].active and self._states[name].expects(role):
                    self.pause(Reason("workers", name, why))

    def _start_scans(self, commands: list[Command]) -> None:
        if not self._to_scan:
            return
        # A scan trusts the store, so it waits until nothing of the title is in anybody's hands.
        held = {self._films.film_of(unit[0]) for unit in self._backlog.busy}
        for name in [name for name in self._to_scan if name not in held]:
            self._to_scan.remove(name)
            if not self.titles[name].over:
                self._scanning.add(name)
                commands.append(Scan(name))

    def _hand_out(self, role: Role, commands: list[Command]) -> None:
        idle = [name for name, worker in self.workers.items() if worker.role == role and worker.idle]
        if len(idle) > 1:  # the fastest takes what comes first
            idle.sort(key=lambda name: self.speeds.seconds(role, self.workers[name].device) or 0.0)
        for name in idle:
            if not self._backlog.queues[role]:
                return
            jobs, lanes = self._chain_jobs(name) if role == "chain" else (self._one_job(role, name), 0)
            if jobs:
                self._assigned += 1
                work = Work(self._assigned, jobs[0].kind, tuple(jobs), lanes)
                self._assign(name, work)
                commands.append(Assign(name, work))

    def _chains_alone(self, name: str) -> bool:
        return self.retries.alone((name, "chain", self._states[name].chained))

    @property
    def in_hand(self) -> list[Job]:
        return [job for worker in self.workers.values() if worker.work for job in worker.work.jobs]

    def _hand_out_solo(self, commands: list[Command]) -> bool:
        """Whether a unit that was in hand when several drivers died has its turn: then nothing else is handed out."""
        for unit in self.quarantine.solo():
            name, kind, _ = unit
            role = _ROLE_OF[kind]
            jobs = self._backlog.startable(role, name, self._pools.sharing()) if self._states[name].active else iter(())
            # Its own work may be what is in hand; else it waits until nothing is.
            if unit in self._backlog.busy:
                return True
            job = next((job for job in jobs if unit in units_of(job)), None)
            if job is None:
                continue
            for one, worker in self.workers.items():
                if not self._backlog.busy and worker.role == role and worker.idle and name not in worker.unsuited:
                    self._assigned += 1
                    lanes = self._states[name].lanes or worker.lanes if role == "chain" else 0
                    self.chain_lanes.forget(name)
                    work = Work(self._assigned, kind, (job,), lanes)
                    self._assign(one, work)
                    commands.append(Assign(one, work))
                    break
            return True
        return False

    def _assign(self, name: str, work: Work) -> None:
        worker = self.workers[name]
        worker.work, worker.began = work, self.now
        self._backlog.take(work.jobs)

    def _chain_jobs(self, name: str) -> tuple[list[Job], int]:
        """Jobs for the lanes of a chain worker, and the shape of its batch."""
        chosen, lanes = self.chain_lanes.choose(name, self.workers[name])
        return [job for title in chosen for job in chain_jobs(self._states[title], self._backlog.free)], lanes

    def _one_job(self, role: Role, name: str) -> list[Job]:
        unsuited, sharing = self.workers[name].unsuited, self._pools.sharing()
        for title in self._backlog.queues[role].best(self.fair[role]):
            if title not in unsuited:
                if job := next(self._backlog.startable(role, title, sharing), None):
                    return [job]
                self._backlog.queues[role].remove(title)  # its units wait for another try
        return []
