"""Ordinary scheduling, whatever a library asks for.

SVT-AV1, where its process may (as root), makes the thread that opens it and its own threads real-time ones of the
highest priority (SCHED_FIFO 99). What that thread starts afterwards inherits it, and on a small machine everything
else stands still: Ray's heartbeats, a store on the same machine, the rest of a test run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TASKS = Path("/proc/self/task")


@contextmanager
def same_thread_policy() -> Iterator[None]:
    """This thread, and those that the body starts, go on with the policy that this thread has now. Linux only."""
    if not TASKS.exists():
        yield
        return
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    before = {task.name for task in TASKS.iterdir()}
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)
        for task in TASKS.iterdir():
            if task.name not in before:
                with suppress(OSError):  # it has ended
                    os.sched_setscheduler(int(task.name), policy, parameter)
