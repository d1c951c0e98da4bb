"""What a catalog will take on a cluster: the simulated run in hours, money and dates, beside what preemption costs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import click
from rich.console import Console
from rich.table import Table

from models.families.protocol import Family
from models.families.registry import FAMILIES
from pipeline.driver.allocation import Allocation, allocate
from pipeline.forecast import costs
from pipeline.forecast.call_times import MeasuredTimes, planned
from pipeline.forecast.cluster_spec import ClusterSpec
from pipeline.forecast.simulate import Machine, Simulation, Title, simulate
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.work import ROLES, Role, Scanned
from pipeline.titles.scenes import expected
from pipeline.titles.title_plan import TitlePlan
from pipeline.titles.title_work import scene_works, title_work

PLAIN_WIDTH = 140  # columns where the output is no terminal
SEED = 1  # of preemptions
HOUR = 3600
_WORKERS: dict[Role, str] = {
    "prepare": "workers that prepare",
    "chain": "chain workers",
    "upscale": "upscalers",
    "publish": "workers that publish",
}


@dataclass(frozen=True)
class Forecast:
    """`undisturbed` is the run without preemptions, where the cluster has any."""

    spec: ClusterSpec
    family: str
    run: Simulation
    undisturbed: Simulation | None
    measured: MeasuredTimes | None

    @property
    def makespan(self) -> float:
        return self.run.makespan

    @property
    def waits_for(self) -> Role:
        """The role that was busiest."""
        return max(ROLES, key=self.run.load)

    def machine_hours(self, role: Role) -> float:
        """Hours of machines that are paid for: from being asked for to being taken away."""
        pool = self.spec.chain if role == "chain" else self.spec.upscale
        lives = [life for life in self.run.workers.values() if life.role == role]
        idle = sum(pool.idle for life in lives if not life.lost)
        return (self.run.life(role) + idle) / HOUR

    def plain_hours(self) -> float:
        """Hours of machines for preparing and publishing: a core for each worker's life."""
        cores = self.spec.plain.cores if self.spec.plain else 1
        return (self.run.life("prepare") + self.run.life("publish")) / cores / HOUR

    def money(self) -> dict[str, float]:
        parts = {
            "head": self.makespan / HOUR * self.spec.head.price,
            **({"plain": self.plain_hours() * self.spec.plain.price} if self.spec.plain else {}),
            "chain": self.machine_hours("chain") * self.spec.chain.price,
            "upscale": self.machine_hours("upscale") * self.spec.upscale.price,
        }
        return {**parts, "total": sum(parts.values())}

    def as_json(self) -> dict[str, object]:
        run = self.run
        return {
            "makespan_seconds": round(run.makespan, 3),
            "undisturbed_seconds": round(self.undisturbed.makespan, 3) if self.undisturbed else None,
            "preemptions": run.preemptions,
            "utilisation": {role: round(run.utilisation(role), 4) for role in ("chain", "upscale")},
            "load": {role: round(run.load(role), 4) for role in ROLES},
            "waits_for": self.waits_for,
            "accelerator_hours": {role: round(self.machine_hours(role), 4) for role in ("chain", "upscale")},
            "busy_hours": {role: round(run.busy(role) / HOUR, 4) for role in ("chain", "upscale")},
            "money": {name: round(value, 2) for name, value in self.money().items()},
            "currency": self.spec.currency,
            "titles": {name: round(when, 3) for name, when in sorted(run.done.items(), key=lambda one: one[1])},
            "unfinished": run.unfinished,
            "step_gops": run.step,
            "calibrated_from_records": self.measured.records if self.measured else 0,
        }


def allocation_of(spec: ClusterSpec, family: Family, titles: int, lanes: int, largest: int = 0) -> Allocation:
    """What workers ask for and how many there may be of each role, from the function that a run takes its own from."""
    chains, upscalers = spec.chain.workers, spec.upscale.workers
    plain = spec.plain.workers * spec.plain.cores if spec.plain else 0
    scratch = spec.plain.workers * spec.plain.scratch if spec.plain else 0
    rest = {"titles": titles, "lanes": lanes, "plain": plain, "scratch": scratch, "largest": largest}
    return allocate(0, chains + upscalers, family, chains, upscalers, **rest)


def limits_of(spec: ClusterSpec, family: Family, titles: int, lanes: int, largest: int = 0) -> Limits:
    """Most workers of each role, but for what the description itself says. `largest`: bytes of a title on scratch."""
    limits = allocation_of(spec, family, titles, lanes, largest).limits
    return replace(
        limits,
        prepare=spec.head.prepare or limits.prepare,
        publish=spec.head.publish or limits.publish,
        upscale_after=spec.upscale.after or spec.upscale.workers,
    )


