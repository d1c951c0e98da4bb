"""sha256 of bytes and of files, in hex."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")

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


def is_sha256(value: object) -> bool:
    """Whether a value that somebody has written down can be one."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None
