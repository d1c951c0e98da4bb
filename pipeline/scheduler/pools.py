"""The workers of each role: how many there should be, by backlog and speed, whom to launch and whom to send home."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from pipeline.scheduler.backlog import Backlog
from pipeline.scheduler.lanes import ChainLanes, WorkerState
from pipeline.scheduler.speeds import Speeds
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.work import Command, Failure, Launch, Retire, Role

CLEAR_WITHIN = 60.0  # seconds in which a backlog is to be worked off
HOLD = 60.0  # seconds for which fewer upscalers must do before some are sent home


@dataclass(frozen=True)
class Limits:
    """Most workers of each role, titles in one chain worker's batch, and devices that such a worker has.

    `chain_floor`, `upscale_floor`: workers that are kept from first to last. `upscale_after`: most upscalers once
    chains have left them their devices.
    """

    prepare: int = 1
    chain: int = 1
    upscale: int = 1
    publish: int = 1
    lanes: int = 1
    chain_devices: int = 1
    upscale_after: int = 0
    chain_floor: int = 0
    upscale_floor: int = 0

    def of(self, role: Role, chains: int | None = None) -> int:
        """Most workers of a role. `chains`: how many are there or still needed, where some may have left for good."""
        most: int = getattr(self, role)
        if role == "upscale" and chains is not None:
            most = max(most, min(self.upscale_after, most + self.chain_devices * max(0, self.chain - chains)))
        return most

    def floor(self, role: Role) -> int:
        return {"chain": self.chain_floor, "upscale": self.upscale_floor}.get(role, 0)


def upscalers_wanted(have: int, idle: int, starting: int, backlog: int, arriving: float, seconds: float | None) -> int:
    """Upscalers that keep up with the chains and work off the backlog.

    `backlog`: GOPs that wait or are in hand; `arriving`: GOPs that chains make in a second; `seconds`: of one upscaler
    for a GOP, None until measured: till then the pool grows by one at a time, when all are busy.
    """
    if seconds is None:
        return have + 1 if backlog > have and not idle and not starting else have
    keep_up = arriving * seconds
    clear = backlog * seconds / CLEAR_WITHIN
    return min(-int(-(keep_up + clear) // 1), backlog + -int(-keep_up // 1))


def chains_wanted(titles: int, lanes: int) -> int:
    """Chain workers that hold `titles` in their lanes."""
    return -(-titles // lanes)


BAD_WORKER = 3  # different units a worker may fail before it is replaced
STILLBORN = 5  # workers of a role that may die in a row before one is ready


class Pools:
    def __init__(
        self, limits: Limits, titles: dict[str, TitleState], backlog: Backlog, chain_lanes: ChainLanes, speeds: Speeds
    ):
        self._limits, self._titles, self._speeds = limits, titles, speeds
        self._backlog, self._chain_lanes = backlog, chain_lanes
        self.workers: dict[str, WorkerState] = {}
        self._stillborn: Counter[Role] = Counter()
        self._birth_failure: dict[Role, str] = {}
        self._launched = 0
        self._enough_since: float | None = None  # since when fewer upscalers would do

    @property
    def wake_at(self) -> float | None:
        """When upscalers may be sent home though nothing happens before."""
        return None if self._enough_since is None else self._enough_since + HOLD

    def born(self, role: Role) -> None:
        self._stillborn[role] = 0

    def stillborn(self, role: Role, failure: Failure) -> None:
        """A worker died before it was ready."""
        self._stillborn[role] += 1
        self._birth_failure[role] = failure.message

    def stuck(self, role: Role) -> dict[str, str]:
        """Titles that nobody of a role will work on, and why: none starts, or none computes as theirs do."""
        mine = [self.workers[name] for name in self.of(role)]
        if self._stillborn[role] < STILLBORN and len(mine) < self.most(role):
            return {}
        if not mine:
            why = f"{STILLBORN} {role} workers in a row died while starting: {self._birth_failure.get(role)}"
            return dict.fromkeys(self._titles, why)
        found = dict(mine[-1].unsuited)
        for worker in mine:
            found = {name: why for name, why in found.items() if name in worker.unsuited}
        return found

    def sharing(self) -> int:
        """Upscalers among whom the backlog is divided."""
        return max(len(self.of("upscale")), self._limits.upscale_floor, 1)

    def of(self, role: Role) -> list[str]:
        return [name for name, worker in self.workers.items() if worker.role == role]

    def most(self, role: Role) -> int:
        # Not earlier: a chain that has to be started anew must find its device free, or nothing moves any more.
        return self._limits.of(role, max(len(self.of("chain")), self._chains_wanted()) if role == "upscale" else None)

    def _chains_wanted(self) -> int:
        return max(self._limits.chain_floor, chains_wanted(self._backlog.expecting["chain"], self._limits.lanes))

    def scale(self, role: Role, commands: list[Command]) -> None:
        """Launch workers for work that nobody takes, and the first one ahead of its work."""
        mine = [worker for worker in self.workers.values() if worker.role == role]
        room = self.most(role) - len(mine)
        if room <= 0 or self._stillborn[role] >= STILLBORN or not self._backlog.expecting[role]:
            return
        starting = sum(not worker.ready for worker in mine)
        if self._stillborn[role]:  # starts fail: one at a time
            room = 1 - starting
        missing = self._missing(role, mine, starting, room)
        floor = max(1, self._limits.floor(role)) - len(mine)
        if floor > 0 and any(title.active and title.expects(role) for title in self._titles.values()):
            missing = max(missing, floor)
        for _ in range(min(missing, room)):
            self._launched += 1
            name = f"{role}-{self._launched}"
            self.workers[name] = WorkerState(role, lanes=self._limits.lanes)
            commands.append(Launch(name, role))

    def _missing(self, role: Role, mine: list[WorkerState], starting: int, room: int) -> int:
        """Workers that could begin at once."""
        queue = self._backlog.queues[role]
        # Whoever is idle although there is work cannot do it.
        other = 1 if queue and not starting and any(worker.idle for worker in mine) else 0
        if role == "chain":
            free = sum(max(0, worker.lanes - len(worker.work.jobs)) for worker in mine if worker.work)
            unassigned = max(0, len(queue) - self._chain_lanes.at_home() - free)
            enough = self._chains_wanted() - len(mine)
            return max(min(chains_wanted(unassigned, self._limits.lanes) - starting, enough), other)
        if role == "upscale":
            return max(self._upscalers_wanted(mine) - len(mine), other)
        most = max(0, starting + room)
        jobs = (job for title in queue for job in self._backlog.startable(role, title))
        return sum(1 for _ in islice(jobs, most)) - starting

    def _upscalers_wanted(self, mine: list[WorkerState]) -> int:
        lane = self._speeds.seconds("chain")
        chains = [worker for worker in self.workers.values() if worker.role == "chain" and worker.work]
        lanes = sum(min(worker.lanes, len(worker.work.jobs)) for worker in chains if worker.work)
        return upscalers_wanted(
            have=len(mine),
            idle=sum(worker.idle for worker in mine),
            starting=sum(not worker.ready for worker in mine),
            backlog=self._backlog.gops_to_upscale + self._backlog.upscaling,
            arriving=lanes / lane if lane else 0.0,
            seconds=self._speeds.seconds("upscale"),
        )

    def shrink(self, commands: list[Command]) -> None:
        """Send home chain workers for which no titles are left, and upscalers that were too many for a while."""
        surplus = len(self.of("chain")) - self._chains_wanted()
        for name in self.of("chain") if surplus > 0 and not self._backlog.queues["chain"] else []:
            if surplus > 0 and self.workers[name].idle:
                self.retire(name, commands)
                surplus -= 1
        mine = [worker for worker in self.workers.values() if worker.role == "upscale"]
        wanted = max(self._upscalers_wanted(mine), self._limits.upscale_floor, 1)
        if len(mine) <= wanted or self._backlog.queues["upscale"]:
            self._enough_since = None
            return
        if self._enough_since is None:
            self._enough_since = self._backlog.now
        if self._backlog.now < self._enough_since + HOLD:
            return
        for name in [name for name in self.of("upscale") if self.workers[name].idle][: len(mine) - wanted]:
            self.retire(name, commands)
        self._enough_since = None

    def send_home(self, commands: list[Command]) -> None:
        """Replace workers that were stopped or that fail whatever they get; end those with nothing left to do."""
        for name, worker in list(self.workers.items()):
            bad = len(worker.failed_units) >= BAD_WORKER
            if worker.idle and (bad or worker.leaving or not self._backlog.expecting[worker.role]):
                self.retire(name, commands, kill=bad)

    def retire(self, name: str, commands: list[Command], kill: bool = False) -> None:
        del self.workers[name]
        self._chain_lanes.leave(name)
        commands.append(Retire(name, kill))
