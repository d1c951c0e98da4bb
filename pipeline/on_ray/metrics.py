"""Metrics for Prometheus, through Ray's own exporter on every node: what workers do, and how far the driver is.

Labels are few and their values are fixed, so that a catalog of a thousand titles makes no more series than one of one.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util import metrics

from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import ROLES, Event, Finished, Outcome, Role, Work, WorkerLost
from pipeline.scheduler.worker_protocol import WorkerProtocol
from pipeline.titles.title_plan import TitlePlan

EVERY = 2.0  # seconds between two looks of the driver
SECONDS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]  # borders of the histogram

# name → (kind, what it says, labels); Ray puts `ray_` before the name.
METRICS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "longtake_units": ("counter", "Units of work that ended: GOPs, blocks of features, files.", ("stage", "result")),
    "longtake_call_seconds": ("histogram", "Seconds that a call to a worker took.", ("stage",)),
    "longtake_device_bytes": ("gauge", "Most bytes of device memory that a worker has held.", ("role",)),
    "longtake_titles": ("gauge", "Titles of the catalog by state.", ("state",)),
    "longtake_gops_left": ("gauge", "GOPs that a stage has still to make.", ("stage",)),
    "longtake_gops_waiting": ("gauge", "GOPs that are chained and not upscaled yet.", ()),
    "longtake_workers": ("gauge", "Workers by role and state.", ("role", "state")),
    "longtake_failures": ("counter", "Units that failed, by cause.", ("cause",)),
    "longtake_workers_lost": ("counter", "Workers that were lost, by cause.", ("cause",)),
}
STATES = ("waiting", "running", "done", "failed", "paused")

_made: dict[str, object] = {}


def metric(name: str) -> Any:
    """The metric of this process, made when it is first used."""
    if name not in _made:
        kind, text, labels = METRICS[name]
        if kind == "histogram":
            _made[name] = metrics.Histogram(name, text, boundaries=SECONDS, tag_keys=labels)
        else:
            of_kind = metrics.Counter if kind == "counter" else metrics.Gauge
            _made[name] = of_kind(name, text, tag_keys=labels)
    return _made[name]


# -- workers ------------------------------------------------------------------------------------------------------


def measured(role: Role, kind: type[WorkerProtocol[TitlePlan]]) -> type[WorkerProtocol[TitlePlan]]:
    """A class of workers whose calls are counted, in the process where they run."""

    class MeteredWorker(kind):  # type: ignore[misc, valid-type]
        def run(self, work: Work, plans: Mapping[str, TitlePlan]) -> tuple[Outcome, ...]:
            started = time.monotonic()
            outcomes: tuple[Outcome, ...] = super().run(work, plans)
            metric("longtake_call_seconds").observe(time.monotonic() - started, {"stage": work.kind})
            for result, count in results_of(outcomes).items():
                metric("longtake_units").inc(count, {"stage": work.kind, "result": result})
            if (held := device_bytes()) is not None:
                metric("longtake_device_bytes").set(held, {"role": role})
            return outcomes

    MeteredWorker.__name__ = MeteredWorker.__qualname__ = kind.__name__  # as Ray shows it
    return MeteredWorker


def results_of(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Units that were made here, found made by another, or failed."""
    found: Counter[str] = Counter()
    for outcome in outcomes:
        for done in outcome.done:
            found["made" if done.won else "found"] += 1
        if outcome.failure is not None and outcome.failure.cause != "stopped":
            found["failed"] += 1
    return found


def device_bytes() -> int | None:
    """Of this process at most, where a family has brought torch along and there is a device."""
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_reserved() if torch is not None and torch.cuda.is_available() else None


# -- the driver ---------------------------------------------------------------------------------------------------


class DriverMetrics:
    """`observe` is called after every turn of the driver's loop; does nothing where Ray is not there."""

    def __init__(self) -> None:
        self._looked = float("-inf")

    def observe(self, schedule: Schedule, events: list[Event]) -> None:
        if not ray.is_initialized():
            return
        for name, label in troubles(events):
            metric(name).inc(1, {"cause": label})
        now = time.monotonic()
        if now - self._looked >= EVERY or schedule.finished:
            self._looked = now
            for name, labels, value in state_of(schedule):
                metric(name).set(value, labels)


def troubles(events: list[Event]) -> list[tuple[str, str]]:
    """(metric, cause) of everything that went wrong."""
    found: list[tuple[str, str]] = []
    for event in events:
        match event:
            case WorkerLost(_, failure):
                found.append(("longtake_workers_lost", failure.cause))
            case Finished(_, outcomes):
                failures = (outcome.failure for outcome in outcomes if outcome.failure)
                found += [("longtake_failures", failure.cause) for failure in failures if failure.cause != "stopped"]
    return found


def state_of(schedule: Schedule) -> list[tuple[str, dict[str, str], float]]:
    """(metric, labels, value) of all gauges of the driver."""
    titles: Counter[str] = Counter()
    chain = upscale = waiting = 0
    for title in schedule.titles.values():
        ended = "done" if title.done else "failed" if title.failed else "paused" if title.paused else None
        titles[ended or ("running" if title.chained or title.sound else "waiting")] += 1
        if ended is None:
            made = title.streamed + len(title.beyond)
            chain += title.work.gops - title.chained
            upscale += title.work.gops - made
            waiting += max(0, title.chained - made)
    workers: Counter[tuple[str, str]] = Counter()
    for worker in schedule.workers.values():
        workers[worker.role, "starting" if not worker.ready else "busy" if worker.work else "idle"] += 1
    return [
        *(("longtake_titles", {"state": state}, float(titles[state])) for state in STATES),
        ("longtake_gops_left", {"stage": "chain"}, float(chain)),
        ("longtake_gops_left", {"stage": "upscale"}, float(upscale)),
        ("longtake_gops_waiting", {}, float(waiting)),
        *(
            ("longtake_workers", {"role": role, "state": state}, float(workers[role, state]))
            for role in ROLES
            for state in ("starting", "busy", "idle")
        ),
    ]
