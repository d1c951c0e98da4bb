"""Why a call to a worker failed, by the type of Ray's error alone: its words change from version to version."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.actor import ActorHandle
from ray.core.generated import common_pb2
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfDiskError,
    OutOfMemoryError,
    RayError,
    RaySystemError,
    RayTaskError,
    RpcError,
    RuntimeEnvSetupError,
    TaskUnschedulableError,
    WorkerCrashedError,
)

from pipeline.core.errors import Paused
from pipeline.scheduler.work import Cause, Failure

log = logging.getLogger("longtake")

# The first that fits counts. What is of the machine or of Ray itself is tried again elsewhere, nearly free: `lost`.
_CAUSES: tuple[tuple[type[RayError], Cause], ...] = (
    (OutOfMemoryError, "memory"),
    (RuntimeEnvSetupError, "lost"),  # a disk that is full, a package that did not come: of one node
    (ActorUnschedulableError, "lost"),
    (TaskUnschedulableError, "lost"),
    (NodeDiedError, "lost"),
    (LocalRayletDiedError, "lost"),
    (ActorUnavailableError, "lost"),  # the network between, for the moment
    (ObjectLostError, "lost"),  # the answer went with the machine that held it
    (OutOfDiskError, "lost"),
    (RpcError, "lost"),
    (RaySystemError, "lost"),
    (WorkerCrashedError, "crash"),
    (ActorDiedError, "crash"),  # by itself, unless its machine died with it
    (RayTaskError, "crash"),
)


@contextmanager
def ray_answers() -> Iterator[None]:
    """Around what is asked of Ray itself: where it no longer answers, the run pauses. Raises Paused."""
    try:
        yield
    except RayError as error:
        raise Paused(f"the Ray cluster no longer answers ({_message(error)}); run again to continue") from error


def machine_died(handle: ActorHandle[object]) -> bool:
    """Whether Ray lists a dead worker as one whose machine died, or its machine among those that are gone.

    Ray has no public call for it: where the one that there is fails, the worker died by itself.
    """
    try:
        facts = ray._private.state.actors(handle._actor_id.hex())
        reason = facts["DeathCause"].actor_died_error_context.reason
        node = facts["Address"]["NodeID"]
        alive = {one["NodeID"] for one in ray.nodes() if one["Alive"]}
        died = common_pb2.ActorDiedErrorContext.NODE_DIED  # type: ignore[attr-defined]
        return bool(reason == died or (node and node not in alive))
    except Exception as error:  # noqa: BLE001 - a look that fails must not end a run
        log.warning("why a worker died cannot be asked for: %s", error)
        return False


def failure_of(error: RayError, *, announced: bool, machine_gone: bool) -> Failure:
    """The failure that an error of Ray stands for.

    `announced`: the worker's machine had been announced to go; `machine_gone`: it is no longer part of the cluster.
    """
    message = _message(error)
    if isinstance(error, RayTaskError):  # raised by our own code, wherever it ran
        return Failure("crash", message)
    if announced or getattr(error, "preempted", False):
        return Failure("preempted", message)
    cause: Cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "crash")
    return Failure("lost" if machine_gone and cause == "crash" else cause, message)


def _message(error: RayError) -> str:
    said = error.cause if isinstance(error, RayTaskError) and error.cause is not None else error
    return f"{type(said).__name__}: {(str(said).strip().splitlines() or [''])[0]}".rstrip(": ")
