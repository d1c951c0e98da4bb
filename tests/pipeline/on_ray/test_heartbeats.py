"""Who is taken for hung: silence beyond what the kind of work allows, counted while the driver listened."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.driver.allocation import Allocation, Resources
from pipeline.on_ray import executor as on_ray
from pipeline.on_ray.executor import RayExecutor
from pipeline.on_ray.heartbeats import ALLOWED, VARIABLE, Listening, allowed
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.work import ROLES, Assign, Event, Job, Kind, Launch, Work, WorkerLost


class Cluster:
    """Stands for Ray: one worker that answers news with the silence that it is told, or not at all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now, self.silent = 1000.0, 0.0
        self.answers: bool = True
        self.killed = 0
        self._news: list[object] = []
        handle = SimpleNamespace(news=self, stop=self, run=self, ready=self)
        fake = SimpleNamespace(wait=self._wait, get=lambda call: (self.silent, ()), kill=self._kill)
        fake.remote = lambda **options: lambda kind: SimpleNamespace(remote=lambda *given: handle)
        monkeypatch.setattr(on_ray, "ray", fake)
        monkeypatch.setattr(on_ray, "placement_options", lambda role: {})
        allocation = Allocation({role: Resources(0) for role in ROLES}, Limits())
        plans: Any = {"t": None}
        self.executor = RayExecutor("memory://x", plans, allocation, "run", {})
        self.executor._classes = dict.fromkeys(ROLES)  # type: ignore[arg-type]
        monkeypatch.setattr(self.executor, "_drains", SimpleNamespace(newly_leaving=lambda workers: []))
        self.executor._listening = Listening(lambda: self.now)
        self.executor.do(Launch("w", "upscale"))

    def options(self, **given: object) -> Cluster:
        return self

    def remote(self, *given: object) -> object:
        return object()

    def assign(self, kind: Kind) -> None:
        self.executor._actors["w"].ready = True
        self.executor.do(Assign("w", Work(1, kind, (Job("t", kind),))))

    def turn(self, seconds: float) -> list[Event]:
        """A turn of the driver's loop, `seconds` after the last one."""
        self.now += seconds
        self.executor._actors["w"].asked = 0.0
        return self.executor.events(0)

    def _wait(self, calls: list[object], num_returns: int, timeout: float) -> tuple[list[object], list[object]]:
        news = [call for call in calls if self.executor._calls[call][1] == "news"] if self.answers else []
        return news, []

    def _kill(self, handle: object) -> None:
        self.killed += 1


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


@pytest.mark.parametrize("kind", ["chain", "sound", "finish"])
def test_silence_beyond_what_is_allowed(cluster: Cluster, kind: Kind) -> None:
    cluster.assign(kind)
    for _ in range(int(ALLOWED[kind])):
        cluster.silent += 1
        assert cluster.turn(1) == []
    cluster.silent += 2
    (lost,) = cluster.turn(2)
    assert isinstance(lost, WorkerLost)
    assert f"no sign of life for {ALLOWED[kind]:.0f} s ({kind})" in lost.failure.message
    assert cluster.killed == 1


def test_a_driver_that_was_held_up_blames_nobody(cluster: Cluster) -> None:
    """Half an hour in which nobody was listened to is not half an hour of silence."""
    cluster.assign("upscale")
    assert cluster.turn(1) == []
    cluster.answers = False  # what was asked for is answered a moment later
    for _ in range(20):
        assert cluster.turn(1680) == []
    assert cluster.killed == 0


def test_a_worker_that_answers_nothing_is_hung(cluster: Cluster) -> None:
    cluster.assign("finish")
    cluster.answers = False
    for _ in range(int(ALLOWED["finish"]) - 1):
        assert cluster.turn(1) == []
    assert len(cluster.turn(2)) == 1


def test_an_idle_time_before_the_work_is_no_silence(cluster: Cluster) -> None:
    cluster.silent = 5000
    for _ in range(10):
        cluster.executor._actors["w"].ready = True
        cluster.turn(1)
    cluster.assign("chain")
    assert cluster.turn(1) == [], "it has not even begun"


def test_a_worker_that_never_is_ready(cluster: Cluster) -> None:
    """Once it lives, its start is watched; before that it waits for its place, which may take any time."""
    cluster.answers = False
    for _ in range(600):
        assert cluster.turn(5) == []
    cluster.answers = True
    for _ in range(int(ALLOWED["ready"] / 5)):
        cluster.silent += 5
        assert cluster.turn(5) == []
    cluster.silent += 10
    (lost,) = cluster.turn(10) or cluster.turn(5)
    assert isinstance(lost, WorkerLost)
    assert "(starting)" in lost.failure.message


def test_one_time_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "45")
    assert {allowed(kind) for kind in ALLOWED} == {45.0}
