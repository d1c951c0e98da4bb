"""The same done to many, side by side, in bounded memory: a store answers many questions in the time of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from functools import partial
from typing import TypeVar

from pipeline.core.daemon_pool import DaemonPool

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16


def parallel_map(action: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """What `action` makes of each item, in order; at most four items a thread are in hand. Raises what it raises."""
    waiting: deque[Future[R]] = deque()
    threads = threads or THREADS
    pool = DaemonPool("side by side", threads)
    try:
        for item in items:
            waiting.append(pool.submit(partial(action, item)))
            if len(waiting) >= 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.close()


def parallel_as_done(action: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[tuple[T, R]]:
    """Items with what `action` makes of them, in the order in which they are done. The first exception ends it.

    Whoever leaves, by an exception or Ctrl-C, waits for none that is still in hand; nothing more is begun.
    """
    pool = DaemonPool("side by side", threads or THREADS)
    try:
        asked = {pool.submit(partial(action, item)): item for item in items}
        for answer in as_completed(asked):
            yield asked[answer], answer.result()
    finally:
        pool.close()
