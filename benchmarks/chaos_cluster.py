"""Machines for the chaos benchmark: nodes of a local Ray cluster that can be killed, announced to go, and replaced."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from tests.leftovers import descendants, end

STORE_BYTES = 100 << 20  # of Ray's object store on each node: nothing of ours waits in it
STARTED_WITHIN = 60.0  # seconds
TRIES = 5
CPUS = 2  # that a node offers, whatever the machine has


@contextmanager
def patience() -> Iterator[None]:
    """Ray gives a node 30 seconds to appear, which a machine under load may not keep."""
    from ray._private import services

    plain = services.get_node

    def get_node(*arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + STARTED_WITHIN
        while True:
            try:
                return plain(*arguments, **named)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    services.get_node = get_node
    try:
        yield
    finally:
        services.get_node = plain


class Machines:
    """A head without cores, and nodes that do the work. Use as a context manager; leaves no process."""

    def __init__(self, nodes: int):
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray lets its workers go after everything else; on a machine with other work they would seem to hang.
        os.environ.setdefault("RAY_worker_niceness", "0")
        self._count = nodes
        self._folder = tempfile.TemporaryDirectory(prefix="longtake-ray-", dir="/tmp", ignore_cleanup_errors=True)
        self._cluster: Any = None
        self._started: dict[Any, str] = {}
        self._coming: list[threading.Thread] = []

    def __enter__(self) -> Machines:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "temp_dir": self._folder.name}
        head |= {"include_dashboard": False, "dashboard_agent_listen_port": 0}
        with patience():
            self._cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
        for _ in range(self._count):
            self.add()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for thread in self._coming:
            thread.join(TRIES * STARTED_WITHIN)
        self._started |= self._below()
        self._cluster.shutdown()
        end(self._started)
        self._folder.cleanup()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    @property
    def nodes(self) -> list[Any]:
        return list(self._cluster.worker_nodes)

    def add(self) -> None:
        """A node more, tried again where Ray gives up on it."""
        for left in range(TRIES - 1, -1, -1):
            try:
                with patience():
                    self._cluster.add_node(num_cpus=CPUS, object_store_memory=STORE_BYTES, wait=False)
                return
            except Exception:  # Ray raises nothing more precise
                if not left:
                    raise

    def replace(self) -> None:
        """A node more, while other things go on."""
        thread = threading.Thread(target=self.add, daemon=True)
        thread.start()
        self._coming.append(thread)

    def kill(self, node: Any) -> None:
        """All processes of a node at once, its workers too, as when the power goes."""
        if node not in self._cluster.worker_nodes:
            return
        self._started |= self._below()
        victims = {
            process: name
            for group in node.all_processes.values()
            for info in group
            for process, name in descendants(info.process.pid).items()
        }
        self._cluster.remove_node(node, allow_graceful=False)
        end(victims)

    def announce(self, node: Any, seconds: float) -> bool:
        """Tell Ray that a node will be taken; whether it took notice."""
        from ray._raylet import GcsClient
        from ray.core.generated.autoscaler_pb2 import DrainNodeReason

        deadline = int((time.time() + seconds) * 1000)
        reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        accepted, _ = GcsClient(address=self.address).drain_node(node.node_id, reason, "chaos", deadline)
        return bool(accepted)

    def workers(self, names: tuple[str, ...]) -> list[int]:
        """Process ids of workers whose names begin so."""
        return [process[0] for process, name in self._below().items() if name.startswith(names)]

    def _below(self) -> dict[Any, str]:
        mine = descendants(os.getpid())
        return {process: name for process, name in mine.items() if process[0] != os.getpid()}
