"""Marks of what is in hand, so that a unit that takes the driver along with it is known after a restart.

One small object a run, `_runs/<run>.marks`, written before work is handed out and removed when the run ends, however it
ends, unless the driver dies. It is never read as truth of what has been rendered.
What follows from the marks of dead drivers: `pipeline.scheduler.quarantine`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypedDict, cast, get_args

from pipeline.core.errors import LongtakeError
from pipeline.scheduler.quarantine import NEXT, Deaths, InterruptedJob, Quarantine
from pipeline.scheduler.ready_jobs import Unit
from pipeline.scheduler.work import Job, Kind
from pipeline.store.small_json import get_json
from pipeline.store.store import Store

_FOLDER, _END = "_runs", ".marks"
PATIENCE = 5.0  # seconds that the end of a run waits for a mark that is being written


_InHand = frozenset[tuple[str, Kind, int, int]]


class _Marks(TypedDict):
    """As `InFlight` writes them; whether they are so is seen as they are read."""

    in_hand: list[list[object]]
    exact: bool
    suspects: list[tuple[list[object], list[str], list[str]]]


class InFlight:
    """The marks of this run. A store that fails delays nothing: then a death is not counted."""

    def __init__(self, store: Store, run: str):
        self._store, self._run, self._key = store, run, f"{_FOLDER}/{run}{_END}"
        self._written: _InHand = frozenset()
        self._exact = False
        self._taken: list[str] = []  # marks of former runs, which go once all their titles have been looked up
        self._writing, self._cleared = threading.Lock(), False
        self.quarantine = Quarantine()

    def take_over(self) -> Quarantine:
        """Read what dead drivers left, keep it under this run's name, and remove theirs.

        The marks of a driver that is alive are read too; it does no harm: its units are tried without others on board.
        """
        marks: list[InterruptedJob] = []
        known: list[tuple[Unit, Deaths]] = []
        keys: list[str] = []
        with suppress(LongtakeError):
            keys = [key for key in self._store.list(_FOLDER) if key.endswith(_END) and key != self._key]
        for key in keys:
            with suppress(LongtakeError, ValueError, LookupError, TypeError, AttributeError):
                mine, deaths = _read_marks(get_json(self._store, key), key.rpartition("/")[2].removesuffix(_END))
                marks += mine
                known += deaths
        self.quarantine, self._taken = Quarantine(marks, known), keys
        return self.quarantine

    def note(self, jobs: Iterable[Job]) -> Callable[[], None] | None:
        """What is to be written before these jobs begin, beside which nothing else is in hand; None if nothing is.

        Deciding takes a moment, writing a round trip to the store or more: it may be done in another thread.
        """
        now = frozenset(
            (job.title, job.kind, NEXT if job.kind == "chain" else job.first, 1 if job.kind == "chain" else job.count)
            for job in jobs
            if job.kind != "playlist"
        )
        exact = any(deaths.solo for deaths in self.quarantine.deaths.values())
        if not now or (now <= self._written and not (exact and (now != self._written or not self._exact))):
            return None
        quarantine = [
            [list(unit), sorted(deaths.among), sorted(deaths.alone)] for unit, deaths in self.quarantine.deaths.items()
        ]
        data = json.dumps({"in_hand": sorted(now), "exact": exact, "suspects": quarantine}).encode()
        former, self._taken = (self._taken, []) if self.quarantine.all_looked_up else ([], self._taken)
        before = self._written, self._exact
        self._written, self._exact = now, exact
        return partial(self._write, data, before, former)

    def _write(self, data: bytes, before: tuple[_InHand, bool], former: list[str]) -> None:
        with self._writing:
            if self._cleared:
                return
            try:
                self._store.put(self._key, data)
            except LongtakeError:
                self._written, self._exact = before  # another mark is tried when something else begins
                self._taken += former
                return
            with suppress(LongtakeError):
                for key in former:
                    self._store.delete(key)

    def clear(self) -> None:
        """The run has ended and the driver lives: nothing counts any more."""
        self._cleared = True
        patient = self._writing.acquire(timeout=PATIENCE)  # what is being written would be there again afterwards
        try:
            with suppress(LongtakeError):
                self._store.delete(self._key)
                for key in self._taken:
                    self._store.delete(key)
        finally:
            if patient:
                self._writing.release()


def _read_marks(facts: _Marks, run: str) -> tuple[list[InterruptedJob], list[tuple[Unit, Deaths]]]:
    """What a driver has left; anything but that raises ValueError, KeyError or TypeError."""
    jobs = [(*_read_unit(job[:3]), _number(job[3])) for job in facts["in_hand"]]
    alone = bool(facts["exact"]) and len(jobs) == 1 and jobs[0][3] == 1
    marks = [InterruptedJob(run, title, kind, first, count, alone) for title, kind, first, count in jobs]
    return marks, [_read_deaths(one) for one in facts["suspects"]]


def _read_deaths(one: tuple[list[object], list[str], list[str]]) -> tuple[Unit, Deaths]:
    unit, among, alone = one
    return _read_unit(unit), Deaths({str(run) for run in among}, {str(run) for run in alone})


def _read_unit(one: list[object]) -> Unit:
    title, kind, number = one
    if not isinstance(title, str) or kind not in get_args(Kind):
        raise ValueError(f"{title!r}, {kind!r}: expected a title and a kind of work")
    return title, cast(Kind, kind), _number(number)


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r}: expected a whole number")
    return value
