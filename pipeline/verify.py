"""`python -m pipeline.verify MANIFEST|OUTPUT`: is everything there what its records say? Writes nothing.

Checksums of all objects, the links of the chain, what fragments were made of, frame counts, times, lengths of picture
and sound, playlists, and pictures at every GOP border. Exit 1 on any fault. A title that is not finished is no fault.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import click

from pipeline.checks.final import check_final
from pipeline.checks.playlists import check_playlists
from pipeline.checks.records import check_chain, check_preparation
from pipeline.checks.stream import check_stream
from pipeline.checks.title_check import TitleCheck, Unreadable, read_record
from pipeline.core.command import run_command
from pipeline.core.safe_text import printable
from pipeline.intake.selection import open_selection
from pipeline.store.store import Store
from pipeline.titles.title_folders import TitleFolders


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--planes", is_flag=True, help="Decode every picture, not only those at GOP borders.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str, output: str | None, only: tuple[str, ...], planes: bool, as_json: bool) -> None:
    """Check the titles of a manifest, or all that an output folder or URL holds; exit 1 on any fault."""
    opened = open_selection(target, output, only)
    titles, count = [], 0
    for folders, notes in opened.titles():
        check = verify_title(opened.store, folders, every_picture=planes)
        check.notes[:0] = notes
        count += check.count
        if as_json:
            titles.append(check.as_json())
        else:
            _print(check)
    if as_json:
        click.echo(json.dumps({"output": str(opened.store), "titles": titles, "faults": count}))
    elif count:
        click.echo(f"{count} fault{'s' if count > 1 else ''} found.")
    sys.exit(1 if count else 0)


def verify_title(store: Store, folders: TitleFolders, *, every_picture: bool = False) -> TitleCheck:
    """All checks of one title. Memory does not grow with its length, but for its playlists' text."""
    check = TitleCheck(folders)
    if done := folders.ledger(store, "done"):
        with suppress(Unreadable):
            check.done = read_record(check, done, "done", 0)
    check_preparation(check, store)
    check.chained = check_chain(check, store)
    check.upscaled = check_stream(check, store, every_picture=every_picture)
    check_playlists(check, store, check.upscaled)
    check_final(check, store, every_picture=every_picture)
    return check


def _print(check: TitleCheck) -> None:
    folders = check.folders
    for note in check.notes:
        click.echo(printable(f"{folders.title}: {note}"))
    for fault in check.faults:
        click.echo(printable(str(fault)))
    if check.more:
        click.echo(f"{folders.title}: {check.more} more faults")
    if not folders.frames:
        click.echo(f"{folders.title}: nothing has been rendered")
        return
    kept = f", kept: {printable(str(check.done.facts.get('kept')))[:40]}" if check.done else ""
    far = f"{check.chained} chained, {check.upscaled} upscaled of {folders.gops} GOPs"
    state = f"done{kept}" if check.done else f"not finished ({far})"
    verdict = f"{check.count} faults" if check.count else "no faults"
    looked = f"{check.objects:,} objects, {check.bytes:,} bytes and {check.pictures:,} pictures checked"
    click.echo(f"{folders.title}: {folders.frames:,} frames, {state}; {looked}: {verdict}")


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
