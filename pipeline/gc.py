"""`longtake gc MANIFEST|OUTPUT`: remove attempts that no record names and what `keep` lets go.

Shows what would go; `--delete` removes it. May run beside a render. With a manifest, `keep` is what the manifest says
now; with an output, what each title was finished with.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator

import click

from pipeline.checks import garbage
from pipeline.checks.garbage import Garbage
from pipeline.core.command import run_command
from pipeline.intake.target import Target, open_target
from pipeline.titles import found


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--delete", is_flag=True, help="Remove what is shown.")
@click.option("--list", "each", is_flag=True, help="Print every object, not only sums.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str, output: str | None, only: tuple[str, ...], delete: bool, each: bool, as_json: bool) -> None:
    """Show, and with --delete remove, objects that nothing needs: never one that a commit record vouches for."""
    opened = open_target(target, output, only)
    store = opened.store
    objects: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    # Only a store that is written to is asked for its own time.
    for one in collect(opened, garbage.store_now(store) if delete else time.time(), delete=delete):
        objects[one.title, one.why] += 1
        sizes[one.title, one.why] += one.size
        if each and not as_json:
            click.echo(f"{one.key}  {one.size:,} bytes, {one.why}")
        if delete:
            garbage.remove(store, one)
    if as_json:
        rows = [
            {"title": title, "why": why, "objects": count, "bytes": sizes[title, why]}
            for (title, why), count in objects.items()
        ]
        click.echo(json.dumps({"output": str(store), "removed": delete, "garbage": rows}))
        return
    for (title, why), count in objects.items():
        click.echo(f"{title or 'output'}: {count:,} objects, {sizes[title, why]:,} bytes: {why}")
    total = f"{sum(objects.values()):,} objects, {sum(sizes.values()):,} bytes"
    if not objects:
        click.echo("Nothing to remove.")
    elif delete:
        click.echo(f"{total} removed.")
    else:
        click.echo(f"{total} could be removed; nothing was. Add --delete to remove them.")


def collect(opened: Target, now: float, *, delete: bool = False) -> Iterator[Garbage]:
    """All garbage of the titles asked for. With `delete`, done records are changed before what they promise goes."""
    store = opened.store
    seen: set[str] = set()  # prefixes that streams of a title share are looked at once
    for one, _ in opened.titles():
        siblings = found.in_output(store, one.title)
        # Without a manifest an unfinished title counts as it lies there; with one, other plans of it are looked at too.
        for mine in siblings if one.plan else (one,):
            yield from _new(garbage.attempts(store, mine, now), seen)
        gone = list(_new(garbage.released(store, one, siblings), seen))
        if gone and delete:
            garbage.let_go(store, one)
        yield from gone
    if not opened.only:
        yield from garbage.halves(store, now)


def _new(some: Iterator[Garbage], seen: set[str]) -> Iterator[Garbage]:
    for one in some:
        if one.key not in seen:
            seen.add(one.key)
            yield one


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
