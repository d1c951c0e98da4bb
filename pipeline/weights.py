"""`longtake weights check URL` and `longtake weights fetch URL --to DIR`: folders of weights before they are used.

Exit codes: 0 complete and right · 2 something needed is missing or wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from models.families.protocol import Family
from models.families.registry import FAMILIES
from models.families.weight_files import WeightFile
from pipeline.core.command import run_command
from pipeline.core.errors import InputError, WeightsError
from pipeline.core.safe_text import printable, redact
from pipeline.intake.weight_fetch import fetch_tree
from pipeline.intake.weight_tree import (
    LARGEST,
    FoundFile,
    FoundTree,
    differs_from_published,
    find_tree,
    inspect,
    reachable,
)
from pipeline.sources.inputs import fetch

PLAIN_WIDTH = 250  # columns where the output is no terminal: no line is broken
State = Literal["right", "wrong", "missing", "not there"]


@dataclass(frozen=True)
class Verdict:
    """What became known of one file; `not there` is said of files that may be left out."""

    file: str
    network: str
    state: State
    needed: bool
    purpose: str
    licence: str
    commercial: str
    size: int = 0
    sha256: str = ""
    published: bool | None = None
    """Whether it is the published file, where that one's sha256 is known."""
    tensors: int = 0
    types: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    problem: str = ""


def check_file(found: FoundFile, family: Family) -> Verdict:
    """Read and compare one file that is there."""
    file = found.file
    with tempfile.TemporaryDirectory(prefix="longtake-weights-") as folder:
        try:
            path, source = fetch(found.url, folder, LARGEST)
            facts = inspect(path, file, family)
        except (WeightsError, InputError) as error:
            return replace(_verdict(file, "wrong", found.name), size=found.size, problem=redact(str(error)))
    known = not differs_from_published(file, source.size, source.sha256) if file.sha256 else None
    right = _verdict(file, "right", found.name)
    return replace(right, size=source.size, sha256=source.sha256, published=known, **facts)


def absent_file(file: WeightFile, found: FoundTree) -> Verdict:
    needed = file in found.lacking
    return _verdict(file, "missing" if needed else "not there", needed=needed)


def _verdict(file: WeightFile, state: State, name: str = "", needed: bool | None = None) -> Verdict:
    return Verdict(
        file=name or file.path,
        network=file.network,
        state=state,
        needed=not file.optional if needed is None else needed,
        purpose=file.purpose,
        licence=file.licence,
        commercial=file.commercial,
    )


@click.group()
def command() -> None:
    """Check and fetch folders of weights."""


def _known(context: click.Context, option: click.Parameter, name: str) -> str:
    known = sorted(name for name, family in FAMILIES.items() if family.tree)
    if name not in known:
        raise click.BadParameter(f"{name!r}: expected {' or '.join(known)}")
    return name


_family = click.option("--family", "name", default="hallo2", show_default=True, metavar="NAME", callback=_known)


@command.command()
@click.argument("url")
@_family
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(url: str, name: str, as_json: bool) -> None:
    """Say of every file at URL (a folder, s3://…, hf://…) whether it is there and right, and who may use it.

    Every file is read whole; remote ones are fetched one after the other and thrown away again.
    """
    family = FAMILIES[name]
    found = find_tree(family, reachable(url))
    there = {one.file: one for one in found.files}
    verdicts = [check_file(there[file], family) if file in there else absent_file(file, found) for file in family.tree]
    fine = all(verdict.state in ("right", "not there") for verdict in verdicts)
    if as_json:
        facts = {"url": redact(url), "family": name, "usable": fine, "files": [asdict(one) for one in verdicts]}
        click.echo(json.dumps(facts, indent=1))
    else:
        _print(verdicts, fine)
    sys.exit(0 if fine else 2)


def _print(verdicts: list[Verdict], fine: bool) -> None:
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=PLAIN_WIDTH)
    table = Table(box=None)
    for column in ("file", "state", "size", "tensors", "commercial use", "licence"):
        table.add_column(column, overflow="fold")
    for one in verdicts:
        unlike = " (not the published file)" if one.published is False else ""
        tensors = f"{one.tensors} {'+'.join(one.types)}" if one.tensors else ""
        size = decimal(one.size) if one.size else ""
        table.add_row(one.file, one.state + unlike, size, tensors, one.commercial, one.licence)
    console.print(table)
    for one in verdicts:
        if one.problem:
            click.echo(f"wrong: {printable(one.problem)}")
        elif one.state == "missing":
            click.echo(f"missing: {one.file} ({one.purpose})")
        elif one.state == "not there":
            click.echo(f"left out: {one.file} ({one.purpose})")
        elif one.unused:
            click.echo(f"never read: {len(one.unused)} tensors of {one.file}, from {one.unused[0]} to {one.unused[-1]}")
    if any(one.commercial == "no" and one.state == "right" for one in verdicts):
        click.echo("Some of these files may not be used commercially; see the table.")
    click.echo("This folder can be used." if fine else "This folder cannot be used.")


@command.command(name="fetch")
@click.argument("url")
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True)
@_family
def fetch_command(url: str, folder: Path, name: str) -> None:
    """Copy the files of a family from URL to a folder, checked; run again to continue after an interruption."""
    family = FAMILIES[name]
    for verdict in fetch_tree(family, reachable(url), folder, lambda text: click.echo(text, err=True)):
        click.echo(verdict)


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