def forecast(
    plans: Sequence[TitlePlan],
    spec: ClusterSpec,
    measured: MeasuredTimes | None = None,
    found: Mapping[str, Scanned] | None = None,
    preview: float | None = None,
) -> Forecast:
    """Simulate the run of a catalog. `found`: what the store holds of its titles already.

    Raises UserError for a device without figures.
    """
    family = FAMILIES[plans[0].family]
    lanes = spec.chain.lanes or family.lanes
    parted = [expected(plan) for plan in plans]
    chains = sum(max(1, len(scenes)) for scenes in parted)
    limits = limits_of(spec, family, chains, lanes, max(map(costs.scratch_bytes, plans)))
    titles = []
    for plan, scenes in zip(plans, parted, strict=True):
        times = planned(plan, spec.chain.device, spec.upscale.device)
        times = measured.apply(times) if measured else times
        work, there = title_work(plan, preview), (found or {}).get(plan.id)
        parts = tuple(Title(one, scene.clips, times) for one, scene in scene_works(scenes, work.gops))
        titles.append(Title(work, plan.clips, times, there, parts))
    machines: dict[Role, Machine] = {
        "chain": Machine(spec.chain.start, spec.chain.preemptions, spec.chain.batch, spec.chain.device or ""),
        "prepare": Machine(spec.plain.start if spec.plain else 0.0),
        "publish": Machine(spec.plain.start if spec.plain else 0.0),
        "upscale": Machine(spec.upscale.start, spec.upscale.preemptions, None, spec.upscale.device or ""),
    }
    run = simulate(titles, limits, machines, seed=SEED)
    undisturbed = None
    if any(machine.preemptions for machine in machines.values()):
        calm = {role: replace(machine, preemptions=0.0) for role, machine in machines.items()}
        undisturbed = simulate(titles, limits, calm, seed=SEED)
    return Forecast(spec, family.name, run, undisturbed, measured)


def show(result: Forecast, most: int = 20) -> None:
    """Print a forecast on stdout; of many titles the first and the last that are done."""
    run, spec = result.run, result.spec
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=PLAIN_WIDTH)
    pools = Table("machines", box=None)
    for name in ("at most", "used", "busy", "hours", spec.currency):
        pools.add_column(name, justify="right")
    money = result.money()
    for role, pool in (("chain", spec.chain), ("upscale", spec.upscale)):
        used = sum(life.role == role for life in run.workers.values())
        pools.add_row(
            f"{role} ({pool.device or 'default device'})",
            str(pool.workers),
            str(used),
            f"{run.utilisation(role):.0%}",  # type: ignore[arg-type]
            f"{result.machine_hours(role):.2f}",  # type: ignore[arg-type]
            f"{money[role]:.2f}",
        )
    pools.add_row("head", "1", "1", "", f"{run.makespan / HOUR:.2f}", f"{money['head']:.2f}")
    if spec.plain:
        hours = f"{result.plain_hours():.2f}"
        pools.add_row("plain", str(spec.plain.workers), "", "", hours, f"{money['plain']:.2f}")
    pools.add_section()
    pools.add_row("all", "", "", "", "", f"{money['total']:.2f}")
    console.print(pools)
    click.echo(f"All done after {clock(run.makespan)}.")
    if result.undisturbed:
        longer = run.makespan / result.undisturbed.makespan - 1 if result.undisturbed.makespan else 0.0
        click.echo(
            f"Of that {longer:+.1%} through {run.preemptions} machines taken away (undisturbed: "
            f"{clock(result.undisturbed.makespan)})."
        )
    shares = ", ".join(f"{role} {run.load(role):.1%}" for role in ROLES)
    click.echo(f"It waits for {_WORKERS[result.waits_for]}. Busy, of the most workers that each role had: {shares}.")
    done = sorted(run.done.items(), key=lambda one: one[1])
    shown = done if len(done) <= most else [*done[: most // 2], *done[-most // 2 :]]
    for number, (name, when) in enumerate(shown):
        if len(done) > most and number == most // 2:
            click.echo(f"  … {len(done) - most} more")
        click.echo(f"  {name}: done after {clock(when)}")
    for name, why in run.unfinished.items():
        click.echo(f"  {name}: not done: {why}")
    click.echo(_assumptions(result))


def _assumptions(result: Forecast) -> str:
    family = FAMILIES[result.family]
    if result.measured:
        source = f"from {result.measured.records} records of past work"
    else:
        speeds = [costs.speed_of(family, pool.device) for pool in (result.spec.chain, result.spec.upscale)]
        source = "; ".join(dict.fromkeys(f"{speed.device}: {speed.source}" for speed in speeds))
    steps = f", in steps of {result.run.step} GOPs" if result.run.step > 1 else ""
    return f"Simulated with the scheduler that will run it{steps}. Speeds: {source}. Prices: your description's."


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, rounded up: 0:00:07; days are hours."""
    whole = int(-(-seconds // 1))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
