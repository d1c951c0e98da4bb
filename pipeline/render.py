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
from contextlib import suppress
from functools import partial
from typing import Any

import click

from models.families.protocol import Family
from models.families.registry import FAMILIES
from pipeline.core.command import Finite, run_command
from pipeline.core.errors import ManifestError, OutputError, Problem, StoreError
from pipeline.core.parallel import parallel_map
from pipeline.core.safe_text import redact
from pipeline.driver.drive import Executor, drive
from pipeline.driver.ending import conclude
from pipeline.driver.in_flight import InFlight
from pipeline.driver.other_versions import EVERY, by_version
from pipeline.driver.preflight import driver_lease, load_catalog, open_output
from pipeline.driver.progress import Reporter
from pipeline.driver.recent import Handing, Recent
from pipeline.driver.request import Request
from pipeline.driver.stop import AGAIN, INTERRUPTED, Stop, stop_now_after
from pipeline.driver.warnings import Warnings
from pipeline.forecast.plan_table import show_plan
from pipeline.intake.cropping import without_blind_crops
from pipeline.intake.fitting import without_impossible
from pipeline.intake.input_repair import InputRepair
from pipeline.intake.selection import only_failed, without_done
from pipeline.intake.survey import copy_inputs, plan_title, survey
from pipeline.intake.title_inputs import TitleInputs
from pipeline.intake.title_warnings import prompt_warnings
from pipeline.intake.weight_intake import find_weights, take_weights
from pipeline.intake.weight_tree import FoundTree
from pipeline.manifest.catalog import Catalog
from pipeline.media import ffmpeg
from pipeline.pages.missing import restore
from pipeline.pages.unlisted import mark_unlisted
from pipeline.pages.writer import Pages
from pipeline.provenance.signing_identity import identity
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import Event, Scanned
from pipeline.sources import urls
from pipeline.store.lease import Lease
from pipeline.store.store import Store
from pipeline.titles import scan
from pipeline.titles.earlier import note_plan
from pipeline.titles.title_plan import TitlePlan
from pipeline.titles.title_work import title_work
from pipeline.wiring import executor_of, metrics_of

MOST_LANES = 64


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
@click.option("--allow-host", multiple=True, metavar="HOST", help="A private host that a remote manifest may name.")
@click.option("--only", multiple=True, metavar="ID", help="Render this title only (may be given several times).")
@click.option(
    "--preview", type=Finite(least=0), metavar="SECONDS", help="Render the first whole GOPs into preview.mp4."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check all, print the plan, render nothing; a long look at inputs is kept.",
)
@click.option(
    "--accept-crop", is_flag=True, help="Take the middle of portraits that are not square and whose face nothing finds."
)
@click.option("--skip-invalid", is_flag=True, help="Render the titles that are valid; exit 1 if others were not.")
@click.option("--skip-done", is_flag=True, help="Do not open the inputs of titles that are done.")
@click.option("--retry-failed", is_flag=True, help="Render only titles that failed when they were last tried.")
@click.option(
    "--renew",
    multiple=True,
    is_flag=False,
    flag_value=EVERY,
    metavar="[ID]",
    help="Render anew what an earlier version made or what is lost for good: this title (several times), or all.",
)
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
    "--cores", type=click.IntRange(min=1), help="Cores of machines without accelerators that it may come to; likewise."
)
@click.option(
    "--scratch", type=click.IntRange(min=1), metavar="GIB", help="Local disk that those machines say they have, in all."
)
@click.option(
    "--lanes", type=Lanes(), help="Titles in a chain worker's batch, or auto to find out what is best on its device."
)
@click.option("--grace", type=Finite(least=0), default=20.0, show_default=True, metavar="SECONDS")
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
    catalog, problems = load_catalog(request)
    store = open_output(catalog)
    family, tell = FAMILIES[catalog.family], _tell(request)
    for doubt in catalog.doubts:
        tell(f"warning: {doubt}")
    if request.retry_failed:
        catalog = only_failed(catalog, store)
    if request.skip_done:
        catalog, done = without_done(catalog, store)
        for name in done:
            click.echo(f"{name}: done, {store}/{name}/final.mp4", err=True)
    if not catalog.titles:
        _mark_unlisted(store, catalog)
        click.echo("Nothing is left to render.", err=True)
        return 1 if problems else 0
    found = find_weights(family, catalog.weights)
    if request.dry_run:
        inputs = _usable(request, catalog, store, found, problems)
        if catalog.weights and urls.is_local(catalog.weights):  # others would be fetched only to be thrown away
            take_weights(family, found, store, tell, write=False)
        show_plan([plan_title(family, one) for one in inputs], as_json=False)
        return 1 if problems else 0
    run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:8]}"
    with driver_lease(store, run) as lease:
        inputs = _usable(request, catalog, store, found, problems)
        _mark_unlisted(store, catalog)
        copy_inputs(store, inputs, tell)
        weights = take_weights(family, found, store, tell)
        plans = {one.title.id: plan_title(family, one, weights) for one in inputs}
        plans, waiting = by_version(store, plans, request.renew, tell)
        repair = InputRepair(store, (source for one in inputs for source in one.sources), tell)
        code = _run(request, stop, lease, catalog, store, family, plans, run, repair) if plans else 0
    if waiting:
        return INTERRUPTED
    return max(code, 1) if problems else code


