"""`python -m pipeline.status MANIFEST|OUTPUT`: how far every title is, from records alone. Writes nothing."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline import api
from pipeline.api import Status
from pipeline.core.command import Finite, run_command
from pipeline.core.safe_text import printable
from pipeline.intake.selection import Selection, open_selection

PLAIN_WIDTH = 140  # columns where the output is no terminal
ENDED = ("done", "failed", "damaged")


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch a line every time.")
@click.option("--watch", is_flag=True, help="Show it anew until every title has ended, or Ctrl-C.")
@click.option(
    "--every",
    type=Finite(least=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks of --watch; each reads the records of the titles that are not done.",
)
def command(target: str, output: str | None, only: tuple[str, ...], as_json: bool, watch: bool, every: float) -> None:
    """Print how far the titles of a manifest are, or those that an output folder or URL holds."""
    opened = open_selection(target, output, only, allow_empty=watch)
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(opened, as_json, every)
    else:
        _print(str(opened.store), _look(opened), as_json)


def _look(opened: Selection) -> list[Status]:
    return list(api.status(opened).titles)


def _watch(opened: Selection, as_json: bool, every: float) -> None:
    """One table that changes in its place; where the output is no terminal, each change anew."""
    output, console, before = str(opened.store), _console(), None
    with ExitStack() as stack:
        live = None
        if console.is_terminal and not as_json:
            live = stack.enter_context(Live(console=console, auto_refresh=False))
        while True:
            found = _look(opened)
            if live is not None:
                live.update(_table(found), refresh=True)
            elif found != before:
                _print(output, found, as_json)
            if found and all(one.state in ENDED for one in found):
                return
            before = found
            time.sleep(every)


def _print(output: str, found: list[Status], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"output": output, "titles": [asdict(one) for one in found]}))
    else:
        _print_table(output, found)


def _console() -> Console:
    console = Console(file=sys.stdout)
    return console if console.is_terminal else Console(file=sys.stdout, width=PLAIN_WIDTH)


def _table(found: list[Status]) -> Table:
    table = Table("title", "state", box=None)
    for name in ("frames", "chained", "upscaled", "published"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("final.mp4")
    table.add_column("stream")
    for one in found:
        counts = (f"{count}/{one.gops}" for count in (one.chained, one.upscaled, one.published))
        table.add_row(one.id, one.state, f"{one.frames:,}", *counts, one.file, one.stream)
    return table


def _print_table(output: str, found: list[Status]) -> None:
    if not found:
        click.echo(f"{output} holds no titles.")
        return
    _console().print(_table(found))
    for one in found:
        for note in one.notes:
            click.echo(printable(f"{one.id}: {note}"))


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
