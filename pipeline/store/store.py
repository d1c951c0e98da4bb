"""Object storage: a folder, `memory://` or any fsspec URL, behind one small interface.

Three guarantees that everything else leans on:

* `put` replaces an object whole: a reader sees the old bytes or the new ones, never a mixture;
* `create` writes an object only if the key is free, and says whether it did: of two racing writers one wins;
* what `put` or `create` has returned from survives the death of this process.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import MissingObject, StoreError
from pipeline.core.parallel import parallel_map
from pipeline.core.safe_text import redact

Names = list[str]  # spelt out here: inside the classes `list` is a method


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it: bytes, and when it was written as `Store.modified` has it."""

    key: str
    size: int
    modified: float

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class Unfinished:
    """A write that was begun and has no name yet. `handle` is the store's own; `modified` as Store.modified."""

    key: str
    handle: str
    size: int
    modified: float


@dataclass(frozen=True)
class Sent:
    """What went to the store: bytes, and their sha256."""

    sha256: str
    size: int


class Store(ABC):
    """Keys are relative POSIX paths; `url` is where they lie, without credentials in `str()`.

    Every method raises StoreError where the store does not answer as it should, and OutputError where access is denied
    or the address cannot be written to.

    `progress` is called, in whichever thread it happens, after every request, every try of one, and every few megabytes
    of a file: a sign of life for whoever waits. It does nothing until it is replaced.
    """

    def __init__(self, url: str):
        self.url = url
        self._lists_at_once: bool | None = None
        self.progress: Callable[[], None] = lambda: None

    def __str__(self) -> str:
        return redact(self.url)

    @abstractmethod
    def get(self, key: str) -> bytes:
        """The whole object. Raises MissingObject."""

    @abstractmethod
    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of the object, fewer where it ends earlier. Raises MissingObject."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None: ...

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Write the object unless the key is taken; True if this call wrote it.

        After trouble on the way the answer may be False although this very call wrote it: who cares compares the bytes.
        """

    @abstractmethod
    def put_file(self, key: str, path: Path) -> Sent:
        """As `put`, streamed from a local file, which is read once. Returns what was read."""

    @abstractmethod
    def get_file(self, key: str, path: Path) -> None:
        """Stream the object into a local file. Raises MissingObject."""

    @abstractmethod
    def exists(self, key: str) -> bool: ...

    @abstractmethod
    def size(self, key: str) -> int:
        """Bytes of the object. Raises MissingObject."""

    @abstractmethod
    def modified(self, key: str) -> float:
        """When the object was written, in seconds since 1970 by the store's clock. Raises MissingObject."""

    @abstractmethod
    def list(self, prefix: str) -> Names:
        """Sorted keys of the objects directly in the folder `prefix` ("" is the top)."""

    def listed(self, prefix: str, after: str = "") -> Iterator[Listed]:
        """As `list`, with sizes and times, of the objects whose names sort behind `after`."""
        for key in self.list(prefix):
            if key.rpartition("/")[2] > after:
                with suppress(MissingObject):
                    yield Listed(key, self.size(key), self.modified(key))

    def lists_at_once(self) -> bool:
        """Whether a listing shows what was written just before it, and not what was removed: tried once, by writing.

        Where it does not, readers ask for every object by its name.
        """
        if self._lists_at_once is None:
            folder = f"_probe-{uuid.uuid4().hex}"
            self.put(f"{folder}/there", b"")
            there = self.list(folder) == [f"{folder}/there"]
            self.delete(f"{folder}/there")
            self._lists_at_once = there and not self.list(folder)
        return self._lists_at_once

    @abstractmethod
    def folders(self, prefix: str) -> Names:
        """Sorted names of the folders directly in the folder `prefix`."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object if it is there."""

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove many objects, as far as they are there: side by side, or in batches where the store has them."""
        for _ in parallel_map(self.delete, keys):
            pass

    def unfinished(self) -> Iterator[Unfinished]:
        """What writers left that died in the middle, anywhere in the store, as far as it shows it."""
        return iter(())

    def discard(self, one: Unfinished) -> None:
        """Remove what a writer left unfinished. Raises StoreError in stores that show none."""
        raise StoreError(f"output {self}: has no unfinished write {one.key}")

    def honours_create(self) -> bool:
        """Whether this store really refuses to create an object twice."""
        key = f"_probe-{uuid.uuid4().hex}"
        self.create(key, b"first")
        try:
            return not self.create(key, b"second") and self.get(key) == b"first"
        finally:
            self.delete(key)


def check_key(key: str) -> str:
    parts = key.split("/")
    if not key or any(part in ("", ".", "..") for part in parts) or "\\" in key or "\0" in key:
        raise StoreError(f"object key {key!r}: expected a relative path without empty, '.' or '..' parts")
    return key


def key_in(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
