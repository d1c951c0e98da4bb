"""Requests that reach an object store, by what they are about."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from urllib.parse import unquote

from tests.support.faulty_s3 import Asked

_RECORD = re.compile(r"/(conditioning|features|chain|stream|done|sound/[0-9a-f]+)/(\d{8})\.\d+\.json(\.void)?$")
_MADE = re.compile(r"/(chain|stream|done)/\d{8}\.\d+\.json$")


def about(key: str) -> str:
    """What a key is: object, record, void, checkpoint, playlist, page, view or of the run."""
    if found := _RECORD.search(key):
        return "void" if found[3] else "record"
    if "/objects/" in key:
        return "object"
    if "/fold-" in key:
        return "checkpoint"
    if key.endswith(".m3u8"):
        return "playlist"
    if key.endswith((".html", "page.json")) or "_pages/" in key:
        return "page"
    return "run" if "/_" in key else "view"


class Seen:
    """Counts requests as they come, for a proxy's `choose`; `made` are records created, with the time of the last."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.last: dict[str, float] = {}
        self._lock = threading.Lock()

    def choose(self, asked: Asked) -> str:
        listing = asked.method == "GET" and "list-type" in asked.query
        kind = "LIST" if listing else f"{asked.method} {about(unquote(asked.key))}"
        with self._lock:
            self.counts[kind] += 1
            if asked.method == "PUT" and (found := _MADE.search(asked.key)):
                self.made[found[1]] += 1
                self.last[found[1]] = time.monotonic()
        return ""
