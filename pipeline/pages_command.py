"""`longtake pages MANIFEST|OUTPUT`: write the pages of titles that no run is working on, from records and reports."""

from __future__ import annotations

import sys

import click

from pipeline.core.command import run_command
from pipeline.intake.selection import open_selection
from pipeline.pages.from_records import write_pages


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
def command(target: str, output: str | None, only: tuple[str, ...]) -> None:
    """Write index.html and every title's report.html anew. `render` does so by itself."""
    opened = open_selection(target, output, only, allow_empty=True)
    count = write_pages(opened.store, opened.titles())
    click.echo(f"{count} titles, {opened.store}/index.html")


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
