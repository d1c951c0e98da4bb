"""A Ray cluster of one node for tests, as a process of its own, so that drivers may be killed and restarted on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.leftovers import descendants, end

STARTED_WITHIN = 90.0  # seconds
TRIES = 3


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def head(cpus: int, *more: str, port: int | None = None, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start a head node with so many CPUs; yields its address. Leaves no process and no file, whatever happens.

    `environment` is added to that of the node, and so to that of its workers.
    """
    port = port or free_port()
    for left in range(TRIES - 1, -1, -1):
        folder = tempfile.mkdtemp(prefix="longtake-ray-", dir="/tmp")  # its sockets need a short path
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
        command += [
            f"--num-cpus={cpus}",
            f"--ray-client-server-port={free_port()}",
            f"--dashboard-agent-listen-port={free_port()}",
            "--node-ip-address=127.0.0.1",
        ]
        command += ["--disable-usage-stats", f"--temp-dir={folder}", *(more or ("--include-dashboard=false",))]
        with open(f"{folder}/start.log", "w+b") as log:
            variables = {**os.environ, **(environment or {})}
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=variables)
            try:
                try:
                    _wait(process, port, Path(log.name))
                except RuntimeError:
                    if left:  # Ray gives a node half a minute, which a busy machine may not keep
                        continue
                    raise
                yield f"127.0.0.1:{port}"
                return
            finally:
                end(descendants(process.pid))
                process.wait()
                shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while "To terminate the Ray runtime" not in (said := log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ray did not start on port {port}: {said[-2000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def ray_address() -> Iterator[Callable[[int], str]]:
    """Address of a cluster with so many CPUs, started once a session; asking for another size ends the one before."""
    with contextlib.ExitStack() as stack:
        running: dict[int, str] = {}

        def address(cpus: int) -> str:
            if cpus not in running:
                stack.close()
                running.clear()
                running[cpus] = stack.enter_context(head(cpus))
            return running[cpus]

        yield address
