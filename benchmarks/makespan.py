"""`python -m benchmarks.makespan --seed 1`: a catalog on a local cluster of stand-ins, against its lower bound.

Forty titles of log-normal length on two chain workers of two lanes and six upscalers, whose models take a fixed time
(`benchmarks.stand_ins`), so that whatever the run takes beyond the bound is the pipeline's own doing. The clock starts
when the chain workers are ready; what was rendered before is taken off the work that the bound is made of.
"""

from __future__ import annotations

import json
import logging
import os
import random
import tempfile
import time
import wave
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import log
from pathlib import Path
from statistics import mean
from typing import Any

import click
import numpy as np
from PIL import Image

from benchmarks import stand_ins
from benchmarks.stand_ins import CLIP_SECONDS, GOP_SECONDS
from cluster import local
from models.families.protocol import Family
from pipeline.core.timeline import CLIPS_PER_GOP, GOP
from pipeline.driver.drive import drive
from pipeline.forecast.call_times import CallTimes
from pipeline.forecast.simulate import Title, simulate
from pipeline.intake.survey import copy_inputs, plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Assign, Command, Done, Event, Finished, Role, Scanned, WorkerReady
from pipeline.store.opening import open_store
from pipeline.titles import scan
from pipeline.titles.scenes import read_scenes
from pipeline.titles.title_work import title_work

SPEECH_RATE = 8_000
MEAN, SIGMA = 30, 1.0  # GOPs of a title, log-normal
GOP_CHAIN = CLIPS_PER_GOP * CLIP_SECONDS
ROLES: tuple[Role, ...] = ("prepare", "chain", "upscale", "publish")


@dataclass(frozen=True)
class Size:
    """What the stand-ins run on."""

    chains: int = 2
    lanes: int = 2
    upscalers: int = 6


def lengths(seed: int, titles: int) -> list[int]:
    """GOPs of every title."""
    rng = random.Random(seed)
    return [max(1, round(rng.lognormvariate(log(MEAN) - SIGMA**2 / 2, SIGMA))) for _ in range(titles)]


@dataclass(frozen=True)
class Bound:
    """Least seconds that any schedule takes, by what would hold it up."""

    chain: float
    upscale: float
    longest: float

    @property
    def seconds(self) -> float:
        return max(self.chain, self.upscale, self.longest)


def lower_bound(gops: Iterable[int], size: Size, publish: float) -> Bound:
    """Each stage's work over its workers, with the first GOP's fill and the last GOP's drain; and the longest chain.

    `gops`: what is left of every title; `publish`: seconds to finish one.
    """
    left = [one for one in gops if one]
    if not left:
        return Bound(0.0, 0.0, publish)
    chain = sum(left) * GOP_CHAIN / (size.chains * size.lanes)
    upscale = sum(left) * GOP_SECONDS / size.upscalers
    return Bound(
        chain=chain + GOP_SECONDS + publish,
        upscale=GOP_CHAIN + upscale + publish,
        longest=max(left) * GOP_CHAIN + GOP_SECONDS + publish,
    )


def predict(gops: Mapping[str, int], size: Size, call: float, gop: float, publish: float) -> float:
    """Seconds that the simulator expects for what is left of every title, all of it prepared.

    `call`: seconds that a chain worker takes for a GOP of its lanes, `gop` an upscaler for one, `publish` for a title.
    """
    times = CallTimes(
        seconds_per_clip=call / CLIPS_PER_GOP,
        batch=call / CLIPS_PER_GOP,
        seconds_per_gop=gop,
        call=0.0,
        finish=publish,
        finish_gop=0.0,
    )
    limits = Limits(chain=size.chains, upscale=size.upscalers, upscale_after=size.upscalers, lanes=size.lanes)
    titles = []
    for name, count in gops.items():
        if count:
            work = TitleWork(id=name, priority=0, gops=count, blocks=1, segment=10, block_of_gop=(count * GOP, GOP))
            ready = Scanned(name, True, True, (0,), 0, (), False)
            titles.append(Title(work, count * CLIPS_PER_GOP, times, ready))
    return simulate(titles, limits).makespan


