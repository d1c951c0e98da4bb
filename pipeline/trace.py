"""`python -m pipeline.trace MANIFEST|OUTPUT FILE`: who made what and when, as a timeline for a browser.

Made from commit records alone, so it can be had while a run goes on and long afterwards. The file is in Chrome's trace
format: open it in ui.perfetto.dev or chrome://tracing.
"""

from __future__ import annotations

import json
import sys
from calendar import timegm
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import strptime
from typing import NamedTuple

import click

from pipeline.core.command import run_command
from pipeline.core.errors import UserError
from pipeline.core.timeline import GOP
from pipeline.intake.selection import open_selection
from pipeline.store.record import Record
from pipeline.store.stages import STAGES
from pipeline.store.store import Store
from pipeline.titles.title_folders import TitleFolders

SHOWN = {"stream": "upscale", "done": "finish"}  # stages whose records have another name than their work


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.argument("file")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--run", "run_id", metavar="RUN", help="Work of this run only.")
def command(target: str, file: str, output: str | None, only: tuple[str, ...], run_id: str | None) -> None:
    """Write a timeline of the work behind MANIFEST or OUTPUT to FILE (Chrome trace)."""
    opened = open_selection(target, output, only)
    bars = [
        bar
        for record in records_of(opened.store, (one for one, _ in opened.titles()))
        if run_id in (None, record.made.get("run")) and (bar := _bar(record)) is not None
    ]
    if not bars:
        raise UserError(f"{opened.store}: no records of work" + (f" of run {run_id}" if run_id else "") + " to show")
    try:
        with Path(file).open("w") as target_file:
            target_file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')
            for number, event in enumerate(events_of(bars)):
                target_file.write((",\n" if number else "") + json.dumps(event))
            target_file.write("\n]}\n")
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; choose a file in a folder that you may write to") from error
    click.echo(f"{len(bars)} pieces of work in {file}; open it in ui.perfetto.dev", err=True)


class Bar(NamedTuple):
    """What is shown of a record: all that is kept of it, since a title of ten hours has forty thousand."""

    start: float
    seconds: float
    title: str
    stage: str
    first: int
    frames: int
    generation: int
    run: str | None
    host: str
    pid: int


def records_of(store: Store, titles: Iterable[TitleFolders]) -> Iterator[Record]:
    """All records that count and can be read, one stage after the other; those that titles share once."""
    seen: set[str] = set()
    for title in titles:
        for part in dict.fromkeys((title, *title.scenes)):
            for stage in STAGES:
                view = part.view(store, stage)
                if view is not None and view.prefix not in seen:
                    seen.add(view.prefix)
                    yield from view.records(skip=lambda first, error: None)


def _bar(record: Record) -> Bar | None:
    end, seconds, run = _ended(record), record.made.get("seconds"), record.made.get("run")
    if end is None or not isinstance(seconds, int | float):
        return None
    return Bar(
        end - seconds,
        float(seconds),
        sys.intern(record.title),
        SHOWN.get(record.stage, record.stage),
        record.first,
        record.frames,
        record.generation,
        None if run is None else sys.intern(str(run)),
        sys.intern(str(record.made.get("host"))),
        int(record.made.get("pid") or 0),
    )


def events_of(bars: list[Bar]) -> Iterator[dict[str, object]]:
    """Trace events: a process for every host, a thread for every worker on it, a bar for every record."""
    bars.sort(key=lambda bar: bar.start)
    origin = bars[0].start
    hosts: dict[str, int] = {}
    workers: dict[tuple[str, int, str], int] = {}  # host, process, title of a lane → line
    for bar in bars:
        process = hosts.setdefault(bar.host, len(hosts) + 1)
        # Lanes of a chain worker overlap: each title has a line of its own.
        worker = bar.host, bar.pid, bar.title if bar.stage == "chain" else ""
        gop = bar.first // GOP
        yield {
            "name": f"{bar.title} {bar.stage} {gop}",
            "cat": bar.stage,
            "ph": "X",
            "ts": round((bar.start - origin) * 1e6),
            "dur": round(bar.seconds * 1e6),
            "pid": process,
            "tid": workers.setdefault(worker, len(workers) + 1),
            "args": {
                "title": bar.title, "gop": gop, "frames": bar.frames, "run": bar.run, "generation": bar.generation,
            },
        }  # fmt: skip
    for host, number in hosts.items():
        yield _name("process_name", number, 0, host)
    for (host, pid, title), line in workers.items():
        yield _name("thread_name", hosts[host], line, f"worker {pid} {title}".strip())


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, object]:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}


def _ended(record: Record) -> float | None:
    """When the unit was made, in seconds of the epoch; records of former versions say whole seconds only."""
    ended = record.made.get("ended")
    if isinstance(ended, int | float):
        return float(ended)
    try:
        return float(timegm(strptime(str(record.made.get("at")), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
