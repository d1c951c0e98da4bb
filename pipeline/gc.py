"""`longtake gc MANIFEST|OUTPUT`: remove attempts that no record names, what `keep` lets go, old runs.

Shows what would go; `--delete` removes it. May run beside a render. With a manifest, `keep` is what the manifest says
now; with an output, what each title was finished with. `--abandoned DAYS` removes what other plans of the manifest's
titles left, too: another seed, portrait or codec, of which nothing was written for so many days; and copies of inputs
that no title of the output names, by its inputs or by a plan that it began.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import groupby

import click

from pipeline.checks import garbage, shared
from pipeline.checks.garbage import Garbage
from pipeline.core.command import run_command
from pipeline.core.errors import UserError
from pipeline.core.parallel import parallel_map
from pipeline.intake.selection import Selection, open_selection
from pipeline.store.store import Store
from pipeline.titles import title_folders
from pipeline.titles.title_folders import TitleFolders

TITLES = 4  # that are looked at side by side


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--delete", is_flag=True, help="Remove what is shown.")
@click.option(
    "--abandoned",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Also plans of these titles that the manifest does not name, and inputs that no title names, of so long ago.",
)
@click.option(
    "--delivered",
    multiple=True,
    metavar="ID",
    help="Say that this title's finished file is taken away on purpose: nobody misses it (may be given several times).",
)
@click.option("--list", "each", is_flag=True, help="Print every object, not only sums.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    target: str,
    output: str | None,
    only: tuple[str, ...],
    delete: bool,
    abandoned: float | None,
    delivered: tuple[str, ...],
    each: bool,
    as_json: bool,
) -> None:
    """Show, and with --delete remove, objects that nothing needs: never one that a commit record vouches for."""
    opened = open_selection(target, output, only, allow_empty=True)
    store = opened.store
    if abandoned is not None and opened.catalog is None:
        raise UserError(f"--abandoned {abandoned:g}: give a manifest, which names the plans that are wanted")
    if delivered:
        _deliver(opened, delivered)
        return
    objects: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    # Only a store that is written to is asked for its own time.
    now = garbage.store_now(store) if delete else time.time()

    def remove(one: Garbage) -> Garbage:
        if delete:
            garbage.remove(store, one)
        return one

    for one in parallel_map(remove, collect(opened, now, delete=delete, abandoned=abandoned)):
        objects[one.title, one.why] += 1
        sizes[one.title, one.why] += one.size
        if each and not as_json:
            click.echo(f"{one.key}  {one.size:,} bytes, {one.why}")
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


def _deliver(opened: Selection, titles: tuple[str, ...]) -> None:
    """Note that these titles' files may be gone. Raises UserError for one that is not done."""
    streams = [one for one, _ in opened.titles() if one.title in titles]
    noted = {one.title for one in streams if garbage.delivered(opened.store, one)}
    for title in titles:
        if title not in noted:
            raise UserError(f"--delivered {title}: {opened.store} holds no such finished title")
        click.echo(f"{title}: delivered; final.mp4 may be taken away")


def collect(
    opened: Selection, now: float, *, delete: bool = False, abandoned: float | None = None
) -> Iterator[Garbage]:
    """All garbage of the titles asked for. With `delete`, done records are changed before what they promise goes."""
    store = opened.store
    # With an output, streams of a title come one after the other, and share what they were made of.
    named, going = set[str](), set[str]()

    def titles() -> Iterator[list[TitleFolders]]:
        for _, group in groupby((one for one, _ in opened.titles()), key=lambda one: one.title):
            streams = list(group)
            for one in streams:
                named.update(shared.named_by(one.plan) if one.plan else ())
            yield streams

    for some in parallel_map(partial(_of_title, store, now=now, delete=delete, abandoned=abandoned), titles(), TITLES):
        going.update(one.key for one in some if one.why == garbage.ABANDONED)
        yield from some
    if not opened.only and abandoned is not None:
        yield from shared.unnamed_inputs(store, named, going, now, abandoned)
        yield from shared.old_portraits(store, now, abandoned)
    if not opened.only:
        yield from garbage.halves(store, now)
        yield from garbage.old_runs(store, now)


def _of_title(
    store: Store, streams: list[TitleFolders], *, now: float, delete: bool, abandoned: float | None
) -> list[Garbage]:
    """Garbage of one title, each object once."""
    siblings = title_folders.folders_in_output(store, streams[0].title)
    gone: dict[str, Garbage] = {}
    for one in streams:
        # Without a manifest an unfinished title counts as it lies there; with one, other plans of it are looked at too.
        for mine in siblings if one.plan else (one,):
            gone |= {item.key: item for item in garbage.attempts(store, mine, now)}
        released = {item.key: item for item in garbage.released(store, one, siblings)}
        if delete and released.keys() - gone.keys():
            garbage.let_go(store, one)
        gone = released | gone
        if abandoned is not None:
            gone = {item.key: item for item in garbage.abandoned(store, one, now, abandoned)} | gone
    return list(gone.values())


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
