"""Small JSON objects of the store, which anybody may have put there: read in bounded memory, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.store.store import Store

LARGEST = 16 << 20  # bytes; what is remembered of the inputs of a title of 10,000 files takes three


def get_small(store: Store, key: str) -> bytes:
    """The whole object. Raises MissingObject, and DamagedObject where it is larger than any of ours."""
    data = store.get_range(key, 0, LARGEST + 1)
    if len(data) > LARGEST:
        raise DamagedObject(f"{key}: larger than {LARGEST >> 20} MiB, expected a small JSON object")
    return data


def put_changed(store: Store, key: str, data: bytes) -> None:
    """Put a small object unless it is there already, so that a run over finished work writes nothing."""
    try:
        same = get_small(store, key) == data
    except (MissingObject, DamagedObject):
        same = False
    if not same:
        store.put(key, data)


def parse_json(data: bytes) -> Any:
    """Plain data. Raises ValueError for everything that is no JSON, deep nesting and numbers without end included."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def get_json(store: Store, key: str) -> Any:
    """The plain data of an object. Raises MissingObject, and DamagedObject where it is no JSON."""
    try:
        return parse_json(get_small(store, key))
    except ValueError as error:
        raise DamagedObject(f"{key}: not JSON ({' '.join(str(error).split())[:120]})") from None
