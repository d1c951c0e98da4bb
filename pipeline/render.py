"""`python -m pipeline.render MANIFEST`: render a catalog, or continue where its records end.

Exit codes: 0 all titles done · 1 some title failed · 2 bad manifest or input, nothing rendered · 75 interrupted or
paused, run again to continue.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import click

from models.families.registry import FAMILIES, Family
from pipeline.core import timeline
from pipeline.core.command import run_command
from pipeline.core.errors import ManifestError, OutputError, Problem, StoreError
from pipeline.core.redact import redact
from pipeline.driver.drive import Executor, drive
from pipeline.driver.guidance import check_devices, devices_of
from pipeline.driver.marks import Marks
from pipeline.driver.progress import Reporter
from pipeline.driver.stop import AGAIN, INTERRUPTED, Stop, stop_now_after
from pipeline.intake.portrait_warnings import portrait_warnings
from pipeline.intake.prompt_warnings import prompt_warnings
from pipeline.intake.selection import only_failed, select_titles, without_done
from pipeline.intake.survey import copy_inputs, plan_title, survey, without_impossible
from pipeline.intake.weight_intake import find_weights, take_weights
from pipeline.manifest.catalog import Catalog, load_manifest, load_valid_titles
from pipeline.media import ffmpeg
from pipeline.pages.writer import Pages
from pipeline.plan import show_plan
from pipeline.provenance.signing_identity import identity
from pipeline.scheduler.schedule import Limits, Schedule, TitleWork
from pipeline.scheduler.work import Event, Role
from pipeline.sources import urls
from pipeline.store.lease import Lease
from pipeline.store.store import Store, open_store
from pipeline.titles import scan
from pipeline.titles.catalog_report import row_of, write_report
from pipeline.titles.title_plan import TitlePlan

MOST_LANES = 64
IN_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray in the driver of a submitted job


@dataclass(frozen=True)
class Request:
    """The command line."""

    manifest: str
    output: str | None
    only: tuple[str, ...]
    preview: float | None
    dry_run: bool
    skip_invalid: bool
    skip_done: bool
    retry_failed: bool
    fail_fast: bool
    executor: str
    address: str | None
    chains: int | None
    upscalers: int | None
    min_upscalers: int
    gpus: int | None
    lanes: int | None
    grace: float
    json_log: bool


class Lanes(click.ParamType):
    """A number of lanes; `auto` becomes 0."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "auto":
            return 0
        if not str(value).isdecimal() or not 1 <= int(value) <= MOST_LANES:
            self.fail(f"{value!r}: expected a number from 1 to {MOST_LANES}, or auto")
        return int(value)


@click.command()
@click.argument("manifest")
@click.option("--output", help="Folder or URL for the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="Render this title only (may be given several times).")
@click.option("--preview", type=float, metavar="SECONDS", help="Render the first whole GOPs into preview.mp4.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, render nothing.")
@click.option("--skip-invalid", is_flag=True, help="Render the titles that are valid; exit 1 if others were not.")
@click.option("--skip-done", is_flag=True, help="Do not open the inputs of titles that are done.")
@click.option("--retry-failed", is_flag=True, help="Render only titles that failed when they were last tried.")
@click.option("--fail-fast", is_flag=True, help="Stop as soon as a title has failed; exit 1.")
@click.option("--executor", type=click.Choice(["ray", "inline"]), default="ray", show_default=True)
@click.option("--address", help="Ray cluster to join; default: RAY_ADDRESS, else this machine alone.")
@click.option("--chains", type=click.IntRange(min=1), help="Most chain workers; default: what the cluster holds.")
@click.option(
    "--upscalers", type=click.IntRange(min=1), help="Most upscaling workers; default: what the cluster holds."
)
@click.option("--min-upscalers", type=click.IntRange(min=0), default=0, help="Upscaling workers kept from the start.")
@click.option(
    "--gpus", type=click.IntRange(min=1), help="Accelerators that a growing cluster may come to; default: what it has."
)
@click.option(
    "--lanes", type=Lanes(), help="Titles in a chain worker's batch, or auto to find out what is best on its device."
)
@click.option("--grace", type=click.FloatRange(min=0), default=20.0, show_default=True, metavar="SECONDS")
@click.option("--json-log", is_flag=True, help="Write events as JSON lines to stderr.")
def command(**options: Any) -> None:
    """Render every title of MANIFEST; run it again to continue after any interruption."""
    with Stop() as stop:
        try:
            code = render(Request(**options), stop)
        except KeyboardInterrupt:
            click.echo(f"Interrupted before rendering began. {AGAIN}", err=True)
            code = INTERRUPTED
    sys.exit(code)


def render(request: Request, stop: Stop) -> int:
    ffmpeg.binary()  # a missing program is said before anything is read
    catalog, problems = _load(request)
    store = _open_output(catalog)
    family, tell = FAMILIES[catalog.family], _tell(request)
    if request.retry_failed:
        catalog = only_failed(catalog, store)
    if request.skip_done:
        catalog, done = without_done(catalog, store)
        for name in done:
            click.echo(f"{name}: done, {store}/{name}/final.mp4", err=True)
    if not catalog.titles:
        click.echo("Nothing is left to render.", err=True)
        return 1 if problems else 0
    found = find_weights(family, catalog.weights)
    seen, wrong = survey(catalog, store, tell)
    problems += wrong
    seen, wrong = without_impossible(catalog, seen, found)
    problems += wrong
    if problems and not (request.skip_invalid and seen):
        raise ManifestError(problems)
    for problem in problems:
        click.echo(f"skipped: {problem}", err=True)
    if request.dry_run:
        if catalog.weights and urls.is_local(catalog.weights):  # others would be fetched only to be thrown away
            take_weights(family, found, store, tell, write=False)
        show_plan([plan_title(family, one) for one in seen], as_json=False)
        return 1 if problems else 0
    run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:8]}"
    with driver_lease(store, run) as lease:
        weights = take_weights(family, found, store, tell)
        plans = {one.title.id: plan_title(family, one, weights) for one in seen}
        for one in seen:
            copy_inputs(store, one, tell)
        code = _run(request, stop, lease, catalog, store, family, plans, run)
    return max(code, 1) if problems else code


