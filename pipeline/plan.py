"""`python -m pipeline.plan MANIFEST`: what a catalog is and what it will cost, before anything is spent.

Reads the inputs, writes nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from models.families.registry import FAMILIES
from pipeline.core.command import run_command
from pipeline.core.errors import ManifestError, StoreError
from pipeline.forecast import costs
from pipeline.forecast.call_times import measure
from pipeline.forecast.cluster_spec import ClusterSpec, read_cluster
from pipeline.forecast.gantt import check_name, write
from pipeline.intake.selection import select_titles
from pipeline.intake.survey import plan_title, survey
from pipeline.intake.target import open_target
from pipeline.manifest.catalog import load_manifest
from pipeline.media import ffmpeg
from pipeline.store.store import Store, open_store
from pipeline.titles.scan import scan
from pipeline.titles.title_plan import TitlePlan

PLAIN_WIDTH = 140  # columns where the output is no terminal


class Workers(click.ParamType):
    """`2,8`: two chain workers and eight upscalers."""

    name = "CHAIN,UPSCALE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        parts = str(value).split(",")
        if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value!r}: expected two numbers above 0, such as 1,4 for one chain worker and four upscalers")
        chains, upscalers = map(int, parts)
        return chains, upscalers


@click.command()
@click.argument("manifest")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's. Nothing is written to it.")
@click.option("--only", multiple=True, metavar="ID", help="Plan this title only (may be given several times).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--workers", type=Workers(), default="1,1", show_default=True, help="Workers to plan the time for.")
@click.option(
    "--device",
    type=click.Choice(costs.devices()),
    help="Class of accelerator to plan for; default: the family's first.",
)
@click.option("--cluster", metavar="FILE", help="Simulate the run on this cluster; cluster/spec.yaml is an example.")
@click.option("--calibrate", metavar="MANIFEST|OUTPUT", help="With --cluster: speeds from the records of a past run.")
@click.option("--gantt", metavar="FILE", help="With --cluster: draw who works on what, as .svg or .png.")
def command(
    manifest: str,
    output: str | None,
    only: tuple[str, ...],
    as_json: bool,
    workers: tuple[int, int],
    device: str | None,
    cluster: str | None,
    calibrate: str | None,
    gantt: str | None,
) -> None:
    """Print length, frames, bytes, accelerator-hours and wall time of every title of MANIFEST."""
    ffmpeg.binary()
    if cluster is None and (calibrate or gantt):
        raise click.UsageError("--calibrate and --gantt go with --cluster FILE; cluster/spec.yaml is an example")
    spec = read_cluster(cluster) if cluster else None
    if gantt:
        check_name(gantt)
    catalog = select_titles(load_manifest(manifest, families=FAMILIES, output=output), only)
    family = FAMILIES[catalog.family]
    costs.speed_of(family, device)  # a device without figures is said before inputs are read
    seen, problems = survey(catalog, open_store(catalog.output), lambda text: click.echo(text, err=True))
    if problems:
        raise ManifestError(problems)
    plans = [plan_title(family, one) for one in seen]
    if spec is None:
        show_plan(plans, as_json, workers, device)
    else:
        _show_forecast(plans, spec, open_store(catalog.output), calibrate, gantt, as_json)


def _show_forecast(
    plans: list[TitlePlan], spec: ClusterSpec, store: Store, calibrate: str | None, gantt: str | None, as_json: bool
) -> None:
    from pipeline.forecast.forecast import forecast, show  # here: it needs the renderer, which prints plans

    measured = None
    if calibrate:
        target = open_target(calibrate, None, ())
        known = [one for one, _ in target.titles()]
        measured = measure(target.store, known, plans[0].family, spec.chain.device, spec.upscale.device)
    found = {}
    for plan in plans:
        with suppress(StoreError):  # what cannot be read is planned as if it were not there
            found[plan.id] = scan(store, plan, mend=False)
    result = forecast(plans, spec, measured, found)
    if gantt:
        write(result.run, gantt)
    if as_json:
        click.echo(json.dumps(result.as_json()))
    else:
        show(result)


def show_plan(
    plans: Iterable[TitlePlan], as_json: bool, workers: tuple[int, int] = (1, 1), device: str | None = None
) -> None:
    """Print the cost of titles on stdout. `workers`: of the chain, and upscalers."""
    found = [costs.cost_of(plan, device, workers[1]) for plan in plans]
    total = costs.total_of(found, *workers)
    speeds = {cost.plan.family: costs.speed_of(FAMILIES[cost.plan.family], device) for cost in found}
    if as_json:
        assumed = {
            "workers": {"chain": workers[0], "upscale": workers[1]},
            "speeds": {name: {"device": speed.device, "source": speed.source} for name, speed in speeds.items()},
        }
        click.echo(json.dumps({"titles": [cost.as_json() for cost in found], "total": total, "assumed": assumed}))
        return
    _print_table(found, total)
    for name, speed in speeds.items():
        chains, upscalers = workers
        click.echo(
            f"Estimates: family {name} on {speed.device} ({speed.source}); {chains} chain worker(s), {upscalers} "
            "upscaler(s). Sizes of the encoded pictures are a rule of thumb."
        )


def _print_table(found: list[costs.Cost], total: dict[str, Any]) -> None:
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=PLAIN_WIDTH)
    table = Table("title", box=None)
    for name in ("length", "frames", "clips", "GOPs", "store", "kept", "scratch", "chain h", "upscale h", "wall"):
        table.add_column(name, justify="right", no_wrap=True)
    for cost in found:
        table.add_row(*_row(cost.plan.id, cost.as_json()))
    if len(found) != 1:
        table.add_section()
        table.add_row(*_row(f"{len(found)} titles", total))
    console.print(table)


def _row(name: str, facts: dict[str, Any]) -> list[str]:
    stored, spent = facts["store_bytes"], facts["accelerator_hours"]
    return [
        name,
        clock(facts["seconds"]),
        *(f"{facts[key]:,}" for key in ("frames", "clips", "gops")),
        decimal(stored["total"]),
        decimal(stored["kept"]),
        decimal(facts["scratch_bytes"]),
        f"{spent['chain']:.3g}",
        f"{spent['upscale']:.3g}",
        clock(facts["wall_seconds"]),
    ]


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, rounded up: 0:00:07."""
    return str(timedelta(seconds=int(-(-seconds // 1))))


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
