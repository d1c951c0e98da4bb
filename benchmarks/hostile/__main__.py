"""Run the cases, one process each, and print the table: file, verdict, time, peak memory. Exit 1 on any surprise."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.hostile.corpus import CASES
from benchmarks.hostile.good import GOOD, make_good, preload
from benchmarks.hostile.guard import Result, run


def results_of(only: str = "") -> Iterator[Result]:
    """Run the cases whose group or name holds `only`; a good title comes first, for comparison."""
    preload()
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        good = folder / "good"
        make_good(good)
        chosen = [one for one in CASES if only in one.group or only in one.name]
        for number, one in enumerate([GOOD, *chosen]):
            yield run(one, good, folder / f"case-{number}")


def row(result: Result) -> str:
    said = next((line for line in result.said.splitlines() if line.strip()), "") if result.verdict != "harmless" else ""
    said = said.replace("|", "\\|")
    said = said if len(said) <= 110 else f"{said[:109]}…"
    wrong = "; ".join(" ".join(text.split())[-200:] for text in result.wrong)
    verdict = f"**{result.verdict}: {wrong}**" if result.wrong else result.verdict
    return f"| {result.group} | {result.name} | {verdict} | {result.seconds:.2f} | {result.mebibytes:.0f} | {said} |"


@click.command()
@click.option("--only", default="", help="Groups or cases whose name holds this.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a case.")
def main(only: str, as_json: bool) -> None:
    """Show what becomes of every hostile file: verdict, seconds of processor, peak MiB beyond an idle process."""
    if not as_json:
        click.echo("| kind | file | verdict | CPU s | MiB | first words |\n| --- | --- | --- | ---: | ---: | --- |")
    results = []
    for result in results_of(only):
        results.append(result)
        click.echo(json.dumps(asdict(result)) if as_json else row(result))
    wrong = sum(1 for result in results if result.wrong)
    if not as_json:
        slow, large = max(result.seconds for result in results), max(result.mebibytes for result in results)
        click.echo(
            f"\n{len(results) - 1} hostile files and sets of files, {wrong} with another end than expected; "
            f"the slowest took {slow:.1f} s, the largest {large:.0f} MiB."
        )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
