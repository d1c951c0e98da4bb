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
from typing import Any

import click

from pipeline.core.command import run_command
from pipeline.core.errors import StoreError, UserError
from pipeline.core.timeline import GOP
from pipeline.intake.target import open_target
from pipeline.store.record import Record
from pipeline.store.stages import STAGES
from pipeline.store.store import Store
from pipeline.titles.found import Found

SHOWN = {"stream": "upscale", "done": "finish"}  # stages whose records have another name than their work


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT")
@click.argument("file")
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--run", "run_id", metavar="RUN", help="Work of this run only.")
def command(target: str, file: str, output: str | None, only: tuple[str, ...], run_id: str | None) -> None:
    """Write a timeline of the work behind MANIFEST or OUTPUT to FILE (Chrome trace)."""
    opened = open_target(target, output, only)
    records = list(records_of(opened.store, (one for one, _ in opened.titles())))
    if run_id is not None:
        records = [record for record in records if record.made.get("run") == run_id]
    if not records:
        raise UserError(f"{opened.store}: no records of work" + (f" of run {run_id}" if run_id else "") + " to show")
    try:
        Path(file).write_text(json.dumps({"traceEvents": events_of(records), "displayTimeUnit": "ms"}))
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; choose a file in a folder that you may write to") from error
    click.echo(f"{len(records)} pieces of work in {file}; open it in ui.perfetto.dev", err=True)


def records_of(store: Store, titles: Iterable[Found]) -> Iterator[Record]:
    """All records that count and can be read."""
    for title in titles:
        for stage in STAGES:
            ledger = title.ledger(store, stage)
            for first in ledger.hinted() if ledger else ():
                try:
                    record = ledger.read(first) if ledger else None
                except StoreError:
                    continue
                if record is not None:
                    yield record


def events_of(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Trace events: a process for every host, a thread for every worker on it, a bar for every record."""
    bars: list[tuple[float, float, Record, str]] = []
    for record in records:
        end, seconds = _ended(record), record.made.get("seconds")
        if end is not None and isinstance(seconds, int | float):
            bars.append((end - seconds, float(seconds), record, SHOWN.get(record.stage, record.stage)))
    if not bars:
        return []
    origin = min(start for start, *_ in bars)
    hosts: dict[str, int] = {}
    workers: dict[tuple[str, int, int], str] = {}
    events: list[dict[str, Any]] = []
    for start, seconds, record, stage in sorted(bars, key=lambda bar: bar[0]):
        host, pid = str(record.made.get("host")), int(record.made.get("pid") or 0)
        process = hosts.setdefault(host, len(hosts) + 1)
        # Lanes of a chain worker overlap: each title has a line of its own.
        lane = _lane(workers, (host, pid), record.title if stage == "chain" else "")
        events.append(
            {
                "name": f"{record.title} {stage} {record.first // GOP}",
                "cat": stage,
                "ph": "X",
                "ts": round((start - origin) * 1e6),
                "dur": round(seconds * 1e6),
                "pid": process,
                "tid": lane,
                "args": {
                    "title": record.title,
                    "gop": record.first // GOP,
                    "frames": record.frames,
                    "run": record.made.get("run"),
                    "generation": record.generation,
                },
            }
        )
    names = [_name("process_name", number, 0, host) for host, number in hosts.items()]
    names += [
        _name("thread_name", hosts[host], lane, f"worker {pid} {title}".strip())
        for (host, pid, lane), title in workers.items()
    ]
    return names + events


def _lane(workers: dict[tuple[str, int, int], str], worker: tuple[str, int], title: str) -> int:
    """Number of the line of a worker, or of a title on it."""
    for (host, pid, lane), shown in workers.items():
        if (host, pid) == worker and shown == title:
            return lane
    lane = len(workers) + 1
    workers[*worker, lane] = title
    return lane


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
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
