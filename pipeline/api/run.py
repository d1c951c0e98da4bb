"""A render, from a checked manifest to how its titles ended. Prints nothing and installs no signal handler."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from models.families.protocol import Family
from models.families.registry import FAMILIES
from pipeline.api import events as told
from pipeline.api.cancel import Cancel
from pipeline.api.catalogs import select, usable
from pipeline.api.result import Result
from pipeline.api.telling import Emitter, Telling
from pipeline.core.errors import OutputError, StoreError
from pipeline.core.parallel import parallel_map
from pipeline.core.safe_text import redact
from pipeline.driver.drive import drive
from pipeline.driver.ending import TitleEnd, conclude, file_of
from pipeline.driver.in_flight import InFlight
from pipeline.driver.other_versions import EVERY, by_version
from pipeline.driver.preflight import driver_lease, open_output
from pipeline.driver.record_cache import RecordCache, WithRecords
from pipeline.driver.request import Request
from pipeline.driver.warnings import Warnings
from pipeline.intake.input_repair import InputRepair
from pipeline.intake.survey import copy_inputs, plan_title
from pipeline.intake.title_warnings import prompt_warnings, scene_warnings
from pipeline.intake.weight_intake import find_weights, take_weights
from pipeline.manifest.catalog import Catalog
from pipeline.media import ffmpeg
from pipeline.pages.missing import restore
from pipeline.pages.unlisted import mark_unlisted
from pipeline.pages.writer import Pages
from pipeline.provenance.signing_identity import identity
from pipeline.scheduler.film_events import of_titles
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import Event, Scanned
from pipeline.store.lease import Lease
from pipeline.store.store import Store
from pipeline.titles import scan
from pipeline.titles.earlier import note_plan
from pipeline.titles.scenes import read_scenes
from pipeline.titles.title_folders import note_scenes
from pipeline.titles.title_plan import TitlePlan
from pipeline.titles.title_work import title_work
from pipeline.wiring import executor_of, metrics_of


class Watcher(Protocol):
    def observe(self, schedule: Schedule, events: list[Event]) -> None:
        """Called after every turn of the driver's loop."""


Watch = Callable[[Schedule], AbstractContextManager[Watcher]]


@dataclass(frozen=True)
class _Ends:
    """How titles ended, and what could not be written."""

    titles: list[TitleEnd]
    warnings: tuple[str, ...] = ()
    failed_fast: bool = False


def carry_out(catalog: Catalog, request: Request, emit: Emitter, cancel: Cancel, watch: Watch | None) -> Result:
    ffmpeg.binary()  # a missing program is said before anything is read
    store, family = open_output(catalog), FAMILIES[catalog.family]
    place = {title.id: number for number, title in enumerate(catalog.titles)}
    catalog, skipped = select(catalog, store, request, emit)
    ends = [TitleEnd(name, "done", 0, 0, file=f"{store}/{name}/final.mp4") for name in skipped]
    if not catalog.titles:
        _mark_unlisted(store, catalog, emit)
        return Result(str(store), None, tuple(ends), catalog.problems)
    found = find_weights(family, catalog.weights)
    run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:8]}"
    with driver_lease(store, run) as lease:
        seen, problems = usable(catalog, store, request, emit, found)
        _mark_unlisted(store, catalog, emit)
        copy_inputs(store, seen, emit.note)
        weights = take_weights(family, found, store, emit.note)
        plans = {one.title.id: plan_title(family, one, weights) for one in seen}
        chosen, waiting = by_version(store, plans, request.renew, emit.note)
        ends += _of_other_versions(store, plans, chosen, waiting, emit)
        emit.leave_if_cancelled()
        mender = InputRepair(store, (source for one in seen for source in one.sources), emit.note)
        made = _Ends([])
        if chosen:
            made = _run(request, emit, cancel, watch, lease, catalog, store, family, chosen, run, mender)
    emit.check()
    titles = sorted([*ends, *made.titles], key=lambda end: place[end.id])
    return Result(str(store), run, tuple(titles), tuple(problems), made.warnings, made.failed_fast and not waiting)


def _of_other_versions(
    store: Store, plans: dict[str, TitlePlan], chosen: dict[str, TitlePlan], waiting: list[str], emit: Emitter
) -> Iterator[TitleEnd]:
    """Ends of the titles that stay as other versions left them."""
    for name, plan in plans.items():
        if name in waiting:
            reason = "made by an earlier version, which this one cannot go on with; `renew` renders it anew"
            emit(told.TitlePaused(name, reason, 0, plan.gops, "version"))
            yield TitleEnd(name, "paused", 0, plan.gops, reason=reason, kind="version")
        elif name not in chosen:
            file = f"{store}/{name}/final.mp4"
            emit(told.TitleDone(name, file, "of an earlier version"))
            yield TitleEnd(name, "done", plan.gops, plan.gops, file=file)


