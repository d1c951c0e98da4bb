"""Keeps the pages up to date while a run goes on, beside it: in a thread of its own, at a modest pace.

The driver hands over what it knows and goes on at once. Views are replaced whole, so a reader never sees half of one,
and a run that dies leaves the last ones. A store that does not answer delays pages, never the run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from pipeline.core.errors import LongtakeError
from pipeline.core.timeline import GOP
from pipeline.driver.record_cache import RecordCache
from pipeline.driver.throughput import Throughput
from pipeline.pages.assets import put_assets
from pipeline.pages.catalog import KEY, Entry, catalog, catalog_name, entry_of
from pipeline.pages.cells import Cells, Stage
from pipeline.pages.facts import facts_of, input_names
from pipeline.pages.html import encode, page, plain
from pipeline.pages.incidents import Incident, Incidents
from pipeline.pages.title_page import AT_ONCE, Views, is_current, page_data, put_page, read_on, views_of
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import Event, Kind, Reason
from pipeline.store.store import Store
from pipeline.titles.title_folders import folders_of_plan, read_json
from pipeline.titles.title_plan import TitlePlan

EVERY = 3.0  # seconds between two looks at the schedule
TITLE_EVERY = 5.0  # seconds between two versions of a title's page
SIGN_OF_LIFE = 20.0  # seconds after which the catalog is written though nothing has changed
SHARE = 0.1  # of the time, at most, that pages are being written
LAST_WORDS = 60.0  # seconds that a run which ends by an error waits for the pages
MOST_AT_ONCE = 50  # title pages between two versions of the catalog


log = logging.getLogger("longtake")


@dataclass(frozen=True)
class _Now:
    """A title at one moment."""

    entry: Entry
    visit: int
    chained: int
    streamed: int
    incidents: tuple[Incident, ...]


class Pages:
    """Use as a context manager around a run; `observe` is called after every turn of the driver's loop."""

    def __init__(
        self,
        store: Store,
        plans: Mapping[str, TitlePlan],
        schedule: Schedule,
        run: str,
        recent: RecordCache | None = None,
    ):
        """`recent`: records that workers have just committed, which need not be read."""
        self._store, self._plans, self._schedule = store, plans, schedule
        self._run: dict[str, object] = {"id": run, "began": round(time.time()), "state": "running"}
        self._incidents = Incidents()
        self._throughput = {name: Throughput() for name in plans}
        self._titles = {name: _TitlePage(store, plan, recent or RecordCache()) for name, plan in plans.items()}
        self._shown: list[Entry] | None = None  # the catalog's entries as they were last written, and when
        self._shown_at = 0.0
        self._next = time.monotonic() + EVERY  # when to look again
        self._news = threading.Condition()
        self._now, self._looks, self._ending = self._look(), 1, False
        self._thread = threading.Thread(target=self._keep_up, args=(self._now,), name="pages", daemon=True)
        self._died: BaseException | None = None
        self.trouble = ""  # what kept pages from being written, if anything did

    def __enter__(self) -> Pages:
        self._thread.start()
        return self

    def observe(self, schedule: Schedule, events: list[Event]) -> None:
        """Takes a moment: what there is to do is done elsewhere."""
        self._incidents.observe(schedule, events, time.time())
        now = time.monotonic()
        for name, title in schedule.titles.items():
            self._throughput[name].mark(now, title.streamed)
        if now >= self._next:
            self._next = now + EVERY
            self._hand_over(self._look())

    def __exit__(self, kind: object, *_: object) -> None:
        """Writes how everything ended and waits for it; after an error what is written stays as it is.

        A run that ends by an error does not wait for ever for a store that does not answer: the thread goes with it.
        """
        self._run |= {"state": "ended", "ended": round(time.time())}
        self._hand_over({} if kind else self._look(), ending=True)
        self._thread.join(LAST_WORDS if kind else None)
        if self._died is not None and not kind:
            raise self._died

    def _look(self) -> dict[str, _Now]:
        at, counts, over = time.time(), self._incidents.counts, self._run["state"] == "ended"
        now = {}
        for name, title in self._schedule.titles.items():
            if over and not title.over:  # what a run leaves undone, another one continues
                title = replace(title, paused=Reason("stopped", name, self._schedule.stopping or "stopped"))
            entry = entry_of(self._plans[name], title, self._throughput[name].rate, counts[name], at)
            now[name] = _Now(entry, title.visit, title.chained, title.streamed, self._incidents.of(name))
        return now

    def _hand_over(self, now: dict[str, _Now], *, ending: bool = False) -> None:
        with self._news:
            self._now, self._looks, self._ending = now, self._looks + 1, ending
            self._news.notify()

    # -- in the thread --------------------------------------------------------------------------------------------

    def _keep_up(self, first: dict[str, _Now]) -> None:
        now, looks, ending = first, 1, False
        try:
            while now:
                began = time.monotonic()
                self._write(now, ending)
                if ending:
                    return
                took = time.monotonic() - began
                with self._news:
                    self._news.wait_for(lambda: self._ending, timeout=took * (1 / SHARE - 1))
                    while self._looks == looks:
                        self._news.wait()
                    now, looks, ending = self._now, self._looks, self._ending
        except BaseException as error:  # noqa: BLE001 - the driver raises it where it waits for this thread
            self._died = error

    def _write(self, now: Mapping[str, _Now], last: bool) -> None:
        try:
            put_assets(self._store)
            self._write_titles(now, last)
            self._write_catalog([self._titles[name].shown(one.entry) for name, one in now.items()], last)
            self.trouble = ""
        except LongtakeError as error:
            self.trouble = str(error)
        except Exception as error:  # a page is not worth a run
            log.exception("pages")
            self.trouble = f"{type(error).__name__}: {error}"

    def _write_titles(self, now: Mapping[str, _Now], last: bool) -> None:
        stale = [one for one in now.values() if self._titles[one.entry.id].is_stale(one, last)]
        # Those that nobody has seen yet first, then those that wait longest.
        stale.sort(key=lambda one: self._titles[one.entry.id].written_at)
        for one in stale if last else stale[:MOST_AT_ONCE]:
            self._titles[one.entry.id].write(one)
            if self._ending and not last:
                return

    def _write_catalog(self, entries: list[Entry], last: bool) -> None:
        moment = time.monotonic()
        facts = [replace(entry, at=0.0) for entry in entries]
        if facts == self._shown and not last and moment - self._shown_at < SIGN_OF_LIFE:
            return
        before = read_json(self._store, KEY)
        data = plain(catalog(catalog_name(self._store), entries, before, self._run, time.time()))
        self._store.put(KEY, encode(data))
        self._store.put("index.html", page("index.html", str(data["name"]), data, ""))
        self._shown, self._shown_at = facts, moment


