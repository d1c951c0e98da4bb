"""A Ray cluster of one node for tests, as a process of its own, so that drivers may be killed and restarted on it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

STARTED_WITHIN = 90.0  # seconds


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def head(cpus: int, *more: str) -> Iterator[str]:
    """Start a head node with so many CPUs; yields its address and ends it for sure."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    command += [f"--num-cpus={cpus}", f"--ray-client-server-port={free_port()}", "--node-ip-address=127.0.0.1"]
    command += ["--disable-usage-stats", *(more or ("--include-dashboard=false",))]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(process, port, log)
            yield f"127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + STARTED_WITHIN
    said = b""
    while b"To terminate the Ray runtime" not in said:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ray did not start on port {port}: {said[-2000:]!r}")
        time.sleep(0.2)
        log.seek(0)
        said = log.read()


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
