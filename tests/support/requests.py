"""Requests of a store, counted by kind as S3 would count them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.store.remote import RemoteStore
from pipeline.store.store import Listed

KINDS = {
    "get": "GET", "get_range": "GET", "get_file": "GET", "put": "PUT", "create": "PUT", "put_file": "PUT",
    "size": "HEAD", "modified": "HEAD", "list": "LIST", "folders": "LIST", "delete": "DELETE",
}  # fmt: skip
PAGE = 1000  # names in an answer to a listing


@contextmanager
def counting(latency: float = 0.0) -> Iterator[Counter[str]]:
    """Counts the requests of every RemoteStore of this process, each of which takes `latency` seconds more."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def asked(kind: str, number: int = 1) -> None:
        with lock:
            counts[kind] += number
        time.sleep(latency * number)

    def plain(kind: str, method: Any) -> Any:
        def instead(store: RemoteStore, *arguments: Any, **more: Any) -> Any:
            asked(kind)
            return method(store, *arguments, **more)

        return instead

    listed = RemoteStore.listed

    def pages(store: RemoteStore, prefix: str, after: str = "") -> Iterator[Listed]:
        asked("LIST")
        for number, one in enumerate(listed(store, prefix, after), 1):
            if number % PAGE == 0:
                asked("LIST")
            yield one

    with pytest.MonkeyPatch.context() as patch:
        for name, kind in KINDS.items():
            patch.setattr(RemoteStore, name, plain(kind, getattr(RemoteStore, name)))
        patch.setattr(RemoteStore, "listed", pages)
        yield counts