def _load(request: Request) -> tuple[Catalog, list[Problem]]:
    problems: list[Problem] = []
    if request.skip_invalid:
        catalog, problems = load_valid_titles(request.manifest, families=FAMILIES, output=request.output)
    else:
        catalog = load_manifest(request.manifest, families=FAMILIES, output=request.output)
    catalog = select_titles(catalog, request.only)
    return catalog, problems


def _open_output(catalog: Catalog) -> Store:
    """Raises OutputError for a relative folder inside a Ray job: it would vanish with the uploaded working folder."""
    given = catalog.output_given
    local = urls.protocol_of(given) == "file"
    if os.environ.get(IN_JOB) and local and not Path(urls.local_path(given)).expanduser().is_absolute():
        raise OutputError(
            f"output {given!r} is relative, and inside a Ray job the working folder is a temporary copy that is "
            "removed; give --output an absolute path on a shared disk or a URL such as s3://bucket/path"
        )
    return open_store(catalog.output)


def driver_lease(store: Store, run: str) -> AbstractContextManager[Lease | None]:
    """A lease for stores that would let two drivers commit the same GOP; others need none.

    Raises OutputError where the output cannot be written.
    """
    return nullcontext() if store.honours_create() else Lease(store, run)


def _tell(request: Request) -> Any:
    return (lambda text: None) if request.json_log else (lambda text: click.echo(text, err=True))


def _run(
    request: Request,
    stop: Stop,
    lease: Lease | None,
    catalog: Catalog,
    store: Store,
    family: Family,
    plans: dict[str, TitlePlan],
    run: str,
) -> int:
    works = {plan.id: title_work(plan, request.preview) for plan in plans.values()}
    if all(work.gops == plans[name].gops and scan.is_done(store, plans[name]) for name, work in works.items()):
        for name in plans:
            click.echo(f"{name}: done ({store}/{name}/final.mp4)", err=True)
        return 0
    if any(plan.marks.wanted for plan in plans.values()):
        identity()  # a key that cannot sign is found now, not after hours
    executor, limits = _executor(request, catalog, store, family, plans, run)
    marks = Marks(store, run)
    schedule = Schedule(works.values(), limits, marks.take_over())
    stop.hold(lambda: _finish_what_is_in_hand(request, executor))
    try:
        measure, warned = _metrics(request), set[str]()
        with Reporter(schedule, json_log=request.json_log) as reporter, Pages(store, plans, schedule, run) as pages:

            def observe(schedule: Schedule, events: list[Event]) -> None:
                reporter.observe(schedule, events)
                for line in portrait_warnings(store, plans, events):
                    if line not in warned:  # a unit's end may be told twice
                        warned.add(line)
                        reporter.say(line)
                measure(schedule, events)
                pages.observe(schedule, events)

            if family.note:
                reporter.say(family.note)
            for line in prompt_warnings(family, plans.values()):
                reporter.say(line)
            for plan in plans.values():
                if not plan.marks.wanted:
                    reporter.say(f"{plan.id}: {plan.marks.notes()[0]}")
            drive(
                schedule,
                executor,
                lambda name: scan.scan(store, plans[name], works[name].gops),
                stop=lambda: stop.reason() or (lease.lost if lease else None) or _first_failure(request, schedule),
                grace=request.grace,
                mark=marks.note,
                observe=observe,
            )
    finally:
        executor.close()
    if pages.trouble:
        click.echo(f"pages not up to date ({redact(pages.trouble)}); `longtake pages {store}` writes them", err=True)
    marks.clear()
    code = _conclude(schedule, store, plans, works, run)
    return 1 if _first_failure(request, schedule) else code


