"""`python -m benchmarks.chaos --minutes M --seed S`: everything that can die dies, and the frames stay the same.

A local Ray cluster of several nodes renders family `fake` to a SeaweedFS S3 server through a proxy that misbehaves.
Workers, nodes and the driver are killed at random, workers are frozen, preemption is announced and then comes; the
driver is started again as a job submitter would. At the end everything is verified and compared with an undisturbed
render into a folder. Exit 1 on any difference, on any title that failed and on any committed GOP that was lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import click

from benchmarks.chaos_cluster import Machines
from pipeline.store import Store, open_store
from tests import s3
from tests.conftest import render_inline, write_manifest
from tests.crashes import keys_under
from tests.faulty_s3 import Asked, FaultyS3, before

STUCK = 45  # seconds without a sign of life after which a worker counts as hung
NODES, UPSCALERS = 3, 2
STORE_FAULTS = ("500", "503", "drop", "lost", "cut", "slow")
STORE_RATE = 0.01  # of the requests
EVERY = (4.0, 12.0)  # seconds between two faults of the cluster
NOTICE = 6.0  # seconds between an announcement and the end of the machine
TITLES, GOPS = 3, (20, 60)  # titles of a round, and GOPs of each
ROUND_WITHIN = 900.0  # seconds for the last round once no more faults come
_RECORD = re.compile(r"/(chain|stream)/(\d{8})\.(\d+)\.json$")
_COUNTED = re.compile(r"/(chain|stream|done)/\d{8}\.\d+\.json$")
_OBJECT = re.compile(r"/(chain|stream)/objects/(\d{8})-([0-9a-f]{32})-")


@dataclass
class Tally:
    faults: Counter[str] = field(default_factory=Counter)
    driver_ends: Counter[int] = field(default_factory=Counter)
    committed: dict[str, str] = field(default_factory=dict)  # record → attempt, as they were seen first
    lost: list[str] = field(default_factory=list)


class Driver:
    """The command, started again whenever it ends without having finished."""

    def __init__(self, folder: Path, environment: dict[str, str], tally: Tally):
        self._log, self._environment, self._tally = folder / "driver.log", environment, tally
        self._process: subprocess.Popen[bytes] | None = None
        self._manifest, self._output = Path(), ""

    def begin(self, manifest: Path, output: str) -> None:
        self._manifest, self._output = manifest, output
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
        if code in (1, 2):
            raise click.ClickException(f"the driver ended with {code}:\n{self._log.read_text()[-3000:]}")
        self._start()
        return False

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

    def __init__(self, random: Random, machines: Machines, driver: Driver, proxy: FaultyS3, tally: Tally):
        self._random, self._machines, self._driver, self._proxy, self._tally = random, machines, driver, proxy, tally
        self._next = 0.0
        self._thaw: list[tuple[float, int]] = []
        self._take: list[tuple[float, Any]] = []
        self._store_random = Random(random.random())
        # Every kind has its turn: a bag is emptied before it is filled again.
        self._bag: list[str] = []

    def store(self, asked: Asked) -> str:
        return self._store_random.choice(STORE_FAULTS) if self._store_random.random() < STORE_RATE else ""

    def turn(self, now: float) -> None:
        self._finish(now)
        if now < self._next:
            return
        self._next = now + self._random.uniform(*EVERY)
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
                pids = self._machines.workers(names.get(kind, ("ray::Chain", "ray::Upscale")))
                if not pids:
                    return
                pid = self._random.choice(sorted(pids))
                with contextlib.suppress(ProcessLookupError):
                    if kind == "freeze":
                        os.kill(pid, signal.SIGSTOP)
                        self._thaw.append((now + self._random.uniform(3, 2 * STUCK), pid))
                        self._count("worker frozen")
                    else:
                        os.kill(pid, signal.SIGKILL)
                        self._count(f"{kind} killed")
            case "node" | "preempt" if len(nodes) < 2:  # others are still on their way
                return
            case "node":
                self._machines.kill(self._random.choice(nodes))
                self._machines.replace()
                self._count("machine killed")
            case "preempt":
                node = self._random.choice(nodes)
                if self._machines.announce(node, NOTICE):
                    self._machines.replace()
                    self._take.append((now + NOTICE, node))
                    self._count("machine taken after notice")
            case "driver":
                if self._driver.signal(signal.SIGKILL):
                    self._count("driver killed")
            case "stop driver":
                if self._driver.signal(signal.SIGTERM):
                    self._count("driver told to stop")

    def _count(self, kind: str) -> None:
        self._tally.faults[kind] += 1

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


def look_at_records(store: Store, tally: Tally, *, all_of_them: bool = False) -> None:
    """What was committed must stay; and, when all are read again, must be what it was."""
    keys = {key for key in keys_under(store) if _RECORD.search(key)}
    tally.lost += [key for key in tally.committed if key not in keys]
    for key in sorted(keys if all_of_them else keys - tally.committed.keys()):
        attempt = json.loads(store.get(key))["attempt"]
        if tally.committed.setdefault(key, attempt) != attempt:
            tally.lost.append(key)


def picture(store: Store) -> dict[str, Any]:
    """Of every title: states of the chain, planes and fragments of each GOP, and the finished file."""
    found: dict[str, Any] = {}
    keys = set(keys_under(store))
    for key in sorted(keys):
        if not _COUNTED.search(key) or f"{key}.void" in keys:
            continue
        record = json.loads(store.get(key))
        objects = {name: one["sha256"] for name, one in record["objects"].items()}
        name = f"{record['title']} {record['stage']} {record['first']}"
        found[name] = [record["frames"], record["state"], record["facts"].get("planes"), objects]
    return found


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def round_of(folder: Path, number: int, random: Random) -> Path:
    frames = [random.randint(*GOPS) * 48 + random.randint(-40, 0) for _ in range(TITLES)]
    titles = [
        {"id": f"r{number}-t{place}", "frames": count, "files": 100 * number + place}
        for place, count in enumerate(frames)
    ]
    return write_manifest(folder / f"round-{number}", titles, segment_frames=240)


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.1), default=20.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--keep-log", type=click.Path(path_type=Path), help="Copy what the drivers said to this file.")
def command(minutes: float, seed: int, keep_log: Path | None) -> None:
    """Render under faults for so many minutes, then compare with an undisturbed render."""
    with tempfile.TemporaryDirectory(prefix="longtake-chaos-") as name, s3.running() as server:
        with before(server.endpoint) as proxy:
            variables = proxy.environment(server.environment) | {"LONGTAKE_STUCK_SECONDS": str(STUCK)}
            with environment(variables), Machines(NODES) as machines:
                good = soak(Path(name), server, proxy, machines, minutes, seed)
        if keep_log:
            keep_log.write_bytes(Path(name, "driver.log").read_bytes())
    sys.exit(0 if good else 1)


def soak(folder: Path, server: s3.S3Server, proxy: FaultyS3, machines: Machines, minutes: float, seed: int) -> bool:
    random, tally, output = Random(seed), Tally(), server.url("chaos")
    driver = Driver(folder, {**os.environ, "RAY_ADDRESS": machines.address}, tally)
    chaos = Chaos(random, machines, driver, proxy, tally)
    manifests: list[Path] = []
    with environment(server.environment):  # past the proxy
        store = open_store(output)
    began = time.monotonic()
    ending = began + 60 * minutes
    try:
        while not manifests or time.monotonic() < ending:
            manifests.append(round_of(folder, len(manifests), random))
            calm = len(manifests) == 1  # the first round tells how fast it goes without faults
            driver.begin(manifests[-1], output)
            started, looked = time.monotonic(), time.monotonic()
            while not driver.over():
                now = time.monotonic()
                if not calm and now < ending:
                    proxy.choose = chaos.store
                    chaos.turn(now)
                else:
                    chaos.calm()
                if now > max(ending, started) + ROUND_WITHIN:
                    raise click.ClickException("the last round does not end")
                if now - looked > 20:
                    looked = now
                    look_at_records(store, tally)
                time.sleep(0.2)
            if calm:
                undisturbed = frames_of(store) / (time.monotonic() - started)
                began, ending = time.monotonic(), time.monotonic() + 60 * minutes
                before_chaos = frames_of(store)
    finally:
        driver.end()
    chaos.calm()
    took = time.monotonic() - began
    look_at_records(store, tally, all_of_them=True)
    return judge(folder, output, store, manifests, proxy, tally, took, undisturbed, before_chaos)


def frames_of(store: Store) -> int:
    return sum(value[0] for name, value in picture(store).items() if " stream " in name)


def judge(
    folder: Path,
    output: str,
    store: Store,
    manifests: list[Path],
    proxy: FaultyS3,
    tally: Tally,
    took: float,
    speed: float,
    before_chaos: int,
) -> bool:
    """Print what happened; whether all is as if nothing had."""
    from pipeline import verify

    for manifest in manifests:
        assert render_inline(manifest, "--output", str(folder / "plain")) == 0
    mine, plain = picture(store), picture(open_store(str(folder / "plain")))
    different = sorted(name for name in mine.keys() | plain.keys() if mine.get(name) != plain.get(name))
    faults = verify.run([output])
    uploaded = {match.groups() for key in proxy.puts if (match := _OBJECT.search(key))}
    redone = len(uploaded) - len(tally.committed)
    rendered = frames_of(store) - before_chaos
    counts = tally.faults + Counter({f"store: {kind}": count for kind, count in proxy.injected.items()})
    click.echo(f"\n{'fault':32}{'times':>8}")
    for kind, count in sorted(counts.items()):
        click.echo(f"{kind:32}{count:8}")
    click.echo(f"{f'in all, of {len(counts)} kinds':32}{sum(counts.values()):8}")
    ends = ", ".join(f"{count} with {code}" for code, count in sorted(tally.driver_ends.items()))
    click.echo(f"drivers ended: {ends}")
    click.echo(f"rounds: {len(manifests)}, frames under faults: {rendered:,} in {took:.0f} s")
    share = redone / max(1, len(tally.committed))
    click.echo(f"GOPs put and not committed: {redone} of {len(tally.committed)} ({share:.2%}), {redone * 48:,} frames")
    click.echo(f"time lost: {took - rendered / speed:.0f} s ({speed:.0f} frames/s without faults)")
    click.echo(f"committed GOPs lost: {len(set(tally.lost))}")
    click.echo(f"different from the undisturbed render: {len(different)} of {len(plain)} records")
    for name in different[:10]:
        click.echo(f"  {name}: {mine.get(name)} instead of {plain.get(name)}")
    click.echo(f"verify: {'no faults' if faults == 0 else 'FAULTS'}")
    good = not different and not tally.lost and faults == 0
    click.echo("identical" if good else "NOT IDENTICAL")
    return good


if __name__ == "__main__":
    command()
