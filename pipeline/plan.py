"""`python -m pipeline.plan MANIFEST`: what a catalog is and what it will cost, before anything is spent.

Reads the inputs. Where that takes long, what was found is kept in the output, so that `render` need not do it again.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import click

from models.families.registry import FAMILIES
from pipeline import api
from pipeline.core.command import run_command
from pipeline.core.errors import StoreError
from pipeline.forecast import costs
from pipeline.forecast.call_times import measure
from pipeline.forecast.cluster_spec import ClusterSpec, read_cluster
from pipeline.forecast.forecast import forecast, show
from pipeline.forecast.gantt import check_name, write
from pipeline.forecast.lengths import plans_of, read_lengths
from pipeline.forecast.plan_table import show_plan
from pipeline.intake.selection import open_selection
from pipeline.media import ffmpeg
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from pipeline.titles.scan import scan
from pipeline.titles.title_plan import TitlePlan


class Workers(click.ParamType):
    """`2,8`: two chain workers and eight upscalers."""

    name = "CHAIN,UPSCALE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        parts = str(value).split(",")
        if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value!r}: expected two numbers above 0, such as 1,4 for one chain worker and four upscalers")
        chains, upscalers = map(int, parts)
        return chains, upscalers


@click.command()
@click.argument("manifest", required=False)
@click.option("--output", help="Folder or URL of the results, where a long look at inputs is kept.")
@click.option("--allow-host", multiple=True, metavar="HOST", help="A private host that a remote manifest may name.")
@click.option("--only", multiple=True, metavar="ID", help="Plan this title only (may be given several times).")
@click.option(
    "--accept-crop", is_flag=True, help="Take the middle of portraits that are not square and whose face nothing finds."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--workers", type=Workers(), default="1,1", show_default=True, help="Workers to plan the time for.")
@click.option(
    "--device",
    type=click.Choice(costs.devices()),
    help="Class of accelerator to plan for; default: the family's first.",
)
@click.option("--cluster", metavar="FILE", help="Simulate the run on this cluster; cluster/spec.yaml is an example.")
@click.option(
    "--lengths",
    metavar="FILE",
    help="With --cluster: titles from a table id,length (seconds or h:mm:ss); no inputs are read. MANIFEST, if given, "
    "says the family and the options of those titles that it names; others are as its first one.",
)
@click.option("--family", type=click.Choice(sorted(FAMILIES)), help="With --lengths and no MANIFEST; default: hallo2.")
@click.option("--calibrate", metavar="MANIFEST|OUTPUT", help="With --cluster: speeds from the records of a past run.")
@click.option("--gantt", metavar="FILE", help="With --cluster: draw who works on what, as .svg or .png.")
def command(
    manifest: str | None,
    output: str | None,
    allow_host: tuple[str, ...],
    only: tuple[str, ...],
    accept_crop: bool,
    as_json: bool,
    workers: tuple[int, int],
    device: str | None,
    cluster: str | None,
    lengths: str | None,
    family: str | None,
    calibrate: str | None,
    gantt: str | None,
) -> None:
    """Print length, frames, bytes, accelerator-hours and wall time of every title of MANIFEST."""
    ffmpeg.binary()
    if cluster is None and (calibrate or gantt or lengths):
        raise click.UsageError(
            "--calibrate, --gantt and --lengths go with --cluster FILE; cluster/spec.yaml is an example"
        )
    if family and (manifest or not lengths):
        raise click.UsageError("--family goes with --lengths FILE and no MANIFEST, which names a family itself")
    if not (manifest or lengths):
        raise click.UsageError("Missing argument 'MANIFEST'.")
    spec = read_cluster(cluster) if cluster else None
    if gantt:
        check_name(gantt)
    catalog = None
    if manifest:
        catalog = api.load(manifest, output=output, only=only, allow_hosts=allow_host)
        for warning in catalog.warnings:
            click.echo(f"warning: {warning}", err=True)
    if spec and lengths:
        name = catalog.family if catalog else family or "hallo2"
        plans = list(plans_of(read_lengths(lengths), FAMILIES[name], catalog))
        _show_forecast(plans, spec, None, calibrate, gantt, as_json)
        return
    assert catalog is not None
    found = api.plan(catalog, workers=workers, device=device, accept_crop=accept_crop, on_event=_tell)
    if spec is None:
        show_plan(found.titles, as_json, workers, device)
    else:
        plans = [cost.plan for cost in found.titles]
        _show_forecast(plans, spec, open_store(catalog.output), calibrate, gantt, as_json)


def _tell(event: api.Event) -> None:
    if isinstance(event, api.Note):
        click.echo(event.text, err=True)


def _show_forecast(
    plans: list[TitlePlan],
    spec: ClusterSpec,
    store: Store | None,
    calibrate: str | None,
    gantt: str | None,
    as_json: bool,
) -> None:
    """`store`: what it holds of the titles is not made again."""
    measured = None
    if calibrate:
        target = open_selection(calibrate, None, (), allow_empty=True)
        known = [one for one, _ in target.titles()]
        measured = measure(target.store, known, plans[0].family, spec.chain.device, spec.upscale.device)
    found = {}
    for plan in plans if store else ():
        assert store is not None
        with suppress(StoreError):  # what cannot be read is planned as if it were not there
            found[plan.id] = scan(store, plan, mend=False)
    result = forecast(plans, spec, measured, found)
    if gantt:
        write(result.run, gantt)
    if as_json:
        click.echo(json.dumps(result.as_json()))
    else:
        show(result)


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
