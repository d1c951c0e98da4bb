"""Work beside the driver's loop: what may take longer than a moment is asked for here, and its end looked for later."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Aside:
    """Threads that carry out what they are asked for, in order. They end with the process, whatever they wait for."""

    def __init__(self, name: str, threads: int = 1):
        self._name, self._most = name, threads
        self._threads: list[threading.Thread] = []
        self._asked: queue.SimpleQueue[tuple[Future, Callable[[], object]]] = queue.SimpleQueue()

    def ask(self, action: Callable[[], T]) -> Future[T]:
        answer: Future[T] = Future()
        self._asked.put((answer, action))
        if len(self._threads) < self._most:
            self._threads.append(threading.Thread(target=self._work, name=self._name, daemon=True))
            self._threads[-1].start()
        return answer

    def _work(self) -> None:
        while True:
            answer, action = self._asked.get()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(action())
            except BaseException as error:  # noqa: BLE001 - raised where the answer is looked at
                answer.set_exception(error)
