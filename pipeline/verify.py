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
from pipeline.checks.findings import Findings, Unreadable, read_record
from pipeline.checks.playlists import check_playlists
from pipeline.checks.records import check_chain, check_preparation
from pipeline.checks.stream import check_stream
from pipeline.core.command import run_command
from pipeline.core.printed import printed
from pipeline.intake.target import open_target
from pipeline.store.store import Store
from pipeline.titles.found import Found


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--planes", is_flag=True, help="Decode every picture, not only those at GOP borders.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str, output: str | None, only: tuple[str, ...], planes: bool, as_json: bool) -> None:
    """Check the titles of a manifest, or all that an output folder or URL holds; exit 1 on any fault."""
    opened = open_target(target, output, only)
    titles, count = [], 0
    for found, notes in opened.titles():
        findings = verify_title(opened.store, found, every_picture=planes)
        findings.notes[:0] = notes
        count += findings.count
        if as_json:
            titles.append(findings.as_json())
        else:
            _print(findings)
    if as_json:
        click.echo(json.dumps({"output": str(opened.store), "titles": titles, "faults": count}))
    elif count:
        click.echo(f"{count} fault{'s' if count > 1 else ''} found.")
    sys.exit(1 if count else 0)


def verify_title(store: Store, found: Found, *, every_picture: bool = False) -> Findings:
    """All checks of one title. Memory does not grow with its length, but for its playlists' text."""
    findings = Findings(found)
    if done := found.ledger(store, "done"):
        with suppress(Unreadable):
            findings.done = read_record(findings, done, "done", 0)
    check_preparation(findings, store)
    findings.chained = check_chain(findings, store)
    findings.upscaled = check_stream(findings, store, every_picture=every_picture)
    check_playlists(findings, store, findings.upscaled)
    check_final(findings, store, every_picture=every_picture)
    return findings


def _print(findings: Findings) -> None:
    found = findings.found
    for note in findings.notes:
        click.echo(printed(f"{found.title}: {note}"))
    for fault in findings.faults:
        click.echo(printed(str(fault)))
    if findings.more:
        click.echo(f"{found.title}: {findings.more} more faults")
    if not found.frames:
        click.echo(f"{found.title}: nothing has been rendered")
        return
    kept = f", kept: {printed(str(findings.done.facts.get('kept')))[:40]}" if findings.done else ""
    far = f"{findings.chained} chained, {findings.upscaled} upscaled of {found.gops} GOPs"
    state = f"done{kept}" if findings.done else f"not finished ({far})"
    verdict = f"{findings.count} faults" if findings.count else "no faults"
    looked = f"{findings.objects:,} objects, {findings.bytes:,} bytes and {findings.pictures:,} pictures checked"
    click.echo(f"{found.title}: {found.frames:,} frames, {state}; {looked}: {verdict}")


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