def _usable(
    request: Request, catalog: Catalog, store: Store, found: FoundTree | None, problems: list[Problem]
) -> list[TitleInputs]:
    """Titles whose inputs can be rendered; what is wrong with others is added to `problems`. Raises ManifestError."""
    inputs, wrong = survey(catalog, store, _tell(request), keep=True)
    inputs, impossible = without_impossible(catalog, inputs, found)
    problems += [*wrong, *impossible]
    if not request.accept_crop:
        inputs, blind = without_blind_crops(catalog, store, FAMILIES[catalog.family], inputs, found)
        problems += blind
    if problems and not (request.skip_invalid and inputs):
        raise ManifestError(problems)
    for problem in problems:
        click.echo(f"skipped: {problem}", err=True)
    return inputs


def _mark_unlisted(store: Store, catalog: Catalog) -> None:
    """A page that cannot be written keeps nothing from being rendered."""
    with suppress(StoreError, OutputError):
        for name in mark_unlisted(store, catalog.named):
            click.echo(f"{name}: no longer in the manifest; {store}/{name} stays as it is", err=True)


def _tell(request: Request) -> Callable[[str], None]:
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
    repair: InputRepair,
) -> int:
    works = {plan.id: title_work(plan, request.preview) for plan in plans.values()}
    if all(work.gops == plans[name].gops for name, work in works.items()) and _all_done(store, plans):
        restore(store, plans)
        for name in plans:
            click.echo(f"{name}: done ({store}/{name}/final.mp4)", err=True)
        return 0
    if any(plan.marks.wanted for plan in plans.values()):
        identity()  # a key that cannot sign is found now, not after hours
    workers, limits = executor_of(request, catalog, store, family, plans, run)
    recent = Recent()
    executor, shown = Handing(workers, recent), partial(Pages, recent=recent)
    in_flight = InFlight(store, run)
    schedule = Schedule(works.values(), limits, in_flight.take_over())
    stop.hold(lambda: _finish_what_is_in_hand(request, executor))
    try:
        measure = metrics_of(request)
        with (
            Reporter(schedule, json_log=request.json_log) as reporter,
            shown(store, plans, schedule, run) as pages,
        ):
            warnings = Warnings(store, plans, reporter.say)

            def observe(schedule: Schedule, events: list[Event]) -> None:
                reporter.observe(schedule, events)
                warnings.observe(events)
                repair.observe(events)
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
                lambda name: _look_up(request, store, plans[name], works[name].gops),
                stop=lambda: stop.reason() or (lease.lost if lease else None) or _first_failure(request, schedule),
                grace=request.grace,
                mark=in_flight.note,
                observe=observe,
            )
            warnings.finish()
    finally:
        executor.close()
    if pages.trouble:
        click.echo(f"pages not up to date ({redact(pages.trouble)}); `longtake pages {store}` writes them", err=True)
    in_flight.clear()
    code = conclude(schedule, store, plans, works, run)
    return 1 if _first_failure(request, schedule) else code


def _all_done(store: Store, plans: dict[str, TitlePlan]) -> bool:
    """Whether nothing is left to do."""
    return all(parallel_map(partial(scan.is_done, store), plans.values()))


def _look_up(request: Request, store: Store, plan: TitlePlan, goal: int) -> Scanned:
    found = scan.scan(store, plan, goal, renew=EVERY in request.renew or plan.id in request.renew)
    if not found.done:
        note_plan(store, plan)
    return found


def _first_failure(request: Request, schedule: Schedule) -> str | None:
    if not request.fail_fast:
        return None
    failed = (name for name, title in schedule.titles.items() if title.failed)
    return next((f"title {name} failed, and --fail-fast was given" for name in failed), None)


def _finish_what_is_in_hand(request: Request, executor: Executor) -> None:
    """When the first signal comes. The driver's loop tells workers elsewhere; while one works here it does not turn."""
    text = f"Stopping: what is in hand has {request.grace:g} s to end; a second signal stops at once."
    line = json.dumps({"event": "note", "text": text}) if request.json_log else text
    os.write(2, f"{line}\n".encode())  # whoever prints just now may hold the stream's lock
    if request.executor == "inline":
        executor.drain()
        stop_now_after(request.grace)


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
