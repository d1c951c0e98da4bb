"""What a command prints: where it cannot be written, that is an error of its own, and not any file's."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from pipeline.core.errors import UserError


class Unprintable(UserError):
    """Standard output takes nothing more: a full disk, most often."""


class _Told:
    """A stream whose faults are told as Unprintable; a reader that went away (`| head`) is none."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    @property
    def buffer(self) -> _Told:
        """What click writes to where the terminal knows no letters but those of English."""
        return _Told(cast(TextIO, self._stream.buffer))

    def write(self, data: str) -> int:
        with _told():
            return self._stream.write(data)

    def flush(self) -> None:
        with _told():
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        reason = error.strerror or error
        raise Unprintable(
            f"standard output cannot be written ({reason}); make room there, or send it elsewhere"
        ) from error


@contextmanager
def told_apart() -> Iterator[None]:
    """Within, `sys.stdout` raises Unprintable; what is left unprinted then is forgotten."""
    stream = sys.stdout
    if stream is None:  # closed by whoever started us: nothing is printed
        yield
        return
    told = cast(TextIO, _Told(stream))
    sys.stdout = told
    try:
        yield
        sys.stdout.flush()
    except Unprintable:
        if stream is sys.__stdout__:  # else Python would try again when it ends, and say so
            os.dup2(os.open(os.devnull, os.O_WRONLY), told.fileno())
        raise
    finally:
        if sys.stdout is told:  # click puts another in its place for a reader that went away
            sys.stdout = stream
