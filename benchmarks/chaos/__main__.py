"""`python -m benchmarks.chaos --minutes M --seed S`: everything that can die dies, and the frames stay the same.

A local Ray cluster of several nodes renders family `fake` to a SeaweedFS S3 server through a proxy that misbehaves.
Workers, nodes and the driver are killed at random, workers are frozen, preemption is announced and then comes; the
driver is started again as a job submitter would. At the end everything is verified and compared with an undisturbed
render into a folder. Exit 1 on any difference, and on any committed GOP that was lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import click

from benchmarks.chaos.cluster import Machines
from benchmarks.chaos.faults import STUCK, Chaos, Driver, Tally
from benchmarks.chaos.judge import Verdict, compare, frames_of, look_at_records, redone
from pipeline.store.opening import open_store
from tests.conftest import write_manifest
from tests.support import s3
from tests.support.faulty_s3 import FaultyS3, before

ROUND_WITHIN = 400.0  # seconds for the last round once no more faults come
LOOK_EVERY = 20.0  # seconds between two looks at what is committed


@dataclass(frozen=True)
class Size:
    """Nodes of the cluster, titles of a round and their GOPs, and seconds between two faults of the cluster."""

    nodes: int = 3
    titles: int = 3
    gops: tuple[int, int] = (20, 60)
    every: tuple[float, float] = (4.0, 12.0)


SMALL = Size(nodes=2, titles=2, gops=(5, 9), every=(1.0, 3.0))


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


def round_of(folder: Path, number: int, random: Random, size: Size) -> Path:
    frames = [random.randint(*size.gops) * 48 + random.randint(-40, 0) for _ in range(size.titles)]
    titles = [
        {"id": f"r{number}-t{place}", "frames": count, "files": 100 * number + place}
        for place, count in enumerate(frames)
    ]
    return write_manifest(folder / f"round-{number}", titles, segment_frames=240)


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.1), default=20.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--small", is_flag=True, help="Two nodes and short titles.")
@click.option("--json", "as_json", is_flag=True)
@click.option("--keep-log", type=click.Path(path_type=Path), help="Copy what the drivers said to this file.")
def command(minutes: float, seed: int, small: bool, as_json: bool, keep_log: Path | None) -> None:
    """Render under faults for so many minutes, then compare with an undisturbed render."""
    size = SMALL if small else Size()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started here is ended
    with tempfile.TemporaryDirectory(prefix="longtake-chaos-") as name, s3.running() as server:
        try:
            with before(server.endpoint) as proxy:
                variables = proxy.environment(server.environment) | {"LONGTAKE_STUCK_SECONDS": str(STUCK)}
                with environment(variables), Machines(size.nodes) as machines:
                    verdict = soak(Path(name), server, proxy, machines, minutes, seed, size)
        finally:
            if keep_log and (log := Path(name, "driver.log")).exists():
                keep_log.write_bytes(log.read_bytes())
    click.echo(json.dumps(asdict(verdict) | {"good": verdict.good}) if as_json else str(verdict))
    sys.exit(0 if verdict.good else 1)


def soak(
    folder: Path, server: s3.S3Server, proxy: FaultyS3, machines: Machines, minutes: float, seed: int, size: Size
) -> Verdict:
    random, tally, output = Random(seed), Tally(), server.url("chaos")
    driver = Driver(folder, {**os.environ, "RAY_ADDRESS": machines.address}, tally)
    chaos = Chaos(random, machines, driver, proxy, tally, size.every)
    manifests: list[Path] = []
    with environment(server.environment):  # past the proxy
        store = open_store(output)
    began = ending = time.monotonic()
    try:
        while len(manifests) < 2 or time.monotonic() < ending:
            manifests.append(round_of(folder, len(manifests), random, size))
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
                    raise click.ClickException(f"the last round does not end; the driver said:\n{driver.said()}")
                if now - looked > LOOK_EVERY:
                    looked = now
                    look_at_records(store, tally)
                time.sleep(0.2)
            if calm:
                before_chaos = frames_of(store)
                speed = before_chaos / (time.monotonic() - started)
                began, ending = time.monotonic(), time.monotonic() + 60 * minutes
    finally:
        driver.end()
    chaos.calm()
    took = time.monotonic() - began
    look_at_records(store, tally, all_of_them=True)
    frames = frames_of(store) - before_chaos
    compared, different, verified = compare(folder, output, store, manifests)
    return Verdict(
        seed=seed,
        faults=dict(tally.faults + Counter({f"store: {kind}": count for kind, count in proxy.injected.items()})),
        driver_ends=dict(tally.driver_ends),
        rounds=len(manifests),
        seconds=took,
        frames=frames,
        committed=len(tally.committed),
        redone=redone(proxy.puts, tally),
        in_hand=tally.in_hand,
        time_lost=took - frames / speed,
        lost=tuple(sorted(set(tally.lost))),
        compared=compared,
        different=tuple(different),
        verified=verified,
    )


if __name__ == "__main__":
    command()
