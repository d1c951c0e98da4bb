"""Checkpoints of records: 256 neighbouring GOPs of a stage in one object, so that a long title takes few requests.

A checkpoint is a cache and never truth. Its name holds a digest of the names and sizes that the listing shows for its
records, so one made before a record was voided and made anew is not found any more; and every record in it must have
the sha256 that stands beside it. Where anything is odd the records themselves are read.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Mapping

from pipeline.core.errors import StoreError
from pipeline.core.timeline import GOP
from pipeline.store.digests import sha256
from pipeline.store.small_json import get_small, parse_json
from pipeline.store.store import Store

RECORDS = 256  # records in a checkpoint
FRAMES = RECORDS * GOP  # that it covers
MARK = "fold-"  # how its name begins
VERSION = 1
_HELD = 6  # checkpoints that are being collected: records are read side by side, and come a little out of order

Sizes = Mapping[int, tuple[int, int]]  # first frame → (generation, bytes) of the record that counts


def base_of(first: int) -> int:
    """First frame of the checkpoint that the record of frame `first` belongs to."""
    return first // FRAMES * FRAMES


def checkpoint_key(prefix: str, base: int, sizes: Sizes) -> str | None:
    """Where the checkpoint of these records lies; None where not all of them are there."""
    listed = []
    for first in range(base, base + FRAMES, GOP):
        if first not in sizes:
            return None
        generation, size = sizes[first]
        listed.append(f"{first}.{generation}:{size}")
    return f"{prefix}/{MARK}{base:08d}-{sha256(' '.join(listed).encode())[:16]}.json"


def read_checkpoint(store: Store, key: str, base: int, sizes: Sizes) -> dict[int, bytes]:
    """The records of a checkpoint as they were written, by first frame; those that do not fit are left out."""
    try:
        facts = parse_json(get_small(store, key))
        if facts["version"] != VERSION:
            return {}
        texts = [(str(one["sha256"]), str(one["record"]).encode()) for one in facts["records"]]
    except (StoreError, ValueError, KeyError, TypeError):
        return {}
    found = {}
    for first, (digest, data) in zip(range(base, base + FRAMES, GOP), texts, strict=False):
        if sizes.get(first, (0, -1))[1] == len(data) and sha256(data) == digest:
            found[first] = data
    return found


class CheckpointWriter:
    """Collects records as they are read, and writes a checkpoint whenever 256 neighbours are in."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix
        self._held: dict[int, dict[int, tuple[int, bytes]]] = {}  # first frame of a checkpoint → records, packed
        self._lock = threading.Lock()

    def add(self, first: int, generation: int, data: bytes) -> None:
        """A record that was read, from any thread. Raises StoreError where the checkpoint cannot be written."""
        packed = zlib.compress(data, 1)
        with self._lock:
            base = base_of(first)
            if base not in self._held:
                newest = sorted((*self._held, base))[-_HELD:]
                self._held = {one: self._held.get(one, {}) for one in newest}
            if base not in self._held:
                return
            held = self._held[base]
            held[first] = generation, packed
            if len(held) < RECORDS:
                return
            del self._held[base]
        raw = {one: zlib.decompress(packed) for one, (_, packed) in sorted(held.items())}
        key = checkpoint_key(self._prefix, base, {one: (held[one][0], len(raw[one])) for one in raw})
        if key is not None:
            rows = [{"sha256": sha256(data), "record": data.decode(errors="replace")} for data in raw.values()]
            self._store.create(key, json.dumps({"version": VERSION, "records": rows}).encode())
