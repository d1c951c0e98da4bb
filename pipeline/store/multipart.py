"""Uploads to S3 in parts: a part that fails is sent again, not the file; an upload that ends early is taken back."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import Protocol, TypedDict

from pipeline.core.daemon_pool import DaemonPool
from pipeline.core.errors import LongtakeError, MissingObject, StoreError
from pipeline.store.store import Sent

PART = 16 << 20  # bytes
MOST_PARTS = 9_000  # S3 allows 10,000
AT_ONCE = 4  # parts on their way: so many are in memory


class Answer(TypedDict, total=False):
    """What is read of S3's answers."""

    UploadId: str
    ETag: str


class Asks(Protocol):
    """A store whose requests are tried again, each on its own, while their trouble may pass."""

    def ask(self, key: str, name: str, **asked: object) -> Answer: ...

    def size(self, key: str) -> int: ...


class Target:
    """The object that a file becomes: `key` of a store, at `path`, bucket and name."""

    def __init__(self, store: Asks, key: str, path: str):
        self._store, self._key = store, key
        self._bucket, _, self._name = path.partition("/")

    def ask(self, name: str, **asked: object) -> Answer:
        """A request of S3 by its name. Raises MissingObject."""
        return self._store.ask(self._key, name, Bucket=self._bucket, Key=self._name, **asked)

    def arrived(self, size: int) -> bool:
        """Whether the finished object is there and of this size."""
        try:
            return self._store.size(self._key) == size
        except MissingObject:
            return False


def part_size(size: int) -> int:
    """Bytes of a part of a file of `size` bytes: few enough parts, each small enough to be sent twice."""
    return max(PART, -(-size // MOST_PARTS))


def upload(parts: Target, path: Path, facts: dict[str, str]) -> Sent:
    """Send a file, read once from its first to its last byte, in parts side by side. Returns what was sent.

    `facts`: headers of the object. Raises StoreError where a part is refused for good; nothing is then left behind.
    """
    number = parts.ask("create_multipart_upload", **facts)["UploadId"]
    whole = hashlib.sha256()
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            tags = _send(parts, number, _read(file.read, part_size(size), whole.update))
        _complete(parts, number, tags, size)
    except BaseException:
        with contextlib.suppress(LongtakeError):
            parts.ask("abort_multipart_upload", UploadId=number)
        raise
    return Sent(whole.hexdigest(), size)


def _read(read: Callable[[int], bytes], size: int, hear: Callable[[bytes], None]) -> Iterator[bytes]:
    while data := read(size):
        hear(data)
        yield data


def _send(parts: Target, upload_id: str, pieces: Iterator[bytes]) -> list[dict[str, object]]:
    """ETags of all parts, in order."""
    found: dict[int, str] = {}
    waiting: dict[Future[Answer], int] = {}

    def collect(done: set[Future[Answer]]) -> None:
        for one in done:
            found[waiting.pop(one)] = one.result()["ETag"]

    pool = DaemonPool("parts", AT_ONCE)  # whoever is to end does not wait for a store that takes its time
    try:
        for number, data in enumerate(pieces, 1):
            while len(waiting) >= AT_ONCE:
                collect(wait(waiting, return_when=FIRST_COMPLETED).done)
            asked = partial(parts.ask, "upload_part", UploadId=upload_id, PartNumber=number, Body=data)
            waiting[pool.submit(asked)] = number
        collect(wait(waiting).done)
    except LongtakeError:
        pool.close()
        wait(waiting)  # no part arrives after the upload was taken back
        raise
    finally:
        pool.close()
    return [{"PartNumber": number, "ETag": found[number]} for number in sorted(found)]


def _complete(parts: Target, upload_id: str, tags: list[dict[str, object]], size: int) -> None:
    """Put the parts together. A store that did so, and whose answer was lost, no longer knows the upload."""
    try:
        parts.ask("complete_multipart_upload", UploadId=upload_id, MultipartUpload={"Parts": tags})
    except (MissingObject, StoreError):
        if not parts.arrived(size):
            raise
