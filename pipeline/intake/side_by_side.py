"""Many things at once, for what waits for disks and networks: results as they come, and an end that waits for none."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16


def as_they_come(work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Items with their results, in the order in which they are done. The first exception ends it.

    Threads that are still busy when the caller leaves, by an exception or Ctrl-C, are not waited for: they take nothing
    new and end with the process.
    """
    given = list(items)
    todo: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[T, R | None, BaseException | None]] = queue.SimpleQueue()
    left = threading.Event()
    for item in given:
        todo.put(item)

    def run() -> None:
        while not left.is_set():
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, work(item), None))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                left.set()  # nobody begins anything more
                done.put((item, None, error))

    for number in range(min(AT_ONCE, len(given))):
        threading.Thread(target=run, name=f"side-by-side-{number}", daemon=True).start()
    try:
        for _ in given:
            item, result, error = done.get()
            if error is not None:
                raise error
            yield item, result  # type: ignore[misc]
    finally:
        left.set()


def in_order(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Results in the order of their items."""
    given = list(items)
    results = dict(as_they_come(lambda number: work(given[number]), range(len(given))))
    return [results[number] for number in range(len(given))]
