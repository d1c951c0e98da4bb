"""Which units of work may have taken drivers along, by the marks that dead drivers left (`pipeline.driver.marks`).

A unit that was in hand when a driver died is tried without others on board; one that was in hand twice runs with
nothing else in hand anywhere; the third time that the driver dies while a unit is all that is in hand, its title fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.scheduler.choose import Unit
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