@dataclass
class Record:
    """What an executor was asked and what it answered, with the time of each."""

    executor: Any
    commands: list[tuple[float, Command]] = field(default_factory=list)
    events_seen: list[tuple[float, Event]] = field(default_factory=list)
    role: dict[str, Role] = field(default_factory=dict)

    def do(self, command: Command) -> None:
        self.commands.append((time.monotonic(), command))
        self.executor.do(command)

    def events(self, timeout: float) -> list[Event]:
        found = self.executor.events(timeout)
        self.events_seen += [(time.monotonic(), event) for event in found]
        return found

    def drain(self) -> None:
        self.executor.drain()

    def close(self) -> None:
        self.executor.close()

    def ready(self) -> dict[str, float]:
        """When each worker was."""
        return {event.worker: at for at, event in self.events_seen if isinstance(event, WorkerReady)}

    def calls(self) -> list[tuple[str, str, float, float, tuple[Done, ...]]]:
        """(worker, kind, from, to, units) of every call that ended."""
        begun: dict[str, tuple[float, str]] = {}
        moments = [(at, 0, thing) for at, thing in self.commands] + [(at, 1, thing) for at, thing in self.events_seen]
        found = []
        for at, _, thing in sorted(moments, key=lambda one: one[:2]):
            match thing:
                case Assign(worker, work):
                    begun[worker] = at, work.kind
                case Finished(worker, outcomes):
                    start, kind = begun.pop(worker)
                    found.append((worker, kind, start, at, tuple(one for outcome in outcomes for one in outcome.done)))
        return found


