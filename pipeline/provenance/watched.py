"""Files that a library reads and writes for minutes: how far it is, and what it has read."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LOOK_EVERY = 1.0  # seconds between two looks at what this process has read and written
_STEP = 1 << 20  # bytes of it that are progress


class Watched(io.RawIOBase):
    """A file whose every read and write is a sign of life; `sha256` is that of its bytes from first to last.

    The bytes are hashed as they are read for the first time, in whatever order the rest is asked for.
    """

    def __init__(self, file: BinaryIO, alive: Callable[[], None]):
        self._file, self._alive = file, alive
        self._whole, self._heard = hashlib.sha256(), 0

    def readinto(self, buffer: Any) -> int:
        start = self._file.tell()
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        if start <= self._heard < start + len(data):
            self._whole.update(data[self._heard - start :])
            self._heard = start + len(data)
        self._alive()
        return len(data)

    def write(self, data: ReadableBuffer) -> int:
        self._alive()
        return self._file.write(data)

    def sha256(self) -> str:
        """Reads what has not been read by now."""
        self._file.seek(self._heard)
        while data := self._file.read(4 << 20):
            self._whole.update(data)
            self._heard += len(data)
            self._alive()
        return self._whole.hexdigest()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)

    def flush(self) -> None:
        self._file.flush()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@contextmanager
def busy(alive: Callable[[], None]) -> Iterator[None]:
    """Signs of life while this process reads and writes files, seen or unseen, as far as the system counts it."""
    ended = threading.Event()

    def watch() -> None:
        last = _moved()
        while not ended.wait(LOOK_EVERY):
            if (now := _moved()) - last >= _STEP:
                last = now
                alive()

    threading.Thread(target=watch, name="busy", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _moved() -> int:
    """Bytes that this process has read and written; 0 where the system does not count them."""
    with suppress(OSError, ValueError):
        lines = (line.split() for line in Path("/proc/self/io").read_text().splitlines())
        return sum(int(number) for name, number in lines if name in ("rchar:", "wchar:"))
    return 0
