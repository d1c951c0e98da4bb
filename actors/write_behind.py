"""One thread makes, another finishes: while a GOP is encoded and committed, the next is decoded and computed.

The maker begins a unit, puts its items one by one and ends it. The finisher is a function that is given the items as an
iterator; it runs on a thread of its own, one unit after another. At most `AHEAD` items wait: a maker that has begun the
next unit stops at its `AHEAD`-th item until the former unit is finished.

Nothing is lost and nothing hangs: a finisher's error is raised in the maker at its next call, a unit that the maker
abandons ends its finisher, and leaving the `with` waits for the thread.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

AHEAD = 4  # pictures, of 25 MB each at 4096 x 4096
POLL = 0.1  # seconds between two looks at whether the other side has given up

Item = TypeVar("Item")
Result = TypeVar("Result")


class Abandoned(Exception):
    """Raised in a finisher whose unit the maker will not end."""


class _End:
    """Comes after the last item."""


class Unit(Generic[Item, Result]):
    """One unit between its maker and its finisher."""

    def __init__(self, pool: ThreadPoolExecutor, finish: Callable[[Iterator[Item]], Result]) -> None:
        self._waiting: queue.Queue[Item | _End] = queue.Queue(AHEAD)
        self.abandoned = False
        self.future: Future[Result] = pool.submit(lambda: finish(self._items()))

    def put(self, item: Item) -> None:
        """Hand over an item, as soon as there is room. Raises what the finisher raised."""
        self._put(item)

    def end(self) -> None:
        """There are no more items."""
        self._put(_End())

    def _put(self, item: Item | _End) -> None:
        while True:
            if self.future.done():
                self.future.result()
                raise RuntimeError("the finisher ended before its unit did")
            try:
                return self._waiting.put(item, timeout=POLL)
            except queue.Full:
                continue

    def _items(self) -> Iterator[Item]:
        while True:
            if self.abandoned:
                raise Abandoned
            try:
                item = self._waiting.get(timeout=POLL)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                return
            yield item


class Behind(Generic[Item, Result]):
    """The finisher's thread. All methods are the maker's."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="finisher")
        self._units: list[Unit[Item, Result]] = []  # begun and not yet told of, in order

    def __enter__(self) -> Behind[Item, Result]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for unit in self._units:
            unit.abandoned = True
        self._pool.shutdown()

    def begin(self, finish: Callable[[Iterator[Item]], Result]) -> Unit[Item, Result]:
        self._units.append(Unit(self._pool, finish))
        return self._units[-1]

    def abandon(self, unit: Unit[Item, Result]) -> None:
        """The unit will not be ended: its finisher is told so, and nothing comes of it."""
        unit.abandoned = True
        self._units = [one for one in self._units if one is not unit]

    def finished(self) -> Iterator[Result]:
        """Results of units that are finished by now. Raises what a finisher raised."""
        while self._units and self._units[0].future.done():
            yield self._units.pop(0).future.result()

    def rest(self) -> Iterator[Result]:
        """Results of all units, as they are finished; all of them have been ended."""
        while self._units:
            yield self._units.pop(0).future.result()
