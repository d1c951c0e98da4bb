"""The scheduler: events in, commands out. A pure state machine without clock, I/O or randomness.

Invariants:

* a unit is in at most one worker's hands at a time;
* a title's GOPs are chained one after the other, never two at once;
* what is committed is never asked for again, unless a scan of the store says that it is gone;
* a unit that kills its worker three times while alone on it fails its title, and only that title;
* a title that nobody can work on pauses and says why: nothing waits for ever;
* a unit that takes the driver along is found out over restarts (`marks.py`), and fails only its title.

A decision costs about the same however many titles wait: they stand in lines (`order.py`), which are brought up to date
for the titles that something happened to.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from pipeline.choose import PLAYLIST_EVERY, Unit, chain_jobs, prepare_jobs, publish_jobs, units_of, upscale_jobs
from pipeline.lanes import Crew, Worker
from pipeline.marks import Suspects
from pipeline.order import NOBODY, Fair, Key, Line, Rank
from pipeline.pool_size import HOLD, Limits, chains_wanted, upscalers_wanted
from pipeline.speeds import Speeds
from pipeline.title_state import TitleState, TitleWork
from pipeline.trouble import BACKOFF, LOST, PATIENCE, POISON, Trouble
from pipeline.urgency import urgent_from
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
    WorkerLeaving,
    WorkerLost,
    WorkerReady,
)

__all__ = ["BACKOFF", "PATIENCE", "POISON", "Limits", "Schedule", "TitleWork"]

BAD_WORKER = 3  # different units a worker may fail before it is replaced
STILLBORN = 5  # workers of a role that may die in a row before one is ready
SCANS = 20  # times that damage may send a title back to a scan: a store that damages everything is found out


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

    def __init__(self, titles: Iterable[TitleWork], limits: Limits, suspects: Suspects | None = None):
        self.suspects = suspects or Suspects()
        self.titles = {title.id: TitleState(title) for title in titles}
        self.limits = limits
        self.workers: dict[str, Worker] = {}
        self.stopping: str | None = None
        self.now = 0.0
        self.speeds = Speeds()
        self.trouble = Trouble()
        shares: dict[str, float] = {}
        for title in self.titles.values():
            shares[title.work.owner] = max(shares.get(title.work.owner, 0.0), title.work.share)
        self.fair: dict[Role, Fair] = {role: Fair(shares) for role in ROLES}
        self._lines: dict[Role, Line] = {role: Line() for role in ROLES}
        self.crew = Crew(self.titles, self.fair["chain"], self._lines["chain"], self._chains_alone)
        self._busy: set[Unit] = set()
        self._in_hand: Counter[str] = Counter()  # GOPs being upscaled, by title
        self._to_upscale: dict[str, int] = {}  # GOPs that wait for upscalers, by title
        self._backlog = 0  # their sum
        self._stillborn: Counter[Role] = Counter()
        self._birth_failure: dict[Role, str] = {}
        self._launched = 0
        self._assigned = 0
        self._scanning: set[str] = set()
        self._to_scan = list(self.titles)
        self._dirty = dict.fromkeys(self.titles)  # titles that something happened to since the lines were right
        self._expects: dict[str, frozenset[Role]] = {}
        self._expecting: Counter[Role] = Counter()  # titles that will have work for a role
        self._open = 0  # titles that are not over
        self._later: list[tuple[float, str]] = []  # when to look at a title again though nothing happens to it
        self._looked_at: dict[str, float] = {}  # the first such moment of a title
        self._enough_since: float | None = None  # since when fewer upscalers would do
        self._bring_up_to_date()

    # -- what others may ask --------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Nothing is running, and nothing more will be started."""
        self._bring_up_to_date()
        return not self._busy and not self._scanning and (self.stopping is not None or not self._open)

    @property
    def wake_at(self) -> float | None:
        """When `decide` may have commands though no event came before; None if not at all."""
        times = [self._later[0][0]] if self._later else []
        if self._enough_since is not None:
            times.append(self._enough_since + HOLD)
        return min(times, default=None)

    def fail(self, title: str, reason: str) -> None:
        if not self.titles[title].over:
            self.titles[title].failed = reason
            self._scanning.discard(title)
            self._touch(title)

    def pause(self, title: str, reason: str) -> None:
        if not self.titles[title].over:
            self.titles[title].paused = reason
            self._scanning.discard(title)
            self._touch(title)

    # -- events ---------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> None:
        self.now = max(self.now, now)
        match event:
            case Scanned(name):
                self._scanning.discard(name)
                self.titles[name].load(event)
                self._touch(name)
                self._accuse(name)
            case WorkerReady(name, ready):
                if name in self.workers:
                    worker = self.workers[name]
                    worker.ready, worker.device, worker.lanes = True, ready.device, ready.lanes or self.limits.lanes
                    self._stillborn[worker.role] = 0
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

    def _lost(self, name: str, failure: Failure) -> None:
        worker = self.workers.pop(name, None)
        if worker is None:
            return
        self.crew.leave(name)
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
                self._failed(name, outcome, outcome.failure, was_alone=len(work.jobs) == 1)
            elif outcome.job.kind == "playlist":
                title = self.titles[outcome.job.title]
                title.listed = max(title.listed, outcome.job.count)
                title.listed_at = self.now
                self.trouble.forget((outcome.job.title, "playlist", 0))
            elif outcome.job.kind == "chain":
                self.crew.note(outcome.job.title, outcome.ahead)
                if not outcome.done:  # a spare that was not needed, or not to its end
                    self.fair["chain"].charge(self.titles[outcome.job.title].work.owner, -1)
        self._measure(worker, work, outcomes)

    def _measure(self, worker: Worker, work: Work, outcomes: Iterable[Outcome]) -> None:
        """A chain worker makes a GOP of each lane in one call; others work unit after unit."""
        units = sum(len(outcome.done) for outcome in outcomes)
        if work.kind == "chain":
            units = min(units, 1)
        if work.kind in ("chain", "upscale") and not any(outcome.failure for outcome in outcomes):
            self.speeds.note(worker.role, worker.device, self.now - worker.began, units)

    def _failed(self, name: str, outcome: Outcome, failure: Failure, was_alone: bool) -> None:
        job, worker = outcome.job, self.workers[name]
        left = [unit for unit in units_of(job) if not self._is_committed(unit)][:1]
        self.crew.forget(job.title)
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
                    again = self.trouble.retry(unit, self.now)
                    if again is None:
                        self.pause(job.title, failure.message)
                    else:
                        heapq.heappush(self._later, (again, job.title))
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
        self._touch(name)
        if title.visit > SCANS:
            self.fail(name, reason)
        else:
            self._to_scan.append(name)

    def _blame(self, units: list[Unit], failure: Failure, was_alone: bool) -> None:
        """Count a death against a unit that was alone; have all that were on board tried again one by one."""
        lost = failure.cause == "lost"
        for title, kind, number in self.trouble.died(units, was_alone, machine=lost):
            what = f"took its machine along {LOST} times" if lost else f"failed {POISON} times"
            self.fail(title, f"{kind} {number} {what} while alone on a worker: {failure.message}")

    def _accuse(self, name: str) -> None:
        """Units that were in hand when former drivers died are tried alone; what took three along is given up."""
        for unit, deaths in self.suspects.look_up(self.titles[name]):
            self.trouble.suspect(unit)
            if len(deaths.alone) >= POISON:
                reason = f"{unit[1]} {unit[2]} took the driver along {POISON} times while nothing else was in hand"
                self.fail(name, reason)

    def _commit(self, done: Iterable[Done]) -> None:
        for item in done:
            if item.title in self.titles:
                self.titles[item.title].commit(item)
                self.trouble.forget((item.title, item.kind, item.unit))
                self.suspects.forget((item.title, item.kind, item.unit))
                self._touch(item.title)

    def _release(self, work: Work) -> list[Unit]:
        units = [unit for job in work.jobs for unit in units_of(job)]
        self._busy.difference_update(units)
        for job in work.jobs:
            if job.kind == "upscale":
                self._in_hand[job.title] -= job.count
            self._touch(job.title)
        return units

    def _is_committed(self, unit: Unit) -> bool:
        name, kind, number = unit
        return self.titles[name].is_committed(kind, number)

    # -- lines ----------------------------------------------------------------------------------------------------

    def _touch(self, name: str) -> None:
        self._dirty[name] = None

    def _bring_up_to_date(self) -> None:
        """Give every title that something happened to its place in the lines."""
        while self._later and self._later[0][0] <= self.now:
            name = heapq.heappop(self._later)[1]
            self._looked_at.pop(name, None)
            self._touch(name)
        for name in self._dirty:
            title = self.titles[name]
            expects = frozenset(role for role in ROLES if title.expects(role))
            before = self._expects.get(name, frozenset())
            if expects != before or name not in self._expects:
                self._open += (not title.over) - (name in self._expects and bool(before))
                self._expects[name] = expects
                for role in expects - before:
                    self._expecting[role] += 1
                    self.fair[role].come(title.work.owner)
                for role in before - expects:
                    self._expecting[role] -= 1
                    self.fair[role].go(title.work.owner)
            self._place(name, title)
        self._dirty.clear()

    def _place(self, name: str, title: TitleState) -> None:
        waiting = 0
        if title.active:
            waiting = title.chained - title.streamed - len(title.beyond) - self._in_hand[name]
        self._backlog += waiting - self._to_upscale.get(name, 0)
        self._to_upscale[name] = waiting
        work = title.work
        prepare = next(prepare_jobs(title, self._free), None) if title.active else None
        if prepare:  # what a chain hears soon, then what every title needs to begin, then more of the longest
            soon = prepare.kind == "features" and prepare.first <= work.blocks_for(min(title.chained, work.gops - 1))
            stage = 0 if soon else 2 + prepare.first if prepare.kind == "features" else 1
            self._stand("prepare", name, (stage, -work.priority), NOBODY, (-work.gops, name))
        else:
            self._lines["prepare"].remove(name)
        rank, key, owner = self._class(name, title)
        if title.active and any(True for _ in chain_jobs(title, self._free)):  # the longest decides when all is done
            self._stand("chain", name, rank, owner, key or (title.chained - work.gops, name))
        else:
            self._lines["chain"].remove(name)
        if waiting > 0:  # the one that is nearest to its end is published first
            self._stand("upscale", name, rank, owner, key or (work.gops - title.streamed, name))
        else:
            self._lines["upscale"].remove(name)
        publish = next(publish_jobs(title, self._free, self.now), None) if title.active else None
        if publish:  # files before playlists, and the oldest playlist first
            self._stand("publish", name, (title.streamed < work.gops,), NOBODY, (title.listed_at, name))
        else:
            self._lines["publish"].remove(name)
            if title.active and title.streamed > title.listed:
                self._look_at(title.listed_at + PLAYLIST_EVERY, name)

    def _look_at(self, moment: float, name: str) -> None:
        """Place a title anew at that moment, where it is found out what comes next."""
        if self.now < moment < self._looked_at.get(name, float("inf")):
            self._looked_at[name] = moment
            heapq.heappush(self._later, (moment, name))

    def _stand(self, role: Role, name: str, rank: Rank, owner: str, key: Key) -> None:
        self._lines[role].put(name, rank, owner, key)

    def _class(self, name: str, title: TitleState) -> tuple[Rank, Key, str]:
        """Rank, key where it is urgent, and whose turn it must be."""
        work = title.work
        if work.due is not None and not title.over:
            since = urgent_from(title, self.speeds.seconds("chain"), self.speeds.seconds("upscale"))
            if since <= self.now:
                return (-work.priority, 0), (since, name), NOBODY
            self._look_at(since, name)
        return (-work.priority, 1), (), work.owner

    def _free(self, unit: Unit) -> bool:
        return unit not in self._busy and not self.trouble.waits(unit, self.now)

    def _chains_alone(self, name: str) -> bool:
        return self.trouble.alone((name, "chain", self.titles[name].chained))

    # -- commands -------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> list[Command]:
        """What to do next. The commands count as carried out; their results come back as events."""
        self.now = max(self.now, now)
        commands: list[Command] = []
        self._bring_up_to_date()
        if self.stopping is None:
            self._give_up()
            self._bring_up_to_date()
            self._start_scans(commands)
            self._send_home(commands)
            if not self._hand_out_solo(commands):
                for role in ROLES:
                    self._hand_out(role, commands)
            for role in ROLES:
                self._scale(role, commands)
            self._shrink(commands)
        return commands

    def _of(self, role: Role) -> list[str]:
        return [name for name, worker in self.workers.items() if worker.role == role]

    def _give_up(self) -> None:
        """Pause titles that wait for a role of which no worker starts, or none computes as theirs do."""
        for role in ROLES:
            mine = [worker for worker in self.workers.values() if worker.role == role]
            if self._stillborn[role] < STILLBORN and len(mine) < self._most(role):
                continue
            if not mine:
                why = f"{STILLBORN} {role} workers in a row died while starting: {self._birth_failure.get(role)}"
                stuck = dict.fromkeys(self.titles, why)
            else:
                stuck = dict(mine[-1].unsuited)
                for worker in mine:
                    stuck = {name: why for name, why in stuck.items() if name in worker.unsuited} if stuck else {}
            for name, why in stuck.items():
                if self.titles[name].active and self.titles[name].expects(role):
                    self.pause(name, why)

    def _start_scans(self, commands: list[Command]) -> None:
        if not self._to_scan:
            return
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
            if worker.idle and (bad or worker.leaving or not self._expecting[worker.role]):
                self._retire(name, commands, kill=bad)

    def _retire(self, name: str, commands: list[Command], kill: bool = False) -> None:
        del self.workers[name]
        self.crew.leave(name)
        commands.append(Retire(name, kill))

    def _hand_out(self, role: Role, commands: list[Command]) -> None:
        idle = [name for name, worker in self.workers.items() if worker.role == role and worker.idle]
        if len(idle) > 1:  # the fastest takes what comes first
            idle.sort(key=lambda name: self.speeds.seconds(role, self.workers[name].device) or 0.0)
        for name in idle:
            if not self._lines[role]:
                return
            jobs, lanes = self._chain_jobs(name) if role == "chain" else (self._one_job(role, name), 0)
            if jobs:
                self._assigned += 1
                work = Work(self._assigned, jobs[0].kind, tuple(jobs), lanes)
                self._assign(name, work)
                commands.append(Assign(name, work))

    @property
    def in_hand(self) -> list[Job]:
        return [job for worker in self.workers.values() if worker.work for job in worker.work.jobs]

    def _hand_out_solo(self, commands: list[Command]) -> bool:
        """Whether a unit that was in hand when several drivers died has its turn: then nothing else is handed out."""
        for unit in self.suspects.solo():
            name, kind, _ = unit
            role = _ROLE_OF[kind]
            jobs = self._startable(role, name) if self.titles[name].active else iter(())
            # Its own work may be what is in hand; else it waits until nothing is.
            if unit in self._busy:
                return True
            job = next((job for job in jobs if unit in units_of(job)), None)
            if job is None:
                continue
            for one, worker in self.workers.items():
                if not self._busy and worker.role == role and worker.idle and name not in worker.unsuited:
                    self._assigned += 1
                    lanes = self.titles[name].lanes or worker.lanes if role == "chain" else 0
                    self.crew.forget(name)
                    work = Work(self._assigned, kind, (job,), lanes)
                    self._assign(one, work)
                    commands.append(Assign(one, work))
                    break
            return True
        return False

    def _assign(self, name: str, work: Work) -> None:
        worker = self.workers[name]
        worker.work, worker.began = work, self.now
        self._busy.update(unit for job in work.jobs for unit in units_of(job))
        for job in work.jobs:
            if job.kind == "upscale":
                self._in_hand[job.title] += job.count
                self.fair["upscale"].charge(self.titles[job.title].work.owner, job.count)
            self._touch(job.title)
        self._bring_up_to_date()

    def _chain_jobs(self, name: str) -> tuple[list[Job], int]:
        """Jobs for the lanes of a chain worker, and the shape of its batch."""
        chosen, lanes = self.crew.choose(name, self.workers[name])
        return [job for title in chosen for job in chain_jobs(self.titles[title], self._free)], lanes

    def _one_job(self, role: Role, name: str) -> list[Job]:
        unsuited = self.workers[name].unsuited
        for title in self._lines[role].best(self.fair[role]):
            if title not in unsuited:
                if job := next(self._startable(role, title), None):
                    return [job]
                self._lines[role].remove(title)  # its units wait for another try
        return []

    def _startable(self, role: Role, name: str, whole: bool = False) -> Iterator[Job]:
        """Jobs of a title that could start now, best first; `whole`: GOPs to upscale by the segment."""
        title = self.titles[name]
        match role:
            case "prepare":
                return prepare_jobs(title, self._free)
            case "chain":
                return chain_jobs(title, self._free)
            case "upscale":  # whoever takes work leaves some for the others; a new one is only worth a segment
                workers = max(len(self._of(role)), self.limits.upscale_floor, 1)
                share = title.work.segment if whole else max(1, -(-self._backlog // workers))
                return upscale_jobs(title, self._free, self.trouble.alone, share)
            case "publish":
                return publish_jobs(title, self._free, self.now)

    # -- how many workers -----------------------------------------------------------------------------------------

    def _most(self, role: Role) -> int:
        # Not earlier: a chain that has to be started anew must find its device free, or nothing moves any more.
        return self.limits.of(role, max(len(self._of("chain")), self._chains_wanted()) if role == "upscale" else None)

    def _chains_wanted(self) -> int:
        return max(self.limits.chain_floor, chains_wanted(self._expecting["chain"], self.limits.lanes))

    def _scale(self, role: Role, commands: list[Command]) -> None:
        """Launch workers for work that nobody takes, and the first one ahead of its work."""
        mine = [worker for worker in self.workers.values() if worker.role == role]
        room = self._most(role) - len(mine)
        if room <= 0 or self._stillborn[role] >= STILLBORN or not self._expecting[role]:
            return
        starting = sum(not worker.ready for worker in mine)
        if self._stillborn[role]:  # starts fail: one at a time
            room = 1 - starting
        missing = self._missing(role, mine, starting, room)
        floor = max(1, self.limits.floor(role)) - len(mine)
        if floor > 0 and any(title.active and title.expects(role) for title in self.titles.values()):
            missing = max(missing, floor)
        for _ in range(min(missing, room)):
            self._launched += 1
            name = f"{role}-{self._launched}"
            self.workers[name] = Worker(role, lanes=self.limits.lanes)
            commands.append(Launch(name, role))

    def _missing(self, role: Role, mine: list[Worker], starting: int, room: int) -> int:
        """Workers that could begin at once."""
        line = self._lines[role]
        # Whoever is idle although there is work cannot do it.
        other = 1 if line and not starting and any(worker.idle for worker in mine) else 0
        if role == "chain":
            free = sum(max(0, worker.lanes - len(worker.work.jobs)) for worker in mine if worker.work)
            waiting = max(0, len(line) - self.crew.at_home() - free)
            enough = self._chains_wanted() - len(mine)
            return max(min(chains_wanted(waiting, self.limits.lanes) - starting, enough), other)
        if role == "upscale":
            return max(self._upscalers_wanted(mine) - len(mine), other)
        most = max(0, starting + room)
        jobs = (job for title in line for job in self._startable(role, title, whole=True))
        return sum(1 for _ in islice(jobs, most)) - starting

    def _upscalers_wanted(self, mine: list[Worker]) -> int:
        lane = self.speeds.seconds("chain")
        chains = [worker for worker in self.workers.values() if worker.role == "chain" and worker.work]
        lanes = sum(min(worker.lanes, len(worker.work.jobs)) for worker in chains if worker.work)
        return upscalers_wanted(
            have=len(mine),
            idle=sum(worker.idle for worker in mine),
            starting=sum(not worker.ready for worker in mine),
            backlog=self._backlog + sum(self._in_hand.values()),
            arriving=lanes / lane if lane else 0.0,
            seconds=self.speeds.seconds("upscale"),
        )

    def _shrink(self, commands: list[Command]) -> None:
        """Send home chain workers for which no titles are left, and upscalers that were too many for a while."""
        surplus = len(self._of("chain")) - self._chains_wanted()
        for name in self._of("chain") if surplus > 0 and not self._lines["chain"] else []:
            if surplus > 0 and self.workers[name].idle:
                self._retire(name, commands)
                surplus -= 1
        mine = [worker for worker in self.workers.values() if worker.role == "upscale"]
        wanted = max(self._upscalers_wanted(mine), self.limits.upscale_floor, 1)
        if len(mine) <= wanted or self._lines["upscale"]:
            self._enough_since = None
            return
        if self._enough_since is None:
            self._enough_since = self.now
        if self.now < self._enough_since + HOLD:
            return
        for name in [name for name in self._of("upscale") if self.workers[name].idle][: len(mine) - wanted]:
            self._retire(name, commands)
        self._enough_since = None
