"""The backlog of every role: titles in its queue, brought up to date for those that something happened to."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator

from pipeline.scheduler.fair_queue import NOBODY, FairShares, Key, Rank, TitleQueue
from pipeline.scheduler.lanes import IN_ORDER, LONGEST_FIRST
from pipeline.scheduler.ready_jobs import (
    Unit,
    chain_jobs,
    playlist_due,
    prepare_jobs,
    publish_jobs,
    units_of,
    upscale_jobs,
)
from pipeline.scheduler.retries import Retries
from pipeline.scheduler.speeds import Speeds
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.work import ROLES, Job, Role

ROUNDS = 2  # times that every chain worker will take a scene of a title, before the longest come first
SPARE = 0.15  # of the time that a title still takes, kept in hand
SPARE_SECONDS = 60.0  # at least: the last segment, publishing, a worker that starts anew


def urgent_from(title: TitleState, chain: float | None, upscale: float | None) -> float:
    """When a title with a deadline must be worked on without pause to be done in time, on the scheduler's clock.

    `chain`, `upscale`: seconds that a GOP takes in a lane and on an upscaler, None where nothing was measured yet.
    """
    assert title.work.due is not None
    left = (title.work.gops - title.chained) * (chain or 0.0)
    last = min(title.work.segment, title.work.gops - title.streamed) * (upscale or 0.0)
    return title.work.due - (left + last) * (1 + SPARE) - SPARE_SECONDS


class Backlog:
    """Lines of titles by role, and what is in workers' hands.

    `touch` a title when something has happened to it; `refresh` before the queues are read.
    """

    def __init__(self, titles: dict[str, TitleState], retries: Retries, speeds: Speeds, chains: int = 1):
        """`chains`: titles or scenes that may be chained at once."""
        self._chains = chains
        self._titles, self._retries, self._speeds = titles, retries, speeds
        self.now = 0.0
        shares: dict[str, float] = {}
        for title in titles.values():
            shares[title.work.owner] = max(shares.get(title.work.owner, 0.0), title.work.share)
        self.fair: dict[Role, FairShares] = {role: FairShares(shares) for role in ROLES}
        self.queues: dict[Role, TitleQueue] = {role: TitleQueue() for role in ROLES}
        self.busy: set[Unit] = set()
        self._in_hand: Counter[str] = Counter()  # GOPs being upscaled, by title
        self._to_upscale: dict[str, int] = {}  # GOPs that wait for upscalers, by title
        self.gops_to_upscale = 0  # their sum
        self.expecting: Counter[Role] = Counter()  # titles that will have work for a role
        self.open = 0  # titles that are not over
        self._expects: dict[str, frozenset[Role]] = {}
        self._dirty = dict.fromkeys(titles)  # titles that something happened to since the lines were right
        self._later: list[tuple[float, str]] = []  # when to look at a title again though nothing happens to it
        self._looked_at: dict[str, float] = {}  # the first such moment of a title
        self.refresh()

    @property
    def wake_at(self) -> float | None:
        """When to look at a title though nothing happens to it before."""
        return self._later[0][0] if self._later else None

    @property
    def upscaling(self) -> int:
        """GOPs in upscalers' hands."""
        return sum(self._in_hand.values())

    def again_at(self, moment: float, name: str) -> None:
        """Look at a title then, in any case."""
        heapq.heappush(self._later, (moment, name))

    def take(self, jobs: Iterable[Job]) -> None:
        """The jobs are in a worker's hands now."""
        for job in jobs:
            self.busy.update(units_of(job))
            if job.kind == "upscale":
                self._in_hand[job.title] += job.count
                self.fair["upscale"].charge(self._titles[job.title].work.owner, job.count)
            self.touch(job.title)
        self.refresh()

    def release(self, jobs: Iterable[Job]) -> list[Unit]:
        """They no longer are; the units that they hold."""
        units = [unit for job in jobs for unit in units_of(job)]
        self.busy.difference_update(units)
        for job in jobs:
            if job.kind == "upscale":
                self._in_hand[job.title] -= job.count
            self.touch(job.title)
        return units

    def startable(self, role: Role, name: str, upscalers: int = 1) -> Iterator[Job]:
        """Jobs of a title that could start now, best first. Of so many `upscalers`, one leaves work for the others."""
        title = self._titles[name]
        match role:
            case "prepare":
                return prepare_jobs(title, self.free)
            case "chain":
                return chain_jobs(title, self.free)
            case "upscale":
                return upscale_jobs(
                    title, self.free, self._retries.alone, max(1, -(-self.gops_to_upscale // upscalers))
                )
            case "publish":
                return publish_jobs(title, self.free, self.now)

    def touch(self, name: str) -> None:
        self._dirty[name] = None

    def refresh(self) -> None:
        """Give every title that something happened to its place in the lines."""
        while self._later and self._later[0][0] <= self.now:
            name = heapq.heappop(self._later)[1]
            self._looked_at.pop(name, None)
            self.touch(name)
        for name in self._dirty:
            title = self._titles[name]
            expects = frozenset(role for role in ROLES if title.expects(role))
            before = self._expects.get(name, frozenset())
            if expects != before or name not in self._expects:
                self.open += (not title.over) - (name in self._expects and bool(before))
                self._expects[name] = expects
                for role in expects - before:
                    self.expecting[role] += 1
                    self.fair[role].come(title.work.owner)
                for role in before - expects:
                    self.expecting[role] -= 1
                    self.fair[role].go(title.work.owner)
            self._place(name, title)
        self._dirty.clear()

    def _place(self, name: str, title: TitleState) -> None:
        waiting = 0
        if title.active and title.work.in_scenes:
            waiting = sum(not title.is_committed("upscale", gop) for gop in title.joinable) - self._in_hand[name]
        elif title.active:
            waiting = title.to_upscale - self._in_hand[name]
        self.gops_to_upscale += waiting - self._to_upscale.get(name, 0)
        self._to_upscale[name] = waiting
        work = title.work
        prepare = next(prepare_jobs(title, self.free), None) if title.active else None
        if prepare:  # what a chain hears soon, then what every title needs to begin, then more of the longest
            soon = prepare.kind == "features" and prepare.first <= work.blocks_for(min(title.chained, work.gops - 1))
            stage = 0 if soon else 2 + prepare.first if prepare.kind == "features" else 1
            self._stand("prepare", name, (stage, -work.priority), NOBODY, (-work.gops, name))
        else:
            self.queues["prepare"].remove(name)
        rank, key, owner = self._class(name, title)
        if title.active and any(True for _ in chain_jobs(title, self.free)):
            self._stand("chain", name, rank, owner, key or self._chain_key(name, title))
        else:
            self.queues["chain"].remove(name)
        if waiting > 0:  # the one that is nearest to its end is published first; of a title's scenes the earliest
            self._stand("upscale", name, rank, owner, key or (work.first + work.gops - title.streamed, name))
        else:
            self.queues["upscale"].remove(name)
        publish = next(publish_jobs(title, self.free, self.now), None) if title.active else None
        if publish:  # files before playlists, and the oldest playlist first
            self._stand("publish", name, (title.streamed < work.gops,), NOBODY, (title.listed_at, name))
        else:
            self.queues["publish"].remove(name)
            if title.active and title.streamed > title.listed:
                self._look_at(playlist_due(title), name)

    def _chain_key(self, name: str, title: TitleState) -> Key:
        """The longest first, since it decides when all is done. Of a title's scenes the earliest, so that the film can
        be watched from its beginning, as long as that costs nothing: one at a time, or with ROUNDS more to come."""
        work = title.work
        left = work.gops - title.chained
        film = self._titles.get(work.film)
        if film is None:
            return (-left, LONGEST_FIRST, 0, name)
        longest = max(self._titles[scene].work.gops for scene in film.scenes)
        late = self._chains > 1 and film.work.gops - film.chained < ROUNDS * self._chains * longest
        return (-longest, LONGEST_FIRST, -left, name) if late else (-longest, IN_ORDER, work.first, name)

    def _look_at(self, moment: float, name: str) -> None:
        """Place a title anew at that moment, where it is found out what comes next."""
        if self.now < moment < self._looked_at.get(name, float("inf")):
            self._looked_at[name] = moment
            heapq.heappush(self._later, (moment, name))

    def _stand(self, role: Role, name: str, rank: Rank, owner: str, key: Key) -> None:
        self.queues[role].put(name, rank, owner, key)

    def _class(self, name: str, title: TitleState) -> tuple[Rank, Key, str]:
        """Rank, key where it is urgent, and whose turn it must be."""
        work = title.work
        if work.due is not None and not title.over:
            since = urgent_from(title, self._speeds.seconds("chain"), self._speeds.seconds("upscale"))
            if since <= self.now:
                return (-work.priority, 0), (since, name), NOBODY
            self._look_at(since, name)
        return (-work.priority, 1), (), work.owner

    def free(self, unit: Unit) -> bool:
        return unit not in self.busy and not self._retries.waits(unit, self.now)
