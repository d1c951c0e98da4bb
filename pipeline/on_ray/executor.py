"""The Ray executor: workers as actors, commands as calls. The only module that imports Ray.

Nothing of value lives in Ray: calls carry plans and return a few facts, retries are the scheduler's. Actors are not
detached, so they die with the driver; one that outlives it for a moment does no harm, because commits are create-only.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

# Before Ray is imported: it reads these once.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, RayError, RayTaskError

from models.families.registry import Family
from pipeline.core.errors import OutputError, SetupError
from pipeline.core.timeline import CLIP, GOP
from pipeline.on_ray.drain import Drains
from pipeline.on_ray.market import preference
from pipeline.on_ray.metrics import MEASURED
from pipeline.on_ray.prewarm import Prewarm, ahead
from pipeline.scheduler.schedule import Limits
from pipeline.scheduler.work import (
    Assign,
    Cause,
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
from pipeline.store.local import LocalStore
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

NEWS_EVERY = 1.0  # seconds between two looks at a busy worker
# A clip of the largest family takes half a minute on a slow card and loading takes minutes; ten are beyond doubt.
STUCK_AFTER = float(os.environ.get("LONGTAKE_STUCK_SECONDS", "600"))

# Preparing and publishing ask for no cores, so that they find a place on a full cluster: one for so many cores.
MOST_PREPARE, CORES_OF_PREPARE = 16, 8
MOST_PUBLISH, CORES_OF_PUBLISH = 8, 16

log = logging.getLogger("longtake")


@dataclass(frozen=True)
class Share:
    """What one worker of a role asks Ray for."""

    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Shares and most workers of each role on a cluster."""

    shares: dict[Role, Share]
    limits: Limits
    lanes: int | None = None  # as asked for: 0 to find out what is best, None for the family's
    growing: bool = False  # more accelerators may come than are there


