"""A run of a catalog on a virtual clock: the very scheduler that will run it, over workers that are numbers.

A simulated step may stand for several GOPs, so that a thousand titles take seconds: then the first and last step of a
title, and the shares between upscalers, are as coarse as that.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from pipeline.core.timeline import CLIP, CLIPS_PER_GOP, FPS, GOP
from pipeline.forecast.call_times import CallTimes
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.ready_jobs import units_of
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
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
    Ready,
    Retire,
    Role,
    Scan,
    Scanned,
    Work,
    WorkerLost,
    WorkerReady,
)

MOST_STEPS = 24_000  # chain steps that are simulated; more GOPs than that make a step stand for several
MOST_BLOCKS = 4_000  # likewise of preparing
SLACK = 0.005  # of a step's time
HORIZON = 10 * 365 * 86_400.0  # seconds; a run that takes longer than ten years will not end


@dataclass(frozen=True)
class Title:
    """What is simulated of a title: its size as the scheduler knows it, its clips, and how long its calls take."""

    work: TitleWork
    clips: int
    times: CallTimes
    found: Scanned | None = None  # what the store holds of it already
    scenes: tuple[Title, ...] = ()  # that it is made of, in order


@dataclass(frozen=True)
class Machine:
    """What the workers of a role run on. `preemptions`: for every hour of a machine."""

    start: float = 0.0
    preemptions: float = 0.0
    batch: float | None = None  # how many times as long as one lane a batch takes; None: as many times as it has lanes
    device: str = ""


@dataclass
class Life:
    """A worker: asked for, ready, ended; seconds that it worked."""

    role: Role
    asked: float
    ready: float | None = None
    ended: float | None = None
    lost: bool = False
    busy: float = 0.0


@dataclass(frozen=True)
class Call:
    """One call of a worker: which titles were on board, from when to when. `lost`: its machine was taken away."""

    worker: str
    kind: Kind
    titles: tuple[str, ...]
    start: float
    end: float
    lost: bool = False


@dataclass(frozen=True)
class Simulation:
    """What came of it. `step`: GOPs that a simulated step stands for; times are seconds from the start."""

    makespan: float
    done: dict[str, float]
    workers: dict[str, Life]
    calls: list[Call]
    preemptions: int
    step: int
    unfinished: dict[str, str] = field(default_factory=dict)

    def life(self, role: Role) -> float:
        """Worker seconds of a role, from being asked for to the end."""
        lives = (one for one in self.workers.values() if one.role == role)
        return sum((self.makespan if one.ended is None else one.ended) - one.asked for one in lives)

    def busy(self, role: Role) -> float:
        return sum(one.busy for one in self.workers.values() if one.role == role)

    def load(self, role: Role) -> float:
        """How much of the time the role's workers were busy, as many as there ever were at once: near 1, it is what
        everything waits for."""
        lives = [one for one in self.workers.values() if one.role == role]
        ends = [(self.makespan if one.ended is None else one.ended, -1) for one in lives]
        most = now = 0
        for _, change in sorted([*((one.asked, 1) for one in lives), *ends]):
            now += change
            most = max(most, now)
        return self.busy(role) / (most * self.makespan) if most and self.makespan else 0.0

    def utilisation(self, role: Role) -> float:
        life = self.life(role)
        return self.busy(role) / life if life else 0.0


def simulate(
    titles: Iterable[Title], limits: Limits, machines: Mapping[Role, Machine] | None = None, *, seed: int = 0
) -> Simulation:
    """Run the catalog to its end. The same arguments give the same result: `seed` is that of preemptions."""
    given = list(titles)
    step = max(1, -(-sum(one.work.gops for one in given) // MOST_STEPS))
    blocks = max(1, -(-sum(one.work.blocks for one in given) // MOST_BLOCKS))
    run = _Run([_coarse(one, step, blocks) for one in given], limits, machines or {}, step, blocks, Random(seed))
    return run.to_the_end()


def _coarse(title: Title, step: int, blocks: int) -> Title:
    """The title in steps of several GOPs and blocks of features."""
    if step == blocks == 1:
        return title
    if title.scenes:
        scenes, first = [], 0
        for one in (_coarse(scene, step, blocks) for scene in title.scenes):
            scenes.append(replace(one, work=replace(one.work, first=first, shown=())))
            first += one.work.gops
        # What is there of it is left out: its steps would not be those of the scenes.
        return replace(title, work=replace(title.work, gops=first), scenes=tuple(scenes), found=None)
    work = title.work
    frames, size = work.block_of_gop
    coarse = replace(
        work,
        gops=-(-work.gops // step),
        blocks=-(-work.blocks // blocks),
        segment=max(1, work.segment // step),
        block_of_gop=(frames * blocks, size * step),
        last_clips=CLIPS_PER_GOP if step > 1 else work.last_clips,
    )
    found = title.found
    if found is not None:
        done = {block // blocks for block in found.blocks} if len(found.blocks) >= work.blocks else set()
        streamed = len(found.streamed) // step
        found = replace(
            found, blocks=tuple(sorted(done)), chained=found.chained // step, streamed=tuple(range(streamed))
        )
    return replace(title, work=coarse, found=found)


class _Run:
    def __init__(
        self,
        titles: list[Title],
        limits: Limits,
        machines: Mapping[Role, Machine],
        step: int,
        blocks: int,
        random: Random,
    ):
        self.titles = {one.work.id: one for title in titles for one in (title, *title.scenes)}
        self.limits, self.machines, self.step, self.blocks, self.random = limits, machines, step, blocks, random
        self.schedule = Schedule((title.work for title in titles), limits)
        self.now = 0.0
        self.workers: dict[str, Life] = {}
        self.calls: list[Call] = []
        self.done: dict[str, float] = {}
        self.preemptions = 0
        # Where steps are coarse, what happens at about the same time is decided upon together.
        shortest = min((title.times.seconds_per_clip for title in titles), default=0.0) * CLIPS_PER_GOP * step
        self._slack = shortest * SLACK if step > 1 else 0.0
        self._events: list[tuple[float, int, str, Event]] = []
        self._order = count()
        self._in_hand: dict[str, tuple[float, float, Work]] = {}  # worker → from, to, what
        self._made: dict[tuple[str, Kind, int], int] = {}  # GOPs of a step that a machine had made when it was taken

    def to_the_end(self) -> Simulation:
        while True:
            commands = self.schedule.decide(self.now)
            for command in commands:
                self._carry_out(command)
            if self.schedule.finished:
                break
            if any(isinstance(command, Scan) for command in commands):
                continue  # there is something new to decide upon already
            times = [self._events[0][0]] if self._events else []
            times += [wake] if (wake := self.schedule.wake_at) is not None else []
            if not times or self.now > HORIZON:
                break  # nothing will ever happen; what is not done is said
            self.now = max(self.now, min(times))
            until = self.now + self._slack
            while self._events and self._events[0][0] <= until:
                self.now = max(self.now, self._events[0][0])
                self._happen(*heapq.heappop(self._events)[2:])
        for life in self.workers.values():
            life.ended = self.now if life.ended is None else life.ended
        unfinished = {
            name: str(title.failed or title.paused or "nobody takes its work")
            for name, title in self.schedule.titles.items()
            if not title.done
        }
        return Simulation(self.now, self.done, self.workers, self.calls, self.preemptions, self.step, unfinished)

    def _machine(self, role: Role) -> Machine:
        return self.machines.get(role, Machine())

    def _at(self, when: float, worker: str, event: Event) -> None:
        heapq.heappush(self._events, (when, next(self._order), worker, event))

    # -- commands -------------------------------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        match command:
            case Launch(name, role):
                machine = self._machine(role)
                self.workers[name] = Life(role, self.now)
                self._at(self.now + machine.start, name, WorkerReady(name, Ready(machine.device, self.limits.lanes)))
                if machine.preemptions:
                    life = self.random.expovariate(machine.preemptions) * 3600
                    self._at(self.now + life, name, WorkerLost(name, Failure("preempted", "machine taken away")))
            case Retire(name):
                self.workers[name].ended = self.now
            case Scan(name):
                self.schedule.handle(self._look_up(name), self.now)
            case Assign(name, work):
                end = self.now + self._seconds(self.workers[name].role, work)
                self._in_hand[name] = self.now, end, work
                outcomes = tuple(self._outcome(work, place) for place in range(len(work.jobs)))
                self._at(end, name, Finished(name, outcomes))

    def _look_up(self, name: str) -> Scanned:
        title, blank = self.titles[name], Scanned(name, False, False, (), 0, (), False)
        if not self.schedule.titles[name].sound:
            return title.found or blank
        parts = ((one.work, replace(blank, title=one.work.id, sound=True)) for one in title.scenes)
        return replace(blank, sound=True, scenes=tuple(parts))

    def _outcome(self, work: Work, place: int) -> Outcome:
        job = work.jobs[place]
        if work.kind == "playlist" or (work.kind == "chain" and place >= max(1, work.lanes)):
            return Outcome(job)  # a spare title comes back as it went
        return Outcome(job, tuple(Done(*unit) for unit in units_of(job)))

    # -- events ---------------------------------------------------------------------------------------------------

    def _happen(self, name: str, event: Event) -> None:
        life = self.workers[name]
        if life.ended is not None:
            return  # it was sent home, or its machine taken away, before this could happen
        match event:
            case WorkerReady():
                life.ready = self.now
            case WorkerLost():
                life.ended, life.lost = self.now, True
                self.preemptions += 1
                if name in self._in_hand:
                    self._take_away(name, life)
            case Finished(_, outcomes):
                start, end, work = self._in_hand.pop(name)
                life.busy += end - start
                self.calls.append(Call(name, work.kind, tuple(job.title for job in work.jobs), start, end))
                for outcome in outcomes:
                    for unit in outcome.done:
                        self._made.pop((unit.title, unit.kind, unit.unit), None)
                        if unit.kind == "finish":
                            self.done[unit.title] = self.now
        self.schedule.handle(event, self.now)

    def _take_away(self, name: str, life: Life) -> None:
        """Work in hand: whole units are committed, and so are the whole GOPs of the step that was begun."""
        start, end, work = self._in_hand.pop(name)
        life.busy += self.now - start
        self.calls.append(Call(name, work.kind, tuple(job.title for job in work.jobs), start, self.now, lost=True))
        if work.kind not in ("chain", "upscale"):
            return
        share = (self.now - start) / (end - start) if end > start else 0.0
        committed: list[Done] = []
        for job in work.jobs if work.kind == "upscale" else work.jobs[: max(1, work.lanes)]:
            gops = [self._gops(job, first) for first in range(job.first, job.first + job.count)]
            made = int(share * sum(gops))
            for first, gop in zip(range(job.first, job.first + job.count), gops, strict=True):
                unit = (job.title, work.kind, first)
                if made >= gop:
                    committed.append(Done(*unit))
                elif made:
                    self._made[unit] = self._made.get(unit, 0) + made
                made = max(0, made - gop)
        self.schedule.handle(Progress(tuple(committed)), self.now)

    # -- how long it takes ----------------------------------------------------------------------------------------

    def _gops(self, job: Job, first: int) -> int:
        """GOPs of a step that are still to be made."""
        title = self.titles[job.title]
        total = -(-title.clips // CLIPS_PER_GOP)
        size = min(self.step, total - first * self.step)
        return max(1, size - self._made.get((job.title, job.kind, first), 0))

    def _seconds(self, role: Role, work: Work) -> float:
        match work.kind:
            case "chain":
                return self._chain_seconds(role, work)
            case "upscale":
                (job,) = work.jobs
                steps = range(job.first, job.first + job.count)
                return (
                    self.titles[job.title].times.seconds_per_gop
                    * sum(self._frames(job, first) for first in steps)
                    / GOP
                )
        (job,) = work.jobs
        title = self.titles[job.title]
        times = title.times
        match work.kind:
            case "sound":
                return times.sound * title.clips * CLIP / FPS
            case "conditioning":
                return times.portrait
            case "features":
                return times.features * self.blocks
            case "playlist":
                return times.playlist
            case _:
                return times.finish + times.finish_gop * job.count * self.step

    def _chain_seconds(self, role: Role, work: Work) -> float:
        """A batch has always the same shape, so it takes as long however many titles are in it."""
        lanes = max(1, work.lanes)
        cost = min(self._machine(role).batch or lanes, lanes)
        seconds = []
        for job in work.jobs[:lanes]:
            times = self.titles[job.title].times
            clip = times.seconds_per_clip * cost if times.batch is None else times.batch
            seconds.append(clip * self._clips(job) + times.call * self._gops(job, job.first))
        return max(seconds)

    def _clips(self, job: Job) -> int:
        """Clips of the step; a title's last may be short."""
        title, per_step = self.titles[job.title], CLIPS_PER_GOP * self.step
        left = min(per_step, title.clips - job.first * per_step)
        return max(1, left - CLIPS_PER_GOP * self._made.get((job.title, "chain", job.first), 0))

    def _frames(self, job: Job, first: int) -> int:
        """Frames of the step to upscale, in whole clips."""
        title, per_step = self.titles[job.title], CLIPS_PER_GOP * self.step
        clips = min(per_step, title.clips - first * per_step)
        made = self._made.get((job.title, "upscale", first), 0)
        return max(1, clips - CLIPS_PER_GOP * made) * CLIP