def _first_failure(request: Request, schedule: Schedule) -> str | None:
    if not request.fail_fast:
        return None
    failed = (name for name, title in schedule.titles.items() if title.failed)
    return next((f"title {name} failed, and --fail-fast was given" for name in failed), None)


def _metrics(request: Request) -> Callable[[Schedule, list[Event]], None]:
    """What keeps the driver's metrics; nobody asks for those of a run in this process."""
    if request.executor == "inline":
        return lambda schedule, events: None
    from pipeline.on_ray.metrics import DriverMetrics

    return DriverMetrics().observe


def _finish_what_is_in_hand(request: Request, executor: Executor) -> None:
    """When the first signal comes. The driver's loop tells workers elsewhere; while one works here it does not turn."""
    if request.executor == "inline":
        executor.drain()
        stop_now_after(request.grace)


def title_work(plan: TitlePlan, preview: float | None = None) -> TitleWork:
    """What the scheduler needs to know of a title."""
    gops = plan.gops if preview is None else timeline.whole_gops(Fraction(preview), plan.frames)
    family = plan.constants
    return TitleWork(
        id=plan.id,
        priority=plan.priority,
        gops=gops,
        blocks=plan.blocks,
        segment=plan.options.segment_frames // timeline.GOP,
        block_of_gop=(family.feature_block, timeline.GOP),
        reach=family.feature_reach,
        last_clips=len(timeline.gop_clips(gops - 1, plan.frames)),
        owner=plan.options.owner,
        share=plan.options.share,
        due=None if plan.options.due is None else on_the_clock(plan.options.due),
    )


def on_the_clock(due: str) -> float:
    """A moment in ISO 8601 on the clock that the driver's loop goes by."""
    return datetime.fromisoformat(due).timestamp() - time.time() + time.monotonic()


def _executor(
    request: Request, catalog: Catalog, store: Store, family: Family, plans: dict[str, TitlePlan], run: str
) -> tuple[Executor, Limits]:
    halves = devices_of(plans.values())
    if request.executor == "inline":
        check_devices(halves, gpus=0)
        from actors.roles import WORKERS
        from pipeline.driver.inline import InlineExecutor

        def make(role: Role) -> Any:
            return WORKERS[role](catalog.output, "cpu", run)

        limits = Limits(upscale=request.upscalers or 1, lanes=request.lanes or family.lanes)
        return InlineExecutor(make, plans, request.lanes), limits
    from pipeline.on_ray import executor as execute

    execute.connect(request.address)
    execute.check_shared(store)
    cpus, gpus = execute.resources()
    growing = bool(request.gpus and request.gpus > gpus)
    check_devices(halves, max(gpus, request.gpus or 0), inf if growing else execute.largest_machine())
    layout = execute.layout(
        cpus,
        max(gpus, request.gpus or 0),
        family,
        request.chains,
        request.upscalers,
        titles=len(plans),
        lanes=request.lanes,
        floor=request.min_upscalers,
        halves=halves,
    )
    layout = replace(layout, growing=growing)
    return execute.RayExecutor(catalog.output, plans, layout, run), layout.limits


def _conclude(
    schedule: Schedule, store: Store, plans: dict[str, TitlePlan], works: dict[str, TitleWork], run: str
) -> int:
    """Say how each title ended, keep it under the run's id, and choose the exit code."""
    ends: dict[str, dict[str, Any]] = {}
    for name, title in schedule.titles.items():
        file = "final.mp4" if works[name].gops == plans[name].gops else "preview.mp4"
        if title.done:
            ends[name] = {"state": "done", "file": f"{name}/{file}", "gops": title.streamed}
            click.echo(f"{name}: done, {store}/{name}/{file}", err=True)
        elif title.failed:
            ends[name] = {"state": "failed", "reason": redact(title.failed), "gops": title.streamed}
            click.echo(f"{name}: failed after {title.streamed} GOPs: {redact(title.failed)}", err=True)
        else:
            reason = title.paused or schedule.stopping or "stopped"
            ends[name] = {"state": "paused", "reason": redact(reason), "gops": title.streamed}
            click.echo(f"{name}: paused at {title.streamed}/{title.work.gops} GOPs ({redact(reason)})", err=True)
    summary = (json.dumps({"run": run, "titles": ends}, indent=1) + "\n").encode()
    try:
        store.put(f"_runs/{run}.json", summary)
        write_report(store, [row_of(plans[name], end, run) for name, end in ends.items()])
    except (StoreError, OutputError) as error:  # how titles ended is known without it
        click.echo(f"the run's summary was not kept: {redact(str(error))}", err=True)
    states = {end["state"] for end in ends.values()}
    if "paused" in states:
        click.echo(AGAIN, err=True)
        return INTERRUPTED
    return 1 if "failed" in states else 0


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
