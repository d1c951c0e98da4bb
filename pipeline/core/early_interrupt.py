"""Ctrl-C while a command is still being loaded: nothing is in hand, so it ends there and then, with exit code 130."""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130  # what shells say of a program that Ctrl-C has ended


def begin() -> None:
    """Until `end`; does nothing where somebody else decides what Ctrl-C means."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def end() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Interrupted while loading; nothing was done.\n")
    os._exit(INTERRUPTED)
