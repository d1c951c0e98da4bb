"""Work beside the one who asks for it: what may take longer than a moment is asked for here, and its end seen later."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class DaemonPool:
    """Threads that carry out what they are asked for, in order. They end with the process, whatever they wait for.

    Those of `concurrent.futures` do not: a process that is to end would wait for a store that does not answer.
    """

    def __init__(self, name: str, threads: int = 1):
        self._name, self._most, self._closed = name, threads, False
        self._threads: list[threading.Thread] = []
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def submit(self, action: Callable[[], T]) -> Future[T]:
        answer: Future[T] = Future()
        self._asked.put(partial(self._carry_out, answer, action))
        if len(self._threads) < self._most:
            self._threads.append(threading.Thread(target=self._work, name=self._name, daemon=True))
            self._threads[-1].start()
        return answer

    def close(self) -> None:
        """Nothing more is begun, and the threads end; who waits for an answer that did not come is told so."""
        self._closed = True
        for _ in self._threads:
            self._asked.put(None)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            asked()

    def _carry_out(self, answer: Future[T], action: Callable[[], T]) -> None:
        if self._closed:
            answer.cancel()
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is looked at
            answer.set_exception(error)
