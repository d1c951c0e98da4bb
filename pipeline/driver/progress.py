"""What a person sees while a run goes on: a live table on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import sys
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline.core.timeline import GOP
from pipeline.driver.throughput import Throughput
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import Done, Event, Finished, Progress, WorkerLost

LINE_EVERY = 5.0  # seconds between two plain lines of a title
LATE_NEWS = 1000  # units of ended calls that are remembered: more than all workers make between two turns of the loop

_Unit = tuple[str, str, int]


class Told:
    """Which committed units have been told, so that each is told once.

    A unit comes as news while a call runs, and once more when the call ends (`last`). News may also be overtaken by the
    end of its call: so units whose call has ended are remembered for a while. One that is made again after damage is
    told again, when its call ends.
    """

    def __init__(self) -> None:
        self._open: set[_Unit] = set()
        self._ended: OrderedDict[_Unit, None] = OrderedDict()

    def __len__(self) -> int:
        """Units that are told while the call that makes them goes on."""
        return len(self._open)

    def first(self, done: Iterable[Done], *, last: bool) -> Iterator[Done]:
        """Those that have not been told."""
        for item in done:
            unit = (item.title, item.kind, item.unit)
            if last:
                if unit not in self._open:
                    yield item
                self._open.discard(unit)
                self._ended[unit] = None
                if len(self._ended) > LATE_NEWS:
                    self._ended.popitem(last=False)
            elif unit not in self._open and unit not in self._ended:
                yield item
                self._open.add(unit)


class Reporter:
    """Shows a schedule. Use as a context manager; `observe` is called after every turn of the loop."""

    def __init__(self, schedule: Schedule, stream: TextIO | None = None, json_log: bool = False):
        self._schedule = schedule
        stream = stream or sys.stderr
        self._stream, self._json = stream, json_log
        self._started = time.monotonic()
        self._live: Live | None = None
        self._said: dict[str, tuple[float, str]] = {}
        self._throughput = {name: Throughput() for name in schedule.titles}
        self._told = Told()
        self._console = Console(file=stream)

    def __enter__(self) -> Reporter:
        if self._console.is_terminal and not self._json:
            self._live = Live(console=self._console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.observe(self._schedule, [])
        if self._live:
            self._live.stop()

    def observe(self, schedule: Schedule, events: list[Event]) -> None:
        now = time.monotonic()
        for name, title in schedule.titles.items():
            self._throughput[name].mark(now, title.streamed)
        for event in events:
            self._tell_event(event)
        if self._live:
            self._live.update(self._table())
        elif not self._json:
            self._lines(now)

    def say(self, text: str, **facts: object) -> None:
        """One line for the user, whatever the form."""
        if self._json:
            self._write_json("note", text=text, **facts)
        else:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _tell_event(self, event: Event) -> None:
        done: tuple[Done, ...] = ()
        if isinstance(event, Progress):
            done = event.done
        elif isinstance(event, Finished):
            done = tuple(item for outcome in event.outcomes for item in outcome.done)
            for outcome in event.outcomes:
                if outcome.failure and outcome.failure.cause != "stopped":
                    job, failure = outcome.job, outcome.failure
                    self.say(
                        f"{job.title}: {job.kind} {job.first} failed ({failure.cause}): {failure.message}",
                        title=job.title,
                        stage=job.kind,
                        **({"gop": job.first} if job.kind in ("chain", "upscale") else {}),
                        cause=failure.cause,
                    )
        elif isinstance(event, WorkerLost):
            self.say(f"worker {event.worker} lost ({event.failure.cause}): {event.failure.message}")
        if self._json:
            self._tell_done(done, last=isinstance(event, Finished))

    def _tell_done(self, done: tuple[Done, ...], last: bool) -> None:
        for item in self._told.first(done, last=last):
            number = {"gop": item.unit} if item.kind in ("chain", "upscale") else {"unit": item.unit}
            self._write_json("committed", title=item.title, stage=item.kind, **number, seconds=item.seconds)

    def _rows(self) -> list[tuple[str, str, str, str, str, str]]:
        rows = []
        for name, title in self._schedule.titles.items():
            gops = title.work.gops
            state = "done" if title.done else "failed" if title.failed else "paused" if title.paused else ""
            if not state:
                prepared = title.prepared
                state = "publish" if title.streamed == gops else "render" if prepared else "prepare"
            rate = self._throughput[name].rate
            left = (gops - title.streamed) * GOP / rate if rate else None
            rows.append(
                (
                    name,
                    state,
                    f"{title.chained}/{gops}",
                    f"{title.streamed}/{gops}",
                    f"{rate:.1f}" if rate else "-",
                    "-"
                    if left is None or title.over
                    else f"{int(left) // 3600}:{int(left) // 60 % 60:02}:{int(left) % 60:02}",
                )
            )
        return rows

    def _table(self) -> Table:
        table = Table("title", "state", "chain", "upscale", "frames/s", "left", box=None)
        for row in self._rows():
            table.add_row(*row)
        return table

    def _lines(self, now: float) -> None:
        for row in self._rows():
            text = f"{row[0]}: {row[1]}, chained {row[2]}, upscaled {row[3]} GOPs, {row[4]} frames/s, {row[5]} left"
            at, last = self._said.get(row[0], (float("-inf"), ""))
            over = row[1] in ("done", "failed", "paused")
            if text != last and (over or now - at >= LINE_EVERY):
                self._said[row[0]] = now, text
                self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _write_json(self, event: str, **facts: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "event": event, "at": round(time.monotonic() - self._started, 3), **facts}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()
