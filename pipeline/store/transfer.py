"""Objects on their way: checked against what their record says, and small create-only ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.errors import DamagedObject, MissingObject, StoreError
from pipeline.store.digests import sha256, sha256_of_file
from pipeline.store.record import Stored
from pipeline.store.small_json import get_json
from pipeline.store.store import Store


def fits(stored: Stored, data: bytes) -> bool:
    return len(data) == stored.size and sha256(data) == stored.sha256


def check(stored: Stored, data: bytes, where: str) -> None:
    if not fits(stored, data):
        raise DamagedObject(
            f"{where}: {stored.key} has {len(data)} bytes with sha256 {sha256(data)[:12]}…, "
            f"its record says {stored.size} bytes with {stored.sha256[:12]}…"
        )


def fetch_object(store: Store, stored: Stored, where: str) -> bytes:
    """An object, checked. Raises DamagedObject where it is not what its record says, or is not there."""
    try:
        data = store.get(stored.key)
        if not fits(stored, data):  # a second look: a record is not voided for an answer that was cut on its way
            data = store.get(stored.key)
    except MissingObject as error:
        raise DamagedObject(f"{where}: {stored.key} is missing") from error
    check(stored, data, where)
    return data


def fetch_checked(store: Store, stored: Stored, path: Path, where: str) -> None:
    """Stream an object into a local file, checked. Raises DamagedObject."""
    for _ in range(2):  # as above
        try:
            store.get_file(stored.key, path)
        except MissingObject as error:
            raise DamagedObject(f"{where}: {stored.key} is missing") from error
        if path.stat().st_size == stored.size and sha256_of_file(path, store.progress) == stored.sha256:
            return
    raise DamagedObject(f"{where}: {stored.key} is not the object that its record describes")


def create_json(store: Store, key: str, facts: Mapping[str, object]) -> dict[str, object]:
    """Create a small create-only object, or read the one that is there; returns what counts."""
    data = (json.dumps(facts, sort_keys=True, indent=1) + "\n").encode()
    if store.create(key, data):
        return dict(facts)
    try:
        found = get_json(store, key)
    except DamagedObject as error:
        raise StoreError(f"{error}; remove it to have it made again") from error
    if not isinstance(found, dict):
        raise StoreError(f"{key}: holds {type(found).__name__}, expected a mapping; remove it to have it made again")
    return found