@dataclass
class Clock:
    """Time that the driver spends on deciding."""

    schedule: Schedule
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("decide", "handle"):
            setattr(self.schedule, name, self._timed(getattr(self.schedule, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*args)
            finally:
                self.seconds += time.perf_counter() - started

        return call


def write_catalog(folder: Path, gops: list[int], family: Family = stand_ins.TIMED) -> Path:
    """A manifest of titles that last so many GOPs, all with one portrait."""
    rng = np.random.default_rng(7)
    noise = (rng.standard_normal(SPEECH_RATE * 2) * 3000).astype("<i2")
    Image.fromarray(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(folder / "portrait.png")
    titles = []
    for number, count in enumerate(gops):
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SPEECH_RATE)
            file.writeframes(np.resize(noise, count * GOP * SPEECH_RATE // 25).tobytes())
        titles.append({"id": f"title-{number:02}", "portrait": "portrait.png", "audio": f"{number}.wav"})
    manifest = {
        "version": 1,
        "output": str(folder / "out"),
        "family": family.name,
        "defaults": {"resolution": 64, "base_size": 64},
        "titles": titles,
    }
    path = folder / "catalog.yaml"
    path.write_text(json.dumps(manifest))  # JSON is YAML
    return path


@dataclass(frozen=True)
class Result:
    """Seconds; `overhead_…` are milliseconds a GOP."""

    seed: int
    titles: int
    gops: int
    makespan: float
    bound: Bound
    over: float  # makespan beyond the bound, as a share
    predicted: float  # by the simulator, from the times that calls took
    serial: float
    publish: float
    startup: float
    overhead_scheduler: float
    overhead_chain_call: float
    overhead_between_calls: float
    busy: dict[str, float]
    load: float


def measure(seed: int, titles: int, size: Size = Size(), *, nodes: int = 2) -> Result:
    """Render the catalog and compare. Everything is started, and gone afterwards."""
    stand_ins.register()
    gops = lengths(seed, titles)
    accelerators = -(-(size.chains + size.upscalers) // nodes)
    with (
        tempfile.TemporaryDirectory(prefix="longtake-makespan-") as name,
        local.running(local.Shape(nodes, accelerators, accelerators)) as cluster,
    ):
        record, clock, schedule, began = render(write_catalog(Path(name), gops), cluster.address, size)
    return _result(seed, gops, size, record, clock, schedule, began)


def render(
    manifest: Path, address: str, size: Size, family: Family = stand_ins.TIMED
) -> tuple[Record, Clock, Schedule, float]:
    """Render a catalog of stand-ins on a cluster: what was asked for and answered, and when it began."""
    import ray

    from actors.roles import WORKERS
    from models.families.registry import FAMILIES
    from pipeline.driver.allocation import Allocation, Resources
    from pipeline.on_ray.executor import RayExecutor
    from pipeline.on_ray.local_ray import on_loopback

    catalog = load_manifest(str(manifest), families=FAMILIES)
    store = open_store(catalog.output)
    seen, problems = survey(catalog, store)
    assert not problems, problems
    plans = {one.title.id: plan_title(family, one) for one in seen}
    for one in seen:
        copy_inputs(store, [one])
    limits = Limits(chain=size.chains, upscale=size.upscalers, upscale_after=size.upscalers, lanes=size.lanes)
    shares = {role: Resources(0.0, 1.0 if role in ("chain", "upscale") else 0.0) for role in ROLES}
    with on_loopback():
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"worker_process_setup_hook": stand_ins.SETUP_HOOK},
        )
    works = {plan.id: title_work(plan) for plan in plans.values()}
    schedule = Schedule(works.values(), limits)
    clock = Clock(schedule)
    record = Record(RayExecutor(catalog.output, plans, Allocation(shares, limits), "makespan", WORKERS))
    began = time.monotonic()

    def look_up(title: str) -> Scanned:
        found = scan.scan(store, plans[title], works[title].gops)
        plans.update({one.name: one for one in read_scenes(store, plans[title])})
        return found

    try:
        drive(schedule, record, look_up)
    finally:
        record.close()
        ray.shutdown()
    for name, title in schedule.titles.items():
        assert title.done, f"{name}: {title.failed or title.paused}"
    return record, clock, schedule, began


def _result(
    seed: int, gops: list[int], size: Size, record: Record, clock: Clock, schedule: Schedule, began: float
) -> Result:
    calls = record.calls()
    chains = sorted({worker for worker, kind, *_ in calls if kind == "chain"})
    start = max(record.ready()[worker] for worker in chains)
    done = [one for *_, units in calls for one in units]
    ended = max(at for _, kind, _, at, _ in calls if kind == "finish")
    left = dict.fromkeys(schedule.titles, 0)
    for _, kind, _, at, units in calls:
        for one in units if kind == "chain" and at > start else ():
            left[one.title] += 1
    publish = min(one.seconds for one in done if one.kind == "finish")
    bound = lower_bound(left.values(), size, publish)
    total = sum(gops)
    mine = {worker: [(a, b) for who, kind, a, b, _ in calls if who == worker and kind == "chain"] for worker in chains}
    between = [b[0] - a[1] for spans in mine.values() for a, b in pairwise(spans)]
    beyond = [b - a - GOP_CHAIN for spans in mine.values() for a, b in spans]
    makespan = ended - start
    upscaled = [one.seconds for one in done if one.kind == "upscale" and one.seconds]
    predicted = predict(left, size, GOP_CHAIN + mean(beyond), mean(upscaled), publish)
    busy = {}
    for role, count in (("chain", size.chains), ("upscale", size.upscalers)):
        spans = [(max(a, start), min(b, ended)) for _, kind, a, b, _ in calls if kind == role and b > start]
        busy[role] = sum(b - a for a, b in spans) / makespan / count
    return Result(
        seed=seed,
        titles=len(gops),
        gops=total,
        makespan=makespan,
        bound=bound,
        over=makespan / bound.seconds - 1,
        predicted=predicted,
        serial=total * (GOP_CHAIN + GOP_SECONDS) + len(gops) * publish,
        publish=publish,
        startup=start - began,
        overhead_scheduler=clock.seconds * 1000 / total,
        overhead_chain_call=mean(beyond) * 1000,
        overhead_between_calls=mean(between) * 1000 if between else 0.0,
        busy=busy,
        load=os.getloadavg()[0],
    )


def show(result: Result) -> str:
    bound, busy = result.bound, result.busy
    rows = [
        (
            "makespan",
            f"{result.makespan:.1f} s, {result.over:+.1%} of the bound; start-up of {result.startup:.1f} s excluded",
        ),
        ("simulated", f"{result.predicted:.1f} s, {result.predicted / result.makespan - 1:+.1%} of what it took"),
        ("lower bound", f"{bound.seconds:.1f} s: chain {bound.chain:.1f}, upscale {bound.upscale:.1f}, longest title "),
        ("", f"{bound.longest:.1f}, publishing {result.publish:.2f} of them"),
        ("serial", f"{result.serial:.1f} s, computed: {result.serial / result.makespan:.1f} times as long"),
        ("overhead a GOP", f"{result.overhead_scheduler:.2f} ms in the scheduler"),
        ("", f"{result.overhead_chain_call:.1f} ms a chain call beyond its model"),
        ("", f"{result.overhead_between_calls:.1f} ms between two"),
        ("busy", f"chain {busy['chain']:.0%}, upscale {busy['upscale']:.0%}; load of the machine {result.load:.1f}"),
    ]
    title = f"seed {result.seed}: {result.titles} titles, {result.gops} GOPs"
    return "\n".join([title, *(f"  {name:16}{text}" for name, text in rows)])


@click.command()
@click.option("--seed", "seeds", type=int, multiple=True, default=[1], help="Of the lengths; several may be given.")
@click.option("--titles", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(seeds: tuple[int, ...], titles: int, as_json: bool) -> None:
    for seed in seeds:
        result = measure(seed, titles)
        click.echo(json.dumps(asdict(result)) if as_json else show(result))


if __name__ == "__main__":
    main()
