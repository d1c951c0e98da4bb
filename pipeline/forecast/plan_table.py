"""A plan as people read it: what titles are and will cost, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from models.families.registry import FAMILIES
from pipeline.core.timeline import FPS
from pipeline.forecast import costs
from pipeline.forecast.costs import CostFacts, TotalFacts
from pipeline.titles.scenes import expected
from pipeline.titles.title_plan import TitlePlan

LONG, MINUTES = 20 * 60 * FPS, 10  # frames of a title that is worth parting; minutes of a scene, by default
PLAIN_WIDTH = 140  # columns where the output is no terminal


def show_plan(
    found: Sequence[costs.Cost], as_json: bool, workers: tuple[int, int] = (1, 1), device: str | None = None
) -> None:
    """Print the cost of titles on stdout. `workers`: of the chain, and upscalers."""
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
    for cost in found:
        if line := proposal(cost.plan):
            click.echo(line)
    for name, speed in speeds.items():
        chains, upscalers = workers
        click.echo(
            f"Estimates: family {name} on {speed.device} ({speed.source}); {chains} chain worker(s), {upscalers} "
            "upscaler(s). Sizes of the encoded pictures are a rule of thumb."
        )


def proposal(plan: TitlePlan) -> str:
    """What could be said of a long title in one piece: how it would be parted; else nothing."""
    if plan.options.scenes != "one" or plan.frames < LONG:
        return ""
    for scenes, words in (("chapters", "chapters"), (MINUTES, str(MINUTES))):
        count = len(expected(replace(plan, options=plan.options.changed(scenes=scenes))))
        if count > 1:
            return (
                f"{plan.id}: in one piece, so one chain worker renders it from beginning to end; `scenes: {words}` "
                f"parts it into about {count}, which are rendered side by side and kept one by one"
            )
    return ""


def _print_table(found: Sequence[costs.Cost], total: TotalFacts) -> None:
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


def _row(name: str, facts: CostFacts | TotalFacts) -> list[str]:
    stored, spent = facts["store_bytes"], facts["accelerator_hours"]
    return [
        name,
        clock(facts["seconds"]),
        f"{facts['frames']:,}",
        f"{facts['clips']:,}",
        f"{facts['gops']:,}",
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
