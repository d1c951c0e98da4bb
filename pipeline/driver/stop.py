"""Ctrl-C and SIGTERM: the first asks to finish what is in hand, the second stops now."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from types import FrameType

import click

INTERRUPTED = 75  # exit code: run again to continue
AGAIN = "Run the same command again to continue."
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Use as a context manager around the whole command.

    Before `hold` nothing is in hand, and a signal raises KeyboardInterrupt wherever the program stands. That may be in
    code that makes another exception of it (Python 3.11 does in `__set_name__`) or drops it (in `__del__`): whoever
    catches an exception asks `interrupted`, and `hold` raises what was dropped.
    """

    def __init__(self) -> None:
        self.interrupted = False  # by a signal, before there was anything to finish
        self._reason: str | None = None
        self._first: Callable[[], None] | None = None
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | signal.Handlers | None] = {}

    def reason(self) -> str | None:
        """The signal that came, in words; None before."""
        return self._reason

    def hold(self, first: Callable[[], None] = lambda: None) -> None:
        """From now on the first signal is noted, and calls `first` at once; whoever asks for `reason` acts on it."""
        self._catch_all()  # again, because Ray sets a handler of its own when it starts
        self._first = first
        if self.interrupted:
            raise KeyboardInterrupt

    def __enter__(self) -> Stop:
        self._catch_all()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch_all(self) -> None:
        for number in _SIGNALS:
            try:
                before = signal.signal(number, self._catch)
            except ValueError:  # not in the main thread: whoever runs us handles signals
                return
            self._before.setdefault(number, before)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self._first is None:
            self.interrupted = True
            raise KeyboardInterrupt
        if self._reason is not None:
            stop_now()
        self._reason = f"{signal.Signals(number).name} received"
        self._first()


def stop_now() -> None:
    """End this process where it stands: whatever is half done in the store does not count."""
    logging.shutdown()
    os._exit(INTERRUPTED)


def stop_now_after(seconds: float) -> None:
    """For work in this very thread, which nobody else can end."""

    def end(number: int, frame: FrameType | None) -> None:
        click.echo(f"Not finished within {seconds:g} s. {AGAIN}", err=True)
        stop_now()

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
