"""The Ray executor: workers as actors, commands as calls.

Nothing of value lives in Ray: calls carry plans and return a few facts, retries are the scheduler's. Actors are not
detached, so they die with the driver; one that outlives it for a moment does no harm, because commits are create-only.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from pipeline.driver.allocation import Allocation
from pipeline.on_ray.connection import SCRATCH, resources
from pipeline.on_ray.deaths import failure_of, machine_died, ray_answers
from pipeline.on_ray.drain import Drains
from pipeline.on_ray.heartbeats import Listening, allowed
from pipeline.on_ray.metrics import measured
from pipeline.on_ray.placement import placement_options
from pipeline.on_ray.prewarm import Prewarm, ahead
from pipeline.scheduler.work import (
    Assign,
    Command,
    Event,
    Failure,
    Finished,
    Launch,
    Progress,
    Retire,
    Role,
    Work,
    WorkerLeaving,
    WorkerLost,
    WorkerReady,
)
from pipeline.scheduler.worker_protocol import WorkerProtocol
from pipeline.titles.title_plan import TitlePlan

NEWS_EVERY = 1.0  # seconds between two looks at a busy worker
PLACED_WITHIN = float(os.environ.get("LONGTAKE_PLACED_SECONDS", "3600"))  # where nobody else of its role is there

log = logging.getLogger("longtake")


@dataclass
class _Actor:
    """`heard`: last sign of life in time listened, None while the worker has never answered: it waits for its place.
    `since`: when what it does began; it may have been idle before, which is no silence."""

    handle: Any
    role: Role
    work: Work | None = None
    ready: bool = False
    heard: float | None = None
    since: float = 0.0
    asked: float = 0.0
    launched: float = field(default_factory=time.monotonic)

    @property
    def doing(self) -> str:
        return self.work.kind if self.work else "" if self.ready else "ready"


class RayExecutor:
    def __init__(
        self,
        output: str,
        plans: dict[str, TitlePlan],
        allocation: Allocation,
        run: str,
        workers: Mapping[Role, type[WorkerProtocol[TitlePlan]]],
    ):
        """`workers`: the class that works in each role."""
        self._output, self._plans, self._allocation, self._run = output, plans, allocation, run
        self._classes = {role: measured(role, kind) for role, kind in workers.items()}
        self._actors: dict[str, _Actor] = {}
        self._drains, self._listening = Drains(), Listening()
        self.silences: dict[str, float] = {}  # longest so far, by what the worker did
        self._prewarm = Prewarm(_ahead(allocation))
        self._calls: dict[object, tuple[str, str]] = {}  # pending call → (worker, ready | run | news)

    def do(self, command: Command) -> None:
        match command:
            case Launch(name, role):
                share = self._allocation.shares[role]
                device = "cuda" if share.gpus else "cpu"
                # No restarts: a worker that died is the scheduler's affair. `control` answers while `run` is running.
                options: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": 0}
                if share.scratch:
                    options["resources"] = {SCRATCH: share.scratch}
                options |= {"max_task_retries": 0, "concurrency_groups": {"control": 1}} | placement_options(role)
                handle = ray.remote(**options)(self._classes[role]).remote(self._output, device, self._run)
                self._actors[name] = actor = _Actor(handle, role)
                sample = next(iter(self._plans.values()))
                self._calls[actor.handle.ready.remote(sample, self._allocation.lanes)] = (name, "ready")
            case Retire(name):
                self._end(name)
            case Assign(name, work):
                actor = self._actors[name]
                actor.work, actor.heard, actor.since = work, self._listening.now, self._listening.now
                plans = {job.title: self._plans[job.title] for job in work.jobs}
                self._calls[actor.handle.run.remote(work, plans)] = (name, "run")

    def events(self, timeout: float) -> list[Event]:
        self._prewarm.turn()
        self._listening.turn()
        self._ask_for_news()
        leaving = self._find_leaving()
        if not self._calls:
            time.sleep(0 if leaving else timeout)
            return leaving
        with ray_answers():
            ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=timeout)
            if ready:  # take all that is there, not only the first
                ready, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        self._listening.turn()
        events = leaving
        for reference in ready:
            # A worker that dies fails all its calls at once; the first of them has taken the others away.
            name, kind = self._calls.pop(reference, ("", ""))
            if name in self._actors:
                events += self._answer(name, kind, reference)
        return events + self._find_stuck()

    def drain(self) -> None:
        for actor in self._actors.values():
            actor.handle.stop.options(concurrency_group="control").remote()

    def close(self) -> None:
        self._prewarm.clear()
        for name in list(self._actors):
            self._end(name)

    def _answer(self, name: str, kind: str, reference: ray.ObjectRef[Any]) -> list[Event]:
        actor = self._actors[name]
        try:
            answer = ray.get(reference)
        except RayError as error:
            gone = isinstance(error, ActorDiedError) and machine_died(actor.handle)
            self._end(name)
            return [WorkerLost(name, failure_of(error, announced=self._drains.announced(name), machine_gone=gone))]
        match kind:
            case "ready":
                actor.ready = True
                if self._allocation.shares["chain"].gpus and name.startswith("chain"):
                    self._prewarm.clear()  # the machines are there, and workers ask for themselves
                return [WorkerReady(name, answer)]
            case "run":
                actor.work = None
                return [Finished(name, answer)]
        silent, news = answer
        actor.since = actor.since or self._listening.now
        actor.heard = max(actor.since, self._listening.now - silent)
        if actor.doing:
            self.silences[actor.doing] = max(self.silences.get(actor.doing, 0.0), self._listening.now - actor.heard)
        return [Progress(news)] if news else []

    def _ask_for_news(self) -> None:
        now = time.monotonic()
        waiting = {name for name, kind in self._calls.values() if kind == "news"}
        for name, actor in self._actors.items():
            if actor.doing and name not in waiting and now - actor.asked >= NEWS_EVERY:
                actor.asked = now
                self._calls[actor.handle.news.options(concurrency_group="control").remote()] = (name, "news")

    def _find_leaving(self) -> list[Event]:
        """Workers whose machines are announced to go: the GOP in hand may end, and they get no more."""
        events: list[Event] = []
        for name in self._drains.newly_leaving({name: actor.handle for name, actor in self._actors.items()}):
            self._actors[name].handle.stop.options(concurrency_group="control").remote()
            events.append(WorkerLeaving(name))
        return events

    def _find_stuck(self) -> list[Event]:
        events: list[Event] = []
        for name, actor in list(self._actors.items()):
            if actor.heard is None and (failure := self._waits_in_vain(actor)):
                self._end(name)
                events.append(WorkerLost(name, failure))
            if not actor.doing or actor.heard is None:
                continue
            most = allowed(actor.doing)
            if self._listening.now - actor.heard > most:
                self._end(name)
                what = "starting" if actor.doing == "ready" else actor.doing
                events.append(WorkerLost(name, Failure("crash", f"no sign of life for {most:.0f} s ({what})")))
        return events

    def _waits_in_vain(self, actor: _Actor) -> Failure | None:
        """Of a worker that no machine has taken yet."""
        # A cluster that grows takes its time, and others of the role may do the work meanwhile.
        others = any(one.ready for one in self._actors.values() if one.role == actor.role)
        if others or time.monotonic() - actor.launched <= PLACED_WITHIN:
            return None
        share = self._allocation.shares[actor.role]
        return Failure(
            "lost",
            f"no machine took it within {PLACED_WITHIN:.0f} s; it asks for {share.cpus:g} cores, {share.gpus:g} "
            f"accelerators and {share.scratch} GiB of local disk ({SCRATCH})",
        )

    def _end(self, name: str) -> None:
        actor = self._actors.pop(name, None)
        if actor is not None:
            ray.kill(actor.handle)
        self._calls = {call: place for call, place in self._calls.items() if place[0] != name}


def _ahead(allocation: Allocation) -> list[dict[str, float]]:
    """Machines to ask for before there is work for them, where the layout counts on more than there are."""
    chain, upscale = allocation.shares["chain"], allocation.shares["upscale"]
    if not allocation.growing:
        return []
    limits = allocation.limits
    places = {"chain": {"CPU": chain.cpus, "GPU": chain.gpus}, "upscale": {"CPU": upscale.cpus, "GPU": upscale.gpus}}
    return ahead(limits.chain, max(1, limits.upscale_floor), **places, have=resources()[1])
