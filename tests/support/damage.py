"""Damage to a rendered output, for tests of those who must notice it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def only(folder: Path, pattern: str) -> Path:
    """The one path that matches."""
    (found,) = folder.glob(pattern)
    return found


def flip(path: Path, place: float = 0.5) -> None:
    """Flip one bit at a place between 0 and 1."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def edit_record(path: Path, **fields: Any) -> None:
    """Change fields of a commit record in place."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def replace_object(output: Path, record: Path, name: str, data: bytes) -> None:
    """Put other bytes in the place of an object, and make its record vouch for them."""
    fields = json.loads(record.read_text())
    stored = fields["objects"][name]
    (output / stored["key"]).write_bytes(data)
    stored |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    record.write_text(json.dumps(fields))


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
