"""Which units of work may have taken drivers along, by what dead drivers left (`pipeline.driver.in_flight`).

A unit that was in hand when a driver died is tried without others on board; one that was in hand twice runs with
nothing else in hand anywhere; the third time that the driver dies while a unit is all that is in hand, its title fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.scheduler.ready_jobs import Unit
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.work import Kind

NEXT = -1  # a chain's mark names no GOP: it is the next one, so that a chain writes one mark and not one a GOP
SOLO_AFTER = 2  # drivers that died with a unit in hand before it gets the cluster for itself


@dataclass
class Deaths:
    """Runs whose drivers died with a unit in hand: among others, and with nothing else."""

    among: set[str] = field(default_factory=set)
    alone: set[str] = field(default_factory=set)

    @property
    def solo(self) -> bool:
        return len(self.among | self.alone) >= SOLO_AFTER


@dataclass(frozen=True)
class InterruptedJob:
    """Units of one job that were in hand when the driver of `run` died; `first` may be NEXT."""

    run: str
    title: str
    kind: Kind
    first: int
    count: int
    alone: bool


class Quarantine:
    """Which units may have taken drivers along. Pure: fed with what former runs left."""

    def __init__(self, interrupted: Iterable[InterruptedJob] = (), known: Iterable[tuple[Unit, Deaths]] = ()):
        self._interrupted = list(interrupted)
        self.deaths: dict[Unit, Deaths] = {}
        for unit, deaths in known:
            mine = self.deaths.setdefault(unit, Deaths())
            mine.among |= deaths.among
            mine.alone |= deaths.alone

    def look_up(self, title: TitleState) -> Iterator[tuple[Unit, Deaths]]:
        """Suspects of a title, now that it is known what is committed of it; what is committed is beyond suspicion."""
        name = title.work.id
        for job in [job for job in self._interrupted if job.title == name]:
            self._interrupted.remove(job)
            first = title.chained if job.first == NEXT else job.first
            for number in range(first, first + job.count):
                deaths = self.deaths.setdefault((name, job.kind, number), Deaths())
                (deaths.alone if job.alone else deaths.among).add(job.run)
        for unit in [unit for unit in self.deaths if unit[0] == name]:
            if title.is_committed(unit[1], unit[2]):
                del self.deaths[unit]
            else:
                yield unit, self.deaths[unit]

    @property
    def all_looked_up(self) -> bool:
        return not self._interrupted

    def forget(self, unit: Unit) -> None:
        self.deaths.pop(unit, None)

    def solo(self) -> list[Unit]:
        """Units that must be tried with nothing else in hand, the most suspect first."""
        if not self.deaths:
            return []
        return sorted((unit for unit, one in self.deaths.items() if one.solo), key=lambda u: -len(self.deaths[u].alone))