class _TitlePage:
    """What the writer remembers of one title."""

    def __init__(self, store: Store, plan: TitlePlan, recent: RecordCache):
        self._store, self._plan, self._recent = store, plan, recent
        self._cells: Cells | None = None
        self._views: Views = {}
        self._visit = 0
        self._facts: dict[str, object] | None = None
        self._shown: _Now | None = None
        self._thumb = self._complete = False
        self.written_at = float("-inf")

    def shown(self, entry: Entry) -> Entry:
        """The entry with what is known of the title's files."""
        if not self._thumb and (entry.listed or entry.state == "done"):
            self._thumb = self._store.exists(f"{entry.id}/thumb.jpg")
        return replace(entry, thumb=self._thumb, page=self._shown is not None)

    def is_stale(self, now: _Now, last: bool) -> bool:
        if self._shown is None or last:
            return True
        changed = self._facts_of(now) != self._facts_of(self._shown) or not self._complete
        hurried = now.entry.state != self._shown.entry.state
        return changed and (hurried or time.monotonic() - self.written_at >= TITLE_EVERY)

    @staticmethod
    def _facts_of(now: _Now) -> object:
        return replace(now.entry, at=0.0, rate=0.0, left=None), now.visit, now.streamed

    def _just_made(self, stage: Stage, upto: int) -> dict[int, bytes]:
        """Records of the GOPs that are to be read next, by first frame, as far as they are at hand."""
        assert self._cells is not None
        start = self._cells.read[stage]
        units = range(start, min(upto, start + AT_ONCE))
        kind: Kind = "chain" if stage == "chain" else "upscale"
        return {one.unit * GOP: one.record for one in self._recent.of(self._plan.id, kind, units, self._visit)}

    def write(self, now: _Now) -> None:
        entry = now.entry
        if self._shown is None and entry.over and is_current(self._store, entry, asdict(self._plan.hashes)):
            self._shown, self._complete, self.written_at = now, True, time.monotonic()
            return
        if self._shown is not None and self._complete and self._facts_of(now) == self._facts_of(self._shown):
            return  # it was written as it is now
        if self._facts is None:
            self._facts = facts_of(self._plan, input_names(self._store, entry.id))
        if self._cells is None or self._visit != now.visit:  # what was committed may have been made again
            self._cells, self._visit = Cells(self._plan.gops), now.visit
            self._views = views_of(self._store, folders_of_plan(self._store, self._plan))
        upto: dict[Stage, int] = {"chain": now.chained, "stream": now.streamed}
        for stage, view in self._views.items():
            view.give(self._just_made(stage, upto[stage]))
        self._complete = read_on(self._views, self._cells, upto)
        incidents = [asdict(one) for one in now.incidents]
        data = page_data(self._store, self.shown(replace(entry)), self._facts, self._cells, incidents, time.time())
        put_page(self._store, entry, data)
        self._shown, self.written_at = now, time.monotonic()
        if entry.over and self._complete:
            self._cells, self._views = None, {}
