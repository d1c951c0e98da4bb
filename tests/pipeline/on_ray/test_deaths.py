"""Every error of Ray becomes a lost worker with a cause, by its type, and none ends the run."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any, get_args
from unittest.mock import MagicMock

import pytest
import ray
from ray import exceptions

from pipeline.core.errors import Paused
from pipeline.driver.allocation import Allocation, Resources
from pipeline.on_ray import deaths
from pipeline.on_ray import executor as on_ray
from pipeline.on_ray.deaths import failure_of
from pipeline.on_ray.executor import RayExecutor, _Actor
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.work import ROLES, Cause, Role, WorkerLost

CAUSES: list[tuple[Exception, Cause]] = [
    (exceptions.RuntimeEnvSetupError("disk full on the new node"), "lost"),
    (exceptions.ActorUnschedulableError("its node has died"), "lost"),
    (exceptions.NodeDiedError("unreachable"), "lost"),
    (exceptions.LocalRayletDiedError(), "lost"),
    (exceptions.ObjectLostError("ab", None, ""), "lost"),
    (exceptions.OwnerDiedError("ab", None, ""), "lost"),
    (exceptions.ActorUnavailableError("away", None), "lost"),
    (exceptions.OutOfDiskError(), "lost"),
    (exceptions.RaySystemError(OSError("raylet killed")), "lost"),
    (exceptions.WorkerCrashedError(), "crash"),
    (exceptions.OutOfMemoryError("too much"), "memory"),
    (exceptions.ActorDiedError(), "crash"),
    # Words decide nothing.
    (exceptions.RayActorError(error_msg="the code node died laughing"), "crash"),
    (exceptions.RayActorError(preempted=True), "preempted"),
]


def executor_with(worker: str, role: Role, handle: Any = None) -> RayExecutor:
    allocation = Allocation({one: Resources(1, 0) for one in ROLES}, Limits())
    executor = RayExecutor("memory://x", {}, allocation, "run", {})
    executor._actors[worker] = _Actor(handle, role)
    return executor


@pytest.fixture(autouse=True)
def killed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(ray, "kill", found.append)
    return found


@pytest.mark.parametrize(("error", "cause"), CAUSES, ids=lambda one: type(one).__name__)
def test_an_error_of_ray_is_a_lost_worker(
    error: Exception, cause: Cause, monkeypatch: pytest.MonkeyPatch, killed: list[Any]
) -> None:
    def get(reference: Any) -> Any:
        raise error

    monkeypatch.setattr(ray, "get", get)
    executor = executor_with("chain-1", "chain", handle="the handle")
    for kind in ("ready", "run", "news"):
        executor._actors.setdefault("chain-1", _Actor("the handle", "chain"))
        (event,) = executor._answer("chain-1", kind, None)
        assert isinstance(event, WorkerLost)
        assert event.failure.cause == cause
        assert type(error).__name__ in event.failure.message
        assert "\n" not in event.failure.message
    assert killed == ["the handle"] * 3


def test_no_error_of_ray_is_left_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Ray may raise is given a cause, those of later versions too."""
    monkeypatch.setattr(deaths, "_message", lambda error: "")
    for kind in vars(exceptions).values():
        if inspect.isclass(kind) and issubclass(kind, exceptions.RayError):
            assert failure_of(kind.__new__(kind), announced=False, machine_gone=False).cause in get_args(Cause)


def test_a_cluster_that_no_longer_answers_pauses_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*arguments: Any, **options: Any) -> Any:
        raise exceptions.RaySystemError(OSError("the head is gone"))

    monkeypatch.setattr(ray, "wait", wait)
    executor = executor_with("chain-1", "chain", MagicMock())
    executor._drains = SimpleNamespace(newly_leaving=lambda workers: [])  # type: ignore[assignment]
    executor._calls = {"a call": ("chain-1", "run")}
    with pytest.raises(Paused, match=r"no longer answers \(RaySystemError: .*the head is gone\); run again"):
        executor.events(0)


def test_a_worker_whose_machine_died_is_not_to_blame() -> None:
    died = exceptions.ActorDiedError()
    assert failure_of(died, announced=False, machine_gone=True).cause == "lost"
    assert failure_of(died, announced=True, machine_gone=True).cause == "preempted"
    assert failure_of(exceptions.OutOfMemoryError("x"), announced=False, machine_gone=True).cause == "memory"


def lost(executor: RayExecutor) -> list[tuple[str, str]]:
    found = executor._find_stuck()
    assert all(isinstance(event, WorkerLost) for event in found)
    return [(event.failure.cause, event.failure.message) for event in found if isinstance(event, WorkerLost)]


def test_waiting_for_a_machine_ends_where_nobody_else_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    executor = executor_with("chain-1", "chain")
    monkeypatch.setattr(on_ray, "time", SimpleNamespace(monotonic=lambda: now[0]))
    executor._actors["chain-1"].launched = now[0]
    executor._actors["chain-2"] = other = _Actor(None, "chain", launched=now[0], ready=True)
    now[0] += on_ray.PLACED_WITHIN + 1
    assert lost(executor) == [], "a cluster may have no more machines for the moment"
    other.ready = False
    other.launched = now[0]
    ((cause, message),) = lost(executor)
    assert cause == "lost"
    asked = "it asks for 1 cores, 0 accelerators and 0 GiB of local disk (scratch_gib)"
    assert message == f"no machine took it within {on_ray.PLACED_WITHIN:.0f} s; {asked}"
