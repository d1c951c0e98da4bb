"""Marks of what is in hand, so that a unit that takes the driver along with it is known after a restart.

One small object a run, `_runs/<run>.marks`, written before work is handed out and removed when the run ends, however it
ends, unless the driver dies. It is never read as truth of what has been rendered.

A unit that was in hand when a driver died is tried without others on board; one that was in hand twice runs with
nothing else in hand anywhere; the third time that the driver dies while a unit is all that is in hand, its title fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from pipeline.core.errors import LongtakeError, MissingObject
from pipeline.scheduler.choose import Unit
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.work import Job, Kind
from pipeline.store.store import Store

NEXT = -1  # a chain's mark names no GOP: it is the next one, so that a chain writes one mark and not one a GOP
SOLO_AFTER = 2  # drivers that died with a unit in hand before it gets the cluster for itself
_FOLDER, _END = "_runs", ".marks"


@dataclass
class Deaths:
    """Runs whose drivers died with a unit in hand: among others, and with nothing else."""

    among: set[str] = field(default_factory=set)
    alone: set[str] = field(default_factory=set)

    @property
    def solo(self) -> bool:
        return len(self.among | self.alone) >= SOLO_AFTER


@dataclass(frozen=True)
class Mark:
    """Units of one job that were in hand when the driver of `run` died; `first` may be NEXT."""

    run: str
    title: str
    kind: Kind
    first: int
    count: int
    alone: bool


class Suspects:
    """Which units may have taken drivers along. Pure: fed with the marks of former runs."""

    def __init__(self, marks: Iterable[Mark] = (), known: Iterable[tuple[Unit, Deaths]] = ()):
        self._marks = list(marks)
        self.deaths: dict[Unit, Deaths] = {}
        for unit, deaths in known:
            mine = self.deaths.setdefault(unit, Deaths())
            mine.among |= deaths.among
            mine.alone |= deaths.alone

    def look_up(self, title: TitleState) -> Iterator[tuple[Unit, Deaths]]:
        """Suspects of a title, now that it is known what is committed of it; what is committed is beyond suspicion."""
        name = title.work.id
        for mark in [mark for mark in self._marks if mark.title == name]:
            self._marks.remove(mark)
            first = title.chained if mark.first == NEXT else mark.first
            for number in range(first, first + mark.count):
                deaths = self.deaths.setdefault((name, mark.kind, number), Deaths())
                (deaths.alone if mark.alone else deaths.among).add(mark.run)
        for unit in [unit for unit in self.deaths if unit[0] == name]:
            if title.is_committed(unit[1], unit[2]):
                del self.deaths[unit]
            else:
                yield unit, self.deaths[unit]

    @property
    def all_looked_up(self) -> bool:
        return not self._marks

    def forget(self, unit: Unit) -> None:
        self.deaths.pop(unit, None)

    def solo(self) -> list[Unit]:
        """Units that must be tried with nothing else in hand, the most suspect first."""
        if not self.deaths:
            return []
        return sorted((unit for unit, one in self.deaths.items() if one.solo), key=lambda u: -len(self.deaths[u].alone))


class Marks:
    """The marks of this run. A store that fails delays nothing: then a death is not counted."""

    def __init__(self, store: Store, run: str):
        self._store, self._run, self._key = store, run, f"{_FOLDER}/{run}{_END}"
        self._written: frozenset[tuple[str, Kind, int, int]] = frozenset()
        self._exact = False
        self._taken: list[str] = []  # marks of former runs, which go once all their titles have been looked up
        self.suspects = Suspects()

    def take_over(self) -> Suspects:
        """Read what dead drivers left, keep it under this run's name, and remove theirs.

        The marks of a driver that is alive are read too; it does no harm: its units are tried without others on board.
        """
        marks: list[Mark] = []
        known: list[tuple[Unit, Deaths]] = []
        keys: list[str] = []
        with suppress(LongtakeError):
            keys = [key for key in self._store.list(_FOLDER) if key.endswith(_END) and key != self._key]
        for key in keys:
            with suppress(MissingObject, ValueError, KeyError, TypeError, AttributeError):
                facts = json.loads(self._store.get(key))
                run = key.rpartition("/")[2].removesuffix(_END)
                jobs = [tuple(job) for job in facts["in_hand"]]
                alone = bool(facts["exact"]) and len(jobs) == 1 and jobs[0][3] == 1
                marks += [Mark(run, title, kind, first, count, alone) for title, kind, first, count in jobs]
                known += [_read_deaths(one) for one in facts["suspects"]]
        self.suspects, self._taken = Suspects(marks, known), keys
        return self.suspects

    def note(self, jobs: Iterable[Job]) -> None:
        """Before these jobs begin, beside which nothing else is in hand. Writes only where something new is in hand."""
        now = frozenset(
            (job.title, job.kind, NEXT if job.kind == "chain" else job.first, 1 if job.kind == "chain" else job.count)
            for job in jobs
            if job.kind != "playlist"
        )
        exact = any(deaths.solo for deaths in self.suspects.deaths.values())
        if not now or (now <= self._written and not (exact and (now != self._written or not self._exact))):
            return
        suspects = [
            [list(unit), sorted(deaths.among), sorted(deaths.alone)] for unit, deaths in self.suspects.deaths.items()
        ]
        facts = {"in_hand": sorted(now), "exact": exact, "suspects": suspects}
        with suppress(LongtakeError):
            self._store.put(self._key, json.dumps(facts).encode())
            self._written, self._exact = now, exact
            self._drop_former()

    def _drop_former(self) -> None:
        if self.suspects.all_looked_up:
            for key in self._taken:
                self._store.delete(key)
            self._taken = []

    def clear(self) -> None:
        """The run has ended and the driver lives: nothing counts any more."""
        with suppress(LongtakeError):
            self._store.delete(self._key)
            for key in self._taken:
                self._store.delete(key)


def _read_deaths(one: list[Any]) -> tuple[Unit, Deaths]:
    (title, kind, number), among, alone = one
    return (str(title), cast(Kind, kind), int(number)), Deaths(set(among), set(alone))
