"""Machines for the chaos benchmark: nodes of a local Ray cluster that can be killed, announced to go, and replaced.

Every node is started as on a machine of its own, by `ray start` in a process of its own. Ray's `Cluster` starts nodes
from within the caller, which then stands still for up to a minute when one is slow.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any
from uuid import uuid4

from tests.support.clusters.ray_head import free_port, head
from tests.support.leftovers import descendants, end

STORE_BYTES = 100 << 20  # of Ray's object store on each node: nothing of ours waits in it
STARTED_WITHIN = 120.0  # seconds, on a machine that has much else to do
TRIES = 5
CPUS = 2  # that a node offers, whatever the machine has
ALIVE = 0  # a node's state in Ray


@dataclass(frozen=True, eq=False)
class Machine:
    name: str
    process: subprocess.Popen[bytes]


class Machines:
    """A head without cores, and nodes that do the work. Use as a context manager; leaves no process."""

    def __init__(self, nodes: int):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray lets its workers go after everything else; on a machine with other work they would seem to hang.
        os.environ.setdefault("RAY_worker_niceness", "0")
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # not to give up nodes that start slowly
        self._count = nodes
        self._stack = ExitStack()
        self._all: list[Machine] = []
        self._coming: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._closing = False
        self._seen: dict[Any, str] = {}  # processes that may have lost their parents
        self.address = ""

    def __enter__(self) -> Machines:
        own = ("--include-dashboard=false", *_ports(), f"--object-store-memory={STORE_BYTES}")
        self.address = self._stack.enter_context(head(0, *own))
        self._writer = Path(self._stack.enter_context(TemporaryDirectory(prefix="longtake-machines-")))
        self._stack.callback(self._end_all)
        for _ in range(self._count):
            self._start(TRIES)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _end_all(self) -> None:
        self._closing = True
        for thread in self._coming:
            thread.join()
        for machine in list(self._all):
            self.kill(machine)
        end(self._seen)

    @property
    def nodes(self) -> list[Machine]:
        """Those that have started and have not been killed."""
        return list(self._all)

    def replace(self) -> None:
        """A node more, while other things go on."""
        thread = threading.Thread(target=self._start, args=(TRIES,), daemon=True)
        thread.start()
        self._coming.append(thread)

    def _start(self, tries: int) -> None:
        """A node more, tried again where it does not come up. One after the other: two at once wait for each other."""
        with self._starting:
            for _ in range(tries):
                name = f"chaos-{uuid4().hex[:8]}"
                log = self._writer / name
                command = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--address={self.address}"]
                command += [f"--num-cpus={CPUS}", f"--object-store-memory={STORE_BYTES}", f"--node-name={name}"]
                command += [f"--dashboard-agent-listen-port={free_port()}", "--include-log-monitor=false", *_ports()]
                with log.open("wb") as output:
                    machine = Machine(name, subprocess.Popen(command, stdout=output, stderr=output))
                deadline = time.monotonic() + STARTED_WITHIN
                while time.monotonic() < deadline and machine.process.poll() is None and not self._closing:
                    if "To terminate the Ray runtime" in log.read_text():
                        self._all.append(machine)
                        return
                    time.sleep(0.2)
                end(descendants(machine.process.pid))
                machine.process.wait()
                if self._closing:
                    return
        raise RuntimeError(f"no node started in {tries} tries, the last of which said: {log.read_text()[-2000:]}")

    def kill(self, machine: Machine) -> None:
        """All processes of a node at once, its workers too, as when the power goes."""
        if machine not in self._all:
            return
        self._all.remove(machine)
        self._seen |= self._below()
        end(descendants(machine.process.pid))
        machine.process.wait()

    def announce(self, machine: Machine, seconds: float) -> bool:
        """Tell Ray that a node will be taken; whether it took notice."""
        from ray._raylet import GcsClient  # type: ignore[attr-defined]
        from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]

        deadline = int((time.time() + seconds) * 1000)
        reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        gcs = GcsClient(address=self.address)
        nodes = gcs.get_all_node_info(timeout=60).items()
        ids = [key.hex() for key, node in nodes if node.node_name == machine.name and node.state == ALIVE]
        if not ids:
            return False
        accepted, _ = gcs.drain_node(ids[0], reason, "chaos", deadline)
        return bool(accepted)

    def workers(self, names: tuple[str, ...], of: Machine | None = None) -> list[int]:
        """Process ids of workers whose names begin so."""
        below = self._below() if of is None else descendants(of.process.pid)
        return [process[0] for process, name in below.items() if name.startswith(names)]

    def _below(self) -> dict[Any, str]:
        mine = descendants(os.getpid())
        return {process: name for process, name in mine.items() if process[0] != os.getpid()}


def _ports() -> tuple[str, str]:
    """Of workers: any that are free, for several nodes share this machine."""
    return "--min-worker-port=0", "--max-worker-port=0"
