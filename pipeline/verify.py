"""`python -m pipeline.verify MANIFEST|OUTPUT`: is everything there what its records say? Writes nothing.

Checksums of all objects, the links of the chain, what fragments were made of, frame counts, times, lengths of picture
and sound, playlists, and pictures at every GOP border. Exit 1 on any fault. A title that is not finished is no fault.
"""

from __future__ import annotations

import json
import sys

import click

from pipeline import api
from pipeline.core.command import run_command
from pipeline.core.safe_text import printable


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--planes", is_flag=True, help="Decode every picture, not only those at GOP borders.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str, output: str | None, only: tuple[str, ...], planes: bool, as_json: bool) -> None:
    """Check the titles of a manifest, or all that an output folder or URL holds; exit 1 on any fault."""
    found = api.verify(target, output=output, only=only, planes=planes, on_title=None if as_json else _print)
    count = found.fault_count
    if as_json:
        titles = [one.as_json() for one in found.titles]
        click.echo(json.dumps({"output": found.output, "titles": titles, "faults": count}))
    elif count:
        click.echo(f"{count} fault{'s' if count > 1 else ''} found.")
    sys.exit(1 if count else 0)


def _print(one: api.VerifiedTitle) -> None:
    for note in one.notes:
        click.echo(printable(f"{one.id}: {note}"))
    for fault in one.faults:
        click.echo(printable(str(fault)))
    if one.more_faults:
        click.echo(f"{one.id}: {one.more_faults} more faults")
    if not one.frames:
        click.echo(f"{one.id}: nothing has been rendered")
        return
    far = f"{one.chained} chained, {one.upscaled} upscaled of {one.gops} GOPs"
    state = f"not finished ({far})" if one.kept is None else f"done, kept: {printable(one.kept)[:40]}"
    verdict = f"{one.fault_count} faults" if one.fault_count else "no faults"
    looked = f"{one.objects:,} objects, {one.bytes:,} bytes and {one.pictures:,} pictures checked"
    click.echo(f"{one.id}: {one.frames:,} frames, {state}; {looked}: {verdict}")


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
