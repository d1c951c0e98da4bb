"""What went wrong with which unit: deaths, tries, and when it may be tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.scheduler.ready_jobs import Unit

POISON = 3  # deaths while alone after which a unit is given up
LOST = 5  # machines that may vanish under a unit that is alone: more than deaths, for machines vanish by themselves too
PATIENCE = 6  # attempts that may fail on infrastructure before the title pauses
BACKOFF = 1.0  # seconds before the first such retry; doubles


class Retries:
    def __init__(self) -> None:
        self._alone: set[Unit] = set()  # units that were on board when a worker died
        self._deaths: Counter[Unit] = Counter()
        self._lost: Counter[Unit] = Counter()
        self._tries: Counter[Unit] = Counter()
        self._not_before: dict[Unit, float] = {}

    def alone(self, unit: Unit) -> bool:
        """Whether the unit is to be tried without others on board."""
        return unit in self._alone

    def waits(self, unit: Unit, now: float) -> bool:
        """Whether it is too early to try the unit again."""
        return bool(self._not_before) and self._not_before.get(unit, 0.0) > now

    def suspect(self, unit: Unit) -> None:
        """Have a unit tried alone."""
        self._alone.add(unit)

    def died(self, units: Iterable[Unit], was_alone: bool, machine: bool = False) -> list[Unit]:
        """Have all that were on board tried alone; count it if one was. Returns those that are given up.

        `machine`: the whole machine went without notice, which is nobody's fault most of the time.
        """
        units = list(units)
        self._alone.update(units)
        if not was_alone:
            return []
        counts, most = (self._lost, LOST) if machine else (self._deaths, POISON)
        counts.update(units)
        return [unit for unit in units if counts[unit] >= most]

    def retry(self, unit: Unit, now: float) -> float | None:
        """Have a unit wait, twice as long every time; when its time comes, or None where patience is at its end."""
        self._tries[unit] += 1
        self._not_before[unit] = now + BACKOFF * 2 ** (self._tries[unit] - 1)
        return None if self._tries[unit] >= PATIENCE else self._not_before[unit]

    def forget(self, unit: Unit) -> None:
        """The unit is done: what went wrong with it does not count any more."""
        self._alone.discard(unit)
        for counts in (self._deaths, self._lost, self._tries, self._not_before):
            counts.pop(unit, None)
