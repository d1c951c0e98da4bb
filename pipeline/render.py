"""`python -m pipeline.render MANIFEST`: render a catalog, or continue where its records end.

Exit codes: 0 all titles done · 1 some title failed · 2 bad manifest or input, nothing rendered · 75 interrupted or
paused, run again to continue.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypedDict, Unpack

import click

from pipeline import api
from pipeline.core.command import Finite, run_command
from pipeline.driver.preflight import open_output
from pipeline.driver.progress import Reporter
from pipeline.driver.stop import AGAIN, INTERRUPTED, Stop, stop_now_after
from pipeline.forecast.plan_table import show_plan
from pipeline.media import ffmpeg
from pipeline.scheduler.schedule import Schedule

MOST_LANES = 64
NOTHING = "Nothing is left to render."


class Wanted(TypedDict):
    """Options of the command that `api.render` takes as they are."""

    preview: float | None
    accept_crop: bool
    skip_invalid: bool
    skip_done: bool
    retry_failed: bool
    renew: tuple[str, ...]
    fail_fast: bool
    executor: Literal["ray", "inline"]
    address: str | None
    chains: int | None
    upscalers: int | None
    min_upscalers: int
    gpus: int | None
    cores: int | None
    scratch: int | None
    lanes: int | None
    grace: float


class Lanes(click.ParamType):
    """A number of lanes; `auto` becomes 0."""

    name = "N|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "auto":
            return 0
        number = str(value)
        if not number.isdecimal() or not 1 <= int(number) <= MOST_LANES:
            self.fail(f"{value!r}: expected a number from 1 to {MOST_LANES}, or auto")
        return int(number)


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
    flag_value=api.EVERY,
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
def command(
    manifest: str,
    output: str | None,
    allow_host: tuple[str, ...],
    only: tuple[str, ...],
    dry_run: bool,
    json_log: bool,
    **options: Unpack[Wanted],
) -> None:
    """Render every title of MANIFEST; run it again to continue after any interruption."""
    with Stop() as stop:
        screen = Screen(stop, json_log, options["grace"], options["executor"] == "inline")
        try:
            ffmpeg.binary()  # a missing program is said before anything is read
            skip = options["skip_invalid"]
            catalog = api.load(manifest, output=output, only=only, allow_hosts=allow_host, skip_invalid=skip)
            for warning in catalog.warnings:
                screen.tell(f"warning: {warning}")
            code = _dry_run(catalog, screen, options) if dry_run else _render(catalog, screen, options)
        except BaseException as error:
            if not (stop.interrupted or isinstance(error, KeyboardInterrupt)):
                raise
            click.echo(f"Interrupted before rendering began. {AGAIN}", err=True)
            code = INTERRUPTED
    sys.exit(code)


def _render(catalog: api.Catalog, screen: Screen, options: Wanted) -> int:
    result = api.render(catalog, on_event=screen.hear, cancel=screen.cancel, watch=screen.watch, **options)
    screen.conclude(result)
    return result.exit_code


def _dry_run(catalog: api.Catalog, screen: Screen, options: Wanted) -> int:
    open_output(catalog)
    found = api.plan(
        catalog,
        accept_crop=options["accept_crop"],
        skip_invalid=options["skip_invalid"],
        skip_done=options["skip_done"],
        retry_failed=options["retry_failed"],
        check_weights=True,
        on_event=screen.hear,
    )
    if found.titles:
        show_plan(found.titles, as_json=False)
    else:
        click.echo(NOTHING, err=True)
    return 1 if found.problems else 0


class Screen:
    """What a person, or with `json_log` a program, sees of a render; and what signals do to it."""

    def __init__(self, stop: Stop, json_log: bool, grace: float, inline: bool):
        self.cancel = api.Cancel()
        self._stop, self._json, self._grace, self._inline = stop, json_log, grace, inline
        self._reporter: Reporter | None = None
        self._made: tuple[str, ...] = ()  # titles that this run is to make

    @contextmanager
    def watch(self, schedule: Schedule) -> Iterator[Reporter]:
        with Reporter(schedule, json_log=self._json) as self._reporter:
            yield self._reporter
        self._reporter = None

    def hear(self, event: api.Event) -> None:
        match event:
            case api.Started(_, titles):
                self._made = titles
                self._stop.hold(self._first_signal)
            case api.Note(text):
                self.tell(text)
            case api.TitleSkipped(problem):
                click.echo(f"skipped: {problem}", err=True)
            case api.TitleUnlisted(name, place):
                click.echo(f"{name}: no longer in the manifest; {place} stays as it is", err=True)
            case api.TitleDone(name, file, "not opened"):
                click.echo(f"{name}: done, {file}", err=True)
            case api.TitleDone(name, file, "found done"):
                click.echo(f"{name}: done ({file})", err=True)

    def tell(self, text: str) -> None:
        if self._reporter:
            self._reporter.say(text)
        elif not self._json:
            click.echo(text, err=True)

    def conclude(self, result: api.Result) -> None:
        if result.run is None:
            click.echo(NOTHING, err=True)
        for warning in result.warnings:
            click.echo(warning, err=True)
        made = [title for title in result.titles if title.id in self._made]
        for title in made:
            if title.state == "done":
                click.echo(f"{title.id}: done, {title.file}", err=True)
            elif title.state == "failed":
                click.echo(f"{title.id}: failed after {title.done} GOPs: {title.reason}", err=True)
            else:
                click.echo(f"{title.id}: paused at {title.done}/{title.gops} GOPs ({title.reason})", err=True)
        if any(title.state == "paused" for title in made):
            click.echo(AGAIN, err=True)

    def _first_signal(self) -> None:
        text = f"Stopping: what is in hand has {self._grace:g} s to end; a second signal stops at once."
        line = json.dumps({"event": "note", "text": text}) if self._json else text
        os.write(2, f"{line}\n".encode())  # whoever prints just now may hold the stream's lock
        self.cancel.set(self._stop.reason() or "stopped")
        if self._inline:
            stop_now_after(self._grace)


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
