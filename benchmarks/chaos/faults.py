"""What goes wrong in the chaos benchmark: which fault comes next, and how it is done."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import click

from benchmarks.chaos.cluster import Machine, Machines
from tests.support.faulty_s3 import Asked, FaultyS3

STUCK = 45  # seconds without a sign of life after which a worker counts as hung
UPSCALERS = 2
STORE_FAULTS = ("500", "503", "drop", "lost", "cut", "slow")
STORE_RATE = 0.01  # of the requests
NOTICE = 6.0  # seconds between an announcement and the end of the machine
FAILED_ROUNDS = 2  # times that the driver may end a round with a title that was killed too often
GOP_MAKERS = ("ray::Chain", "ray::Upscale")


@dataclass
class Tally:
    faults: Counter[str] = field(default_factory=Counter)
    in_hand: int = 0  # GOPs at most that faults of the cluster hit while they were being made
    driver_ends: Counter[int] = field(default_factory=Counter)
    committed: dict[str, str] = field(default_factory=dict)  # record → attempt, as they were seen first
    lost: list[str] = field(default_factory=list)


class Driver:
    """The command, started again whenever it ends without having finished."""

    def __init__(self, folder: Path, environment: dict[str, str], tally: Tally):
        self._log, self._environment, self._tally = folder / "driver.log", environment, tally
        self._process: subprocess.Popen[bytes] | None = None
        self._manifest, self._output, self._failed = Path(), "", 0

    def begin(self, manifest: Path, output: str) -> None:
        self._manifest, self._output, self._failed = manifest, output, 0
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "pipeline.render", str(self._manifest), "--output", self._output]
        command += ["--upscalers", str(UPSCALERS), "--grace", "5"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)

    def over(self) -> bool:
        """Whether the round is done. Starts the driver anew where it ended early; a title that failed ends it all."""
        assert self._process is not None
        code = self._process.poll()
        if code is None:
            return False
        self._tally.driver_ends[code] += 1
        if code == 0:
            return True
        # A unit whose worker is killed three times while alone on it fails its title: such is chance here. Again.
        self._failed += code == 1
        if code == 2 or self._failed > FAILED_ROUNDS:
            raise click.ClickException(f"the driver ended with {code}:\n{self.said()}")
        self._start()
        return False

    def said(self) -> str:
        """The end of what all of them said."""
        return self._log.read_text()[-3000:]

    def signal(self, number: signal.Signals) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        self._process.send_signal(number)
        return True

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Chaos:
    """Chooses what goes wrong next, and does it."""

    def __init__(
        self,
        random: Random,
        machines: Machines,
        driver: Driver,
        proxy: FaultyS3,
        tally: Tally,
        every: tuple[float, float],
    ):
        """`every`: least and most seconds between two faults of the cluster."""
        self._random, self._machines, self._driver, self._proxy, self._tally = random, machines, driver, proxy, tally
        self._every = every
        self._next = 0.0
        self._thaw: list[tuple[float, int]] = []
        self._take: list[tuple[float, Machine]] = []
        self._store_random = Random(random.random())
        # Every kind has its turn: a bag is emptied before it is filled again.
        self._bag: list[str] = []

    def store(self, asked: Asked) -> str:
        return self._store_random.choice(STORE_FAULTS) if self._store_random.random() < STORE_RATE else ""

    def turn(self, now: float) -> None:
        self._finish(now)
        if now < self._next:
            return
        self._next = now + self._random.uniform(*self._every)
        if not self._bag:
            self._bag = ["chain"] * 3 + ["upscaler"] * 4 + ["publisher", "node", "driver", "driver", "stop driver"]
            self._bag += ["freeze", "freeze", "preempt"]
            self._random.shuffle(self._bag)
        self._do(self._bag.pop(), now)

    def _do(self, kind: str, now: float) -> None:
        nodes = self._machines.nodes
        match kind:
            case "chain" | "upscaler" | "publisher" | "freeze":
                names = {"chain": ("ray::Chain",), "upscaler": ("ray::Upscale",), "publisher": ("ray::Publish",)}
                pids = self._machines.workers(names.get(kind, GOP_MAKERS))
                if not pids:
                    return
                pid = self._random.choice(sorted(pids))
                with contextlib.suppress(ProcessLookupError):
                    if kind == "freeze":
                        os.kill(pid, signal.SIGSTOP)
                        self._thaw.append((now + self._random.uniform(3, 2 * STUCK), pid))
                        self._count("worker frozen", 1)
                    else:
                        os.kill(pid, signal.SIGKILL)
                        self._count(f"{kind} killed", int(kind != "publisher"))
            case "node" | "preempt" if len(nodes) < 2:  # others are still on their way
                return
            case "node":
                node = self._random.choice(nodes)
                self._count("machine killed", self._at_work(node))
                self._machines.kill(node)
                self._machines.replace()
            case "preempt":
                node = self._random.choice(nodes)
                if self._machines.announce(node, NOTICE):
                    self._machines.replace()
                    self._take.append((now + NOTICE, node))
                    self._count("machine taken after notice", self._at_work(node))
            case "driver":
                at_work = self._at_work()
                if self._driver.signal(signal.SIGKILL):
                    self._count("driver killed", at_work)
            case "stop driver":
                at_work = self._at_work()
                if self._driver.signal(signal.SIGTERM):
                    self._count("driver told to stop", at_work)

    def _at_work(self, node: Machine | None = None) -> int:
        """Workers that may have a GOP in hand, of one machine or of all. Lanes: family `fake` has one."""
        return len(self._machines.workers(GOP_MAKERS, node))

    def _count(self, kind: str, in_hand: int) -> None:
        self._tally.faults[kind] += 1
        self._tally.in_hand += in_hand

    def _finish(self, now: float) -> None:
        for moment, pid in [one for one in self._thaw if one[0] <= now]:
            self._thaw.remove((moment, pid))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for moment, node in [one for one in self._take if one[0] <= now]:
            self._take.remove((moment, node))
            self._machines.kill(node)

    def calm(self) -> None:
        """No more of it; what has been begun is ended."""
        self._proxy.choose = lambda asked: ""
        self._finish(float("inf"))
