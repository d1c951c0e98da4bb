"""Commit records: what has been rendered is a function of them and of nothing else.

An attempt writes its objects under keys of its own, then creates `<stage>/<first frame>.<generation>.json` with a
create-only put. Whoever creates it has won; everybody else drops their objects and takes the winner's. A record that
turned out damaged gets a create-only `.void` marker beside it, and the next generation is made.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject, StoreError
from pipeline.store.digests import sha256
from pipeline.store.record import Record, Stored, lacking
from pipeline.store.small_json import get_small
from pipeline.store.store import Store
from pipeline.store.transfer import fetch_object

# Seconds within which an attempt commits what it has put, or not at all: what is older and without a record can be
# removed (`longtake gc`). Even the sound of ten hours is put in minutes.
ATTEMPT_LIFE = 3600.0


@dataclass(frozen=True)
class Commit:
    """Result of a commit: the record that counts, and whether it is ours."""

    record: Record
    won: bool


def clock() -> float:
    """Seconds that go on while the machine sleeps, too, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()


def new_attempt() -> str:
    """A name that no other attempt at the same unit has; short, because playlists hold one a GOP."""
    return uuid.uuid4().hex[:16]


class Ledger:
    """The records of one stage of one title, under `prefix`."""

    def __init__(self, store: Store, prefix: str):
        self.store = store
        self.prefix = prefix
        self._begun: dict[str, float] = {}  # attempts in hand, by when they put their first object

    def key(self, first: int, generation: int) -> str:
        return f"{self.prefix}/{first:08d}.{generation}.json"

    def object_key(self, record_first: int, attempt: str, name: str) -> str:
        return f"{self.prefix}/objects/{record_first:08d}-{attempt}-{name}"

    def read(self, first: int, *, mend: bool = False) -> Record | None:
        """The record that counts: lowest generation without a void marker.

        Raises DamagedObject where it cannot be read; `mend` voids such a record instead and looks further.
        """
        for generation in count():
            key = self.key(first, generation)
            data, damage = b"", None
            try:
                data = get_small(self.store, key)
            except MissingObject:
                return None
            except DamagedObject as error:
                damage = error
            if self.store.exists(f"{key}.void"):
                continue
            try:
                if damage:
                    raise damage
                return self.parse(data, first, generation)
            except DamagedObject as error:
                if not mend:
                    raise
                self._void(first, generation, {"reason": str(error)})
        raise AssertionError("unreachable")

    def stage_object(self, first: int, attempt: str, name: str, data: bytes | Path) -> Stored:
        """Put one object of an attempt; it counts only once a record names it."""
        key = self.object_key(first, attempt, name)
        self._begun.setdefault(attempt, clock())
        if isinstance(data, Path):
            sent = self.store.put_file(key, data)
            return Stored(key, sent.sha256, sent.size)
        self.store.put(key, data)
        return Stored(key, sha256(data), len(data))

    def stage_objects(self, first: int, attempt: str, objects: Mapping[str, bytes | Path]) -> dict[str, Stored]:
        """Put the objects of an attempt side by side: each takes a round trip, or a disk's time to make it last."""
        with ThreadPoolExecutor(len(objects)) as pool:
            puts = {name: pool.submit(self.stage_object, first, attempt, name, data) for name, data in objects.items()}
            return {name: put.result() for name, put in puts.items()}

    def commit(self, record: Record) -> Commit:
        """Create the record at the first generation that no valid record holds, or find the winner.

        A loser's objects are dropped. Raises StoreError for an attempt that began so long ago that its objects may
        have been cleaned up.
        """
        if record.attempt in self._begun and clock() - self._begun.pop(record.attempt) > ATTEMPT_LIFE:
            raise StoreError(
                f"title {record.title}: {record.stage} at frame {record.first} was held up for over "
                f"{ATTEMPT_LIFE / 3600:g} h between its objects and its record; it is made again"
            )
        for generation in count():
            key = self.key(record.first, generation)
            mine = replace(record, generation=generation)
            if self.store.create(key, mine.to_json()):
                return Commit(mine, True)
            if self.store.exists(f"{key}.void"):
                continue
            try:
                winner = self.parse(get_small(self.store, key), record.first, generation)
            except DamagedObject as error:
                self._void(record.first, generation, {"reason": str(error)})
                continue
            if winner.attempt == record.attempt:  # our own put, tried again after an unclear answer
                return Commit(winner, True)
            with suppress(LongtakeError):  # what cannot be removed is in nobody's way
                self.drop(record)
            return Commit(winner, False)
        raise AssertionError("unreachable")

    def drop(self, record: Record) -> None:
        """Remove an attempt's objects."""
        self.store.delete_all(self.own_objects(record))

    def own_objects(self, record: Record) -> list[str]:
        """Keys of a record's objects. What it names outside of the stage is not its own: a view that all share."""
        return [stored.key for stored in record.objects.values() if stored.key.startswith(f"{self.prefix}/")]

    def void(self, record: Record, reason: str) -> None:
        """Have the record no longer count: its GOP is made again, as the next generation."""
        self._void(record.first, record.generation, {"reason": reason, "attempt": record.attempt})

    @contextmanager
    def voiding(self, record: Record) -> Iterator[None]:
        """Damage that is found inside voids the record, so that it is made again."""
        try:
            yield
        except DamagedObject as error:
            self.void(record, str(error))
            raise

    def _void(self, first: int, generation: int, facts: dict[str, str]) -> None:
        self.store.create(f"{self.key(first, generation)}.void", json.dumps(facts).encode())

    def parse(self, data: bytes, first: int, generation: int) -> Record:
        key = self.key(first, generation)
        record = Record.from_json(data, key)
        if (record.first, record.generation) != (first, generation):
            raise DamagedObject(f"{key}: holds the record of frame {record.first}, generation {record.generation}")
        if missing := lacking(record):
            raise DamagedObject(f"{key}: its record names no {missing}")
        return record

    def load(self, record: Record, name: str) -> bytes:
        """An object of a record, checked. Raises DamagedObject where it is not what the record says."""
        where = f"title {record.title}, {record.stage} at frame {record.first}, object {name}"
        if name not in record.objects:
            raise DamagedObject(f"{where}: its record names no such object")
        return fetch_object(self.store, record.objects[name], where)
