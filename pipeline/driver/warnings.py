"""Warnings that records hold, told while a run goes on: read aside, so that the loop does not wait for a store."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial

from pipeline.core.daemon_pool import DaemonPool
from pipeline.intake.title_warnings import portrait_warnings, prepared
from pipeline.scheduler.work import Event
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

LAST_WORDS = 5.0  # seconds that the end of a run waits for them; the report has them too


class Warnings:
    def __init__(self, store: Store, plans: dict[str, TitlePlan], say: Callable[[str], None]):
        self._store, self._plans, self._say = store, plans, say
        self._aside, self._told = DaemonPool("warnings"), set[str]()
        self._reading: list[Future[list[str]]] = []

    def observe(self, events: list[Event]) -> None:
        titles = prepared(events) - self._told  # a unit's end may be told twice
        self._told |= titles
        for title in sorted(titles):
            self._reading.append(self._aside.submit(partial(self._read, title)))
        for answer in [one for one in self._reading if one.done()]:
            self._reading.remove(answer)
            for line in answer.result():
                self._say(line)

    def finish(self) -> None:
        wait(self._reading, LAST_WORDS)
        self.observe([])
        self._aside.close()

    def _read(self, title: str) -> list[str]:
        return list(portrait_warnings(self._store, self._plans[title]))
