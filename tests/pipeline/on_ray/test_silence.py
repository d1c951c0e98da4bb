"""A worker is killed for its own silence only, not for the driver's."""

from __future__ import annotations

import types
from typing import Any

import pytest

from pipeline.driver.layout import Layout, Share
from pipeline.on_ray import executor as on_ray
from pipeline.on_ray.executor import NEWS_EVERY, STUCK_AFTER, RayExecutor
from pipeline.scheduler.pool_size import Limits
from pipeline.scheduler.work import ROLES, Job, Work, WorkerLost


class Silent:
    """A worker whose calls are never answered; and a Ray that knows no other."""

    def __init__(self) -> None:
        self.killed: list[Any] = []
        self.news = self.run = self.stop = types.SimpleNamespace(options=lambda **more: self.news, remote=object)

    def wait(self, calls: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return [], calls

    def kill(self, handle: Any) -> None:
        self.killed.append(handle)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: None)
    monkeypatch.setattr(on_ray, "time", clock)
    return now


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> RayExecutor:
    silent = Silent()
    monkeypatch.setattr(on_ray, "ray", silent)
    executor = RayExecutor("memory://x", {}, Layout({role: Share(0) for role in ROLES}, Limits()), "run", {})
    monkeypatch.setattr(
        executor, "_drains", types.SimpleNamespace(newly_leaving=lambda workers: [], announced=lambda name: False)
    )
    work = Work(1, "upscale", (Job("t", "upscale", 0, 10),))
    executor._actors["upscale-1"] = on_ray._Actor(silent, work, heard=now[0], asked=now[0])
    return executor


def test_a_worker_outlives_a_driver_that_did_not_listen(busy: RayExecutor, now: list[float]) -> None:
    for away in (1680.0, 4 * STUCK_AFTER):
        now[0] += away
        assert busy.events(0) == []
    for _ in range(5):  # it was away often, and heard nothing in between
        now[0] += STUCK_AFTER / 2
        assert busy.events(0) == []


def test_a_worker_that_is_silent_while_the_driver_listens_is_ended(busy: RayExecutor, now: list[float]) -> None:
    busy.events(0)
    turns = 0
    while not (events := busy.events(0)):
        now[0] += NEWS_EVERY / 2
        turns += 1
        assert turns * NEWS_EVERY / 2 <= STUCK_AFTER + 1
    assert isinstance(events[0], WorkerLost)
    assert turns * NEWS_EVERY / 2 >= STUCK_AFTER - 1
