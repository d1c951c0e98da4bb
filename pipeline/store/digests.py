"""sha256 of bytes and of files, in hex."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

CHUNK = 4 << 20  # bytes read at a time


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path, progress: Callable[[], None] = lambda: None) -> str:
    """`progress` is called every few megabytes: a large file takes minutes."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            whole.update(data)
            progress()
    return whole.hexdigest()