def layout(
    cpus: float,
    gpus: float,
    family: Family,
    chains: int | None,
    upscalers: int | None,
    *,
    titles: int = 1,
    lanes: int | None = None,
    floor: int = 0,
    halves: int = 1,
) -> Layout:
    """Divide a cluster: roles share a device where there are fewer devices than roles, down to one core.

    `chains` and `upscalers` cap the workers of these roles; by default both get devices in proportion to what a second
    of video costs them, chains no more than have titles for their lanes; what chains leave goes to upscalers. CPU
    workers take as many cores as the family has threads; preparing and publishing are short and light.
    `halves`: accelerators of a chain worker; with more than one it has them to itself (`pipeline.driver.guidance`).
    """
    light = Share(0)
    batch = lanes or family.lanes
    devices = int(gpus) if gpus >= 1 else int(cpus // family.threads)
    cost = GOP // CLIP * family.seconds_per_clip, GOP * family.seconds_per_frame
    part = round(devices * cost[0] / sum(cost))
    room = (devices - 1) // halves
    chain_count = chains or max(1, min(part // halves, room, -(-titles // batch)))
    if halves > 1:
        chain_count = min(chain_count, room)
        chain, upscale = Share(1, float(halves)), Share(1, 1.0)
    elif gpus >= 1:
        alone = gpus >= chain_count + 1
        chain, upscale = (Share(1, 1.0), Share(1, 1.0)) if alone else (Share(1, 0.5), Share(1, 0.45))
        devices = devices if alone else 1
    else:
        workers = chain_count + (upscalers or 1)
        cores = min(float(family.threads), cpus / workers)
        chain = upscale = Share(float(int(cores)) if cores >= 1 else round(cores * 0.99, 3))
    shares: dict[Role, Share] = {"prepare": light, "chain": chain, "upscale": upscale, "publish": light}
    most = upscalers or max(1, devices - chain_count * halves)
    limits = Limits(
        prepare=max(1, min(MOST_PREPARE, int(cpus) // CORES_OF_PREPARE)),
        publish=max(1, min(MOST_PUBLISH, int(cpus) // CORES_OF_PUBLISH)),
        chain=chain_count,
        chain_devices=halves,
        upscale=most,
        lanes=batch,
        upscale_after=upscalers or max(1, devices),
        upscale_floor=min(floor, most),
    )
    return Layout(shares, limits, lanes)


def connect(address: str | None, cores: int | None = None) -> None:
    """Join the cluster at `address` (or RAY_ADDRESS), or start one on this machine. Raises SetupError."""
    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {"include_dashboard": False, "num_cpus": cores, "address": "local"}
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, RayError, ValueError, RuntimeError) as error:
        raise SetupError(
            f"Ray at {address or 'this machine'}: {error}; check --address, or leave it out to use this machine alone"
        ) from error


def resources() -> tuple[float, float]:
    """CPUs and GPUs of the cluster."""
    total = ray.cluster_resources()
    return total.get("CPU", 1.0), total.get("GPU", 0.0)


def largest_machine() -> float:
    """GPUs of the node that has most of them."""
    return max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


def check_shared(store: Store) -> None:
    """With more than one node, a local output must be one folder for all: each node reads a token.

    Raises OutputError.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if not isinstance(store, LocalStore) or len(nodes) < 2:
        return
    token = uuid.uuid4().hex
    key = f"_probe/{token}"
    store.put(key, token.encode())
    try:
        blind = []
        for node in nodes:
            strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            look = ray.remote(_reads).options(num_cpus=0, scheduling_strategy=strategy)
            try:
                if not ray.get(look.remote(str(store.path(key))), timeout=120):
                    blind.append(node["NodeManagerHostname"])
            except (RayError, GetTimeoutError):
                blind.append(node["NodeManagerHostname"])
    finally:
        store.delete(key)
    if blind:
        raise OutputError(
            f"output {store}: not seen by {', '.join(sorted(set(blind)))}; with several nodes use a shared folder or "
            "an object store, for example --output s3://bucket/path"
        )


def _reads(path: str) -> bool:
    return os.path.exists(path)


@dataclass
class _Actor:
    handle: Any
    work: Work | None = None
    heard: float = field(default_factory=time.monotonic)
    asked: float = 0.0


class RayExecutor:
    def __init__(self, output: str, plans: dict[str, TitlePlan], plan: Layout, run: str):
        self._output, self._plans, self._layout, self._run = output, plans, plan, run
        self._actors: dict[str, _Actor] = {}
        self._drains = Drains()
        self._prewarm = Prewarm(_ahead(plan))
        self._calls: dict[Any, tuple[str, str]] = {}  # reference of a pending call → (worker, ready | run | news)

    def do(self, command: Command) -> None:
        match command:
            case Launch(name, role):
                share = self._layout.shares[role]
                device = "cuda" if share.gpus else "cpu"
                # No restarts: a worker that died is the scheduler's affair. `control` answers while `run` is running.
                options: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": 0}
                options |= {"max_task_retries": 0, "concurrency_groups": {"control": 1}} | preference(role)
                handle: Any = ray.remote(**options)(MEASURED[role]).remote(self._output, device, self._run)
                self._actors[name] = _Actor(handle)
                sample = next(iter(self._plans.values()))
                self._calls[handle.ready.remote(sample, self._layout.lanes)] = (name, "ready")
            case Retire(name):
                self._end(name)
            case Assign(name, work):
                actor = self._actors[name]
                actor.work, actor.heard = work, time.monotonic()
                plans = {job.title: self._plans[job.title] for job in work.jobs}
                self._calls[actor.handle.run.remote(work, plans)] = (name, "run")

    def events(self, timeout: float) -> list[Event]:
        self._prewarm.turn()
        self._ask_for_news()
        leaving = self._find_leaving()
        if not self._calls:
            time.sleep(0 if leaving else timeout)
            return leaving
        ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=timeout)
        if ready:  # take all that is there, not only the first
            ready, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
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

    def _answer(self, name: str, kind: str, reference: Any) -> list[Event]:
        actor = self._actors[name]
        actor.heard = time.monotonic()
        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            self._end(name)
            return [WorkerLost(name, Failure("crash", str(error.cause)))]
        except OutOfMemoryError as error:
            self._end(name)
            return [WorkerLost(name, Failure("memory", str(error)))]
        except RayActorError as error:
            self._end(name)
            machine = "node" in str(error).lower() and "died" in str(error).lower()
            announced = getattr(error, "preempted", False) or self._drains.announced(name)
            cause: Cause = "preempted" if announced else "lost" if machine else "crash"
            return [WorkerLost(name, Failure(cause, _first_line(error)))]
        match kind:
            case "ready":
                if self._layout.shares["chain"].gpus and name.startswith("chain"):
                    self._prewarm.clear()  # the machines are there, and workers ask for themselves
                return [WorkerReady(name, answer)]
            case "run":
                actor.work = None
                return [Finished(name, answer)]
        silent, news = answer
        actor.heard -= silent
        return [Progress(news)] if news else []

    def _ask_for_news(self) -> None:
        now = time.monotonic()
        waiting = {name for name, kind in self._calls.values() if kind == "news"}
        for name, actor in self._actors.items():
            if actor.work is not None and name not in waiting and now - actor.asked >= NEWS_EVERY:
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
        now = time.monotonic()
        events: list[Event] = []
        for name, actor in list(self._actors.items()):
            if actor.work is not None and now - actor.heard > STUCK_AFTER:
                self._end(name)
                events.append(WorkerLost(name, Failure("crash", f"no sign of life for {STUCK_AFTER:.0f} s")))
        return events

    def _end(self, name: str) -> None:
        actor = self._actors.pop(name, None)
        if actor is not None:
            ray.kill(actor.handle)
        self._calls = {call: place for call, place in self._calls.items() if place[0] != name}


def _ahead(layout: Layout) -> list[dict[str, float]]:
    """Machines to ask for before there is work for them, where the layout counts on more than there are."""
    chain, upscale = layout.shares["chain"], layout.shares["upscale"]
    if not layout.growing:
        return []
    limits = layout.limits
    places = {"chain": {"CPU": chain.cpus, "GPU": chain.gpus}, "upscale": {"CPU": upscale.cpus, "GPU": upscale.gpus}}
    return ahead(limits.chain, max(1, limits.upscale_floor), **places, have=resources()[1])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
