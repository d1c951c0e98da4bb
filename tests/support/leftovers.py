"""Processes that a test started, and theirs, so that none is left. Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

GONE_WITHIN = 30.0  # seconds
Process = tuple[int, str]  # process id, and when it started: ids are given out again


def _look(pid: int) -> tuple[int, Process, str]:
    """Parent, identity and name of a living process. Raises OSError where there is none."""
    name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    fields = rest.split()
    if fields[0] in "ZX":
        raise ProcessLookupError
    return int(fields[1]), (pid, fields[19]), name.partition("(")[2]


def descendants(pid: int) -> dict[Process, str]:
    """The process and all that it and its children started, as far as their parents live; names by process."""
    parents: dict[int, int] = {}
    seen: dict[int, tuple[Process, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent, process, name = _look(int(folder.name))
            parents[process[0]], seen[process[0]] = parent, (process, name)

    def belongs(one: int) -> bool:
        while one != pid and one in parents:
            one = parents[one]
        return one == pid

    return dict(seen[one] for one in seen if belongs(one))


def alive(processes: dict[Process, str]) -> dict[Process, str]:
    """Those that still run."""
    found = {}
    for process, name in processes.items():
        with contextlib.suppress(OSError):
            if _look(process[0])[1] == process:
                found[process] = name
    return found


def end(processes: dict[Process, str]) -> None:
    """Kill them and all that they started. Raises RuntimeError where some will not go."""
    deadline = time.monotonic() + GONE_WITHIN
    while left := alive(processes):
        if time.monotonic() > deadline:
            raise RuntimeError(f"still there: {left}")
        for pid, _ in left:
            processes = processes | descendants(pid)
        for pid, _ in alive(processes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
