"""Machines that are announced to go: Ray's list of draining nodes, which autoscalers and notices of clouds feed.

`ray drain-node --node-id … --reason DRAIN_NODE_REASON_PREEMPTION --deadline-remaining-seconds 120 …` announces one by
hand, for example from a script that waits for a cloud's notice. Ray itself places no new worker there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import ray
from ray.actor import ActorHandle

EVERY = 2.0  # seconds between two looks

log = logging.getLogger("longtake")


class Drains:
    def __init__(self) -> None:
        self._looked = float("-inf")
        self._leaving: set[str] = set()  # workers on machines that go

    def announced(self, worker: str) -> bool:
        """Whether the worker's machine had been announced to go."""
        return worker in self._leaving

    def newly_leaving(self, workers: Mapping[str, ActorHandle[object]]) -> list[str]:
        """Names of workers whose machine has been announced to go since the last look, by their handles."""
        now = time.monotonic()
        if now - self._looked < EVERY:
            return []
        self._looked = now
        nodes = _draining()
        if not nodes:
            return []
        found = [name for name in workers if name not in self._leaving and _node_of(workers[name]) in nodes]
        self._leaving.update(found)
        return found


def _draining() -> set[str]:
    """Hexadecimal ids of nodes that are announced to go. Ray has no public call for it: without one, none are known."""
    look = getattr(ray._private.state.state, "get_draining_nodes", None)
    try:
        return set(look()) if look else set()
    except Exception as error:  # noqa: BLE001 - a look that fails must not end a run
        log.warning("draining nodes cannot be asked for: %s", error)
        return set()


def _node_of(handle: ActorHandle[object]) -> str:
    try:
        return str(ray._private.state.actors(handle._actor_id.hex()).get("Address", {}).get("NodeID", ""))
    except Exception as error:  # noqa: BLE001
        log.warning("a worker's node cannot be asked for: %s", error)
        return ""
