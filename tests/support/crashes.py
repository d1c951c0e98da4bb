"""A store that fails at its k-th operation, and what a render leaves in any store, for tests of crash safety."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.pages import writer
from pipeline.scheduler import ready_jobs, retries
from pipeline.store.local import LocalStore
from pipeline.store.opening import open_store
from pipeline.store.remote import RemoteStore
from pipeline.store.store import Store
from tests.conftest import render_inline

READS = ("get", "get_range", "get_file", "exists", "size", "list", "listed", "folders")
WRITES = ("put", "create", "put_file", "delete")
MOMENTS = ("before", "half-way", "after")
_RECORD = re.compile(r"/\d{8}\.\d+\.json$")


class Killed(BaseException):
    """The process is gone: nothing catches this, and no operation comes after it."""


class Fault:
    """Counts the operations of all stores, and makes the `at`-th of some kinds fail at a moment."""

    def __init__(
        self,
        at: int | None = None,
        moment: str = "before",
        error: type[BaseException] = Killed,
        kinds: tuple[str, ...] = WRITES,
    ):
        self.at, self.moment, self.error, self.kinds = at, moment, error, kinds
        self.dead = False
        self.counts: Counter[str] = Counter()
        self._lock, self._here = threading.Lock(), threading.local()

    @property
    def count(self) -> int:
        """Operations so far of the kinds that may fail."""
        return self.of(self.kinds)

    def of(self, kinds: tuple[str, ...]) -> int:
        return sum(self.counts[name] for name in kinds)

    def wrapped(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def operation(store: Store, key: str, *arguments: Any) -> Any:
            if getattr(self._here, "inside", False):  # one that a counted operation is made of
                return method(store, key, *arguments)
            if self.dead:
                raise Killed
            self._here.inside = True
            try:
                with self._lock:
                    self.counts[name] += 1
                    mine = name in self.kinds and self.count == self.at
                if not mine:
                    return method(store, key, *arguments)
                self.dead = self.error is Killed
                if self.moment == "after":
                    method(store, key, *arguments)
                elif self.moment == "half-way" and name in WRITES and name != "delete":
                    leave_half(store, key)
                raise self.error(f"{self.moment} operation {self.at}, {name} {key}")
            finally:
                self._here.inside = False

        return operation


def leave_half(store: Store, key: str) -> None:
    """What a writer leaves that dies in the middle: nobody sees it under its name."""
    if isinstance(store, LocalStore):
        path = store.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / f".{path.name}.half").write_bytes(b"half of it")
    elif isinstance(store, RemoteStore) and "s3" in store.fs.protocol:
        bucket, _, name = store.path(key).partition("/")
        upload = store.fs.call_s3("create_multipart_upload", Bucket=bucket, Key=name)
        part = {"UploadId": upload["UploadId"], "PartNumber": 1, "Body": b"half of it"}
        store.fs.call_s3("upload_part", Bucket=bucket, Key=name, **part)


@contextmanager
def failing(fault: Fault) -> Iterator[Fault]:
    """Every store of this process has the fault; retries of the scheduler do not wait."""
    with pytest.MonkeyPatch.context() as patch:
        for store in (LocalStore, RemoteStore):
            for name in READS + WRITES:
                patch.setattr(store, name, fault.wrapped(name, getattr(store, name)))
        patch.setattr(retries, "BACKOFF", 0.0)
        yield fault


@contextmanager
def one_playlist() -> Iterator[None]:
    """How many playlists a render writes would depend on how long it takes; here each title gets its first only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ready_jobs, "PLAYLIST_EVERY", 1e9)
        patch.setattr(writer, "EVERY", 1e9)  # so the pages are written at the beginning and at the end
        yield


def keys_under(store: Store, prefix: str = "") -> Iterator[str]:
    yield from store.list(prefix)
    for name in store.folders(prefix):
        yield from keys_under(store, f"{prefix}/{name}" if prefix else name)


def records(store: Store) -> dict[str, Any]:
    """Everything that records say, but for who made them and when."""
    found = {}
    for key in sorted(keys_under(store)):
        if not _RECORD.search(key):
            continue
        facts = json.loads(store.get(key))
        for one in facts["objects"].values():
            one["key"] = one["key"].replace(facts["attempt"], "attempt")
        del facts["attempt"], facts["made"]
        found[key] = facts
    return found


def attempts(store: Store) -> dict[str, str]:
    """Who made each record."""
    return {key: json.loads(store.get(key))["attempt"] for key in keys_under(store) if _RECORD.search(key)}


def same_after_kills(manifest: Path, folder: Path, *percents: int) -> None:
    """Renders into `folder` without a fault, then once for each share of its writes with a kill there, and again."""
    with one_playlist():
        with failing(Fault()) as undisturbed:
            assert render_inline(manifest, "--output", str(folder / "whole")) == 0
        expected = records(open_store(str(folder / "whole")))
        for percent in percents:
            output = str(folder / f"killed-{percent}")
            with failing(Fault(percent * undisturbed.count // 100)), pytest.raises(Killed):
                render_inline(manifest, "--output", output)
            assert render_inline(manifest, "--output", output) == 0
            assert records(open_store(output)) == expected, f"killed after {percent} % of the writes"