def _mark_unlisted(store: Store, catalog: Catalog, emit: Emitter) -> None:
    """A page that cannot be written keeps nothing from being rendered."""
    with suppress(StoreError, OutputError):
        for name in mark_unlisted(store, catalog.named):
            emit(told.TitleUnlisted(name, f"{store}/{name}"))


def _run(
    request: Request,
    emit: Emitter,
    cancel: Cancel,
    watch: Watch | None,
    lease: Lease | None,
    catalog: Catalog,
    store: Store,
    family: Family,
    plans: dict[str, TitlePlan],
    run: str,
    mender: InputRepair,
) -> _Ends:
    works = {plan.id: title_work(plan, request.preview) for plan in plans.values()}
    if all(work.gops == plans[name].gops for name, work in works.items()) and _all_done(store, plans):
        restore(store, plans)
        files = {name: f"{store}/{name}/final.mp4" for name in plans}
        for name, file in files.items():
            emit(told.TitleDone(name, file, "found done"))
        return _Ends([TitleEnd(name, "done", works[name].gops, works[name].gops, file=files[name]) for name in plans])
    if any(plan.marks.wanted for plan in plans.values()):
        identity()  # a key that cannot sign is found now, not after hours
    handed_out = dict(plans)  # and those of scenes, once it is known where they begin
    with _signals_kept():  # Ray has handlers of its own
        workers, limits = executor_of(request, catalog, store, family, handed_out, run)
    recent = RecordCache()
    executor, shown = WithRecords(workers, recent), partial(Pages, recent=recent)
    in_flight = InFlight(store, run)
    schedule = Schedule(works.values(), limits, in_flight.take_over())
    telling = Telling(emit, lambda name: f"{store}/{file_of(plans[name], works[name])}")
    emit.run_begins()
    emit(told.Started(run, tuple(plans)))
    if request.executor == "inline":
        cancel.call(executor.drain)  # the loop, which tells workers elsewhere, does not turn while one works here
    try:
        measure = metrics_of(request)
        with ExitStack() as stack:
            watcher = stack.enter_context(watch(schedule)) if watch else None
            pages = stack.enter_context(shown(store, plans, schedule, run))
            warnings = Warnings(store, plans, emit.note)

            def observe(schedule: Schedule, events: list[Event]) -> None:
                events = of_titles(events, schedule.scenes)
                if watcher:
                    watcher.observe(schedule, events)
                telling.observe(schedule, events)
                warnings.observe(events)
                mender.observe(events)
                measure(schedule, events)
                pages.observe(schedule, events)

            if family.note:
                emit.note(family.note)
            for line in prompt_warnings(family, plans.values()):
                emit.note(line)
            for line in scene_warnings(plans.values()):
                emit.note(line)
            for plan in plans.values():
                if not plan.marks.wanted:
                    emit.note(f"{plan.id}: {plan.marks.notes()[0]}")
            drive(
                schedule,
                executor,
                lambda name: _look_up(request, store, plans[name], works[name].gops, handed_out),
                stop=lambda: cancel.reason or (lease.lost if lease else None) or _first_failure(request, schedule),
                grace=request.grace,
                mark=in_flight.note,
                observe=observe,
            )
            warnings.finish()
    finally:
        executor.close()
    telling.finish(schedule)
    trouble = []
    if pages.trouble:
        trouble.append(f"pages not up to date ({redact(pages.trouble)}); `longtake pages {store}` writes them")
    in_flight.clear()
    titles, unkept = conclude(schedule, store, plans, works, run)
    if unkept:
        trouble.append(f"the run's summary was not kept: {unkept}")
    return _Ends(titles, tuple(trouble), _first_failure(request, schedule) is not None)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Handlers of Ctrl-C and SIGTERM are afterwards those that the caller had."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # else it was not set from Python, and cannot be
                signal.signal(number, handler)


def _all_done(store: Store, plans: dict[str, TitlePlan]) -> bool:
    """Whether nothing is left to do."""
    return all(parallel_map(partial(scan.is_done, store), plans.values()))


def _look_up(request: Request, store: Store, plan: TitlePlan, goal: int, handed_out: dict[str, TitlePlan]) -> Scanned:
    found = scan.scan(store, plan, goal, renew=EVERY in request.renew or plan.id in request.renew)
    if not found.done:
        note_plan(store, plan)
    if found.scenes:
        scenes = read_scenes(store, plan)
        handed_out |= {one.name: one for one in scenes}
        note_scenes(store, plan, scenes)
    return found


def _first_failure(request: Request, schedule: Schedule) -> str | None:
    if not request.fail_fast:
        return None
    failed = (name for name, title in schedule.titles.items() if title.failed)
    return next((f"title {name} failed, and --fail-fast was given" for name in failed), None)
