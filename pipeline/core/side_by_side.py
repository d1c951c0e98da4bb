"""The same done to many, side by side, in bounded memory: a store answers many questions in the time of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from pipeline.core.aside import Aside

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16


def side_by_side(action: Callable[[T], R], items: Iterable[T], threads: int = THREADS) -> Iterator[R]:
    """What `action` makes of each item, in order; at most four items a thread are in hand. Raises what it raises."""
    waiting: deque[Future[R]] = deque()
    pool = Aside("side by side", threads)
    try:
        for item in items:
            waiting.append(pool.ask(partial(action, item)))
            if len(waiting) >= 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.close()
