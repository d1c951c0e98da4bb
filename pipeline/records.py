"""Commit records: what has been rendered is a function of them and of nothing else.

An attempt writes its objects under keys of its own, then creates `<stage>/<first frame>.<generation>.json` with a
create-only put. Whoever creates it has won; everybody else drops their objects and takes the winner's. A record that
turned out damaged gets a create-only `.void` marker beside it, and the next generation is made.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import DamagedObject, MissingObject, StoreError
from pipeline.store import Store

VERSION = 1
_NAME = re.compile(r"(\d{8})\.(\d+)\.json$")
_READERS = 16  # threads that read records of a stage: S3 answers in tens of milliseconds
_HASH_CHUNK = 1 << 20


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Stored:
    """An object that a record vouches for."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Record:
    """One committed unit of one stage of one title.

    `plan` is the hash that the stage lies under; `parent` and `state` are the sha256 of the chain state it started from
    and left; `uses` names the records it read, by sha256 of their objects; `made` says when, where and for how long,
    and is the only part that may differ between two runs.
    """

    stage: str
    title: str
    plan: str
    first: int
    frames: int
    attempt: str
    objects: dict[str, Stored]
    generation: int = 0
    parent: str | None = None
    state: str | None = None
    uses: dict[str, str] = field(default_factory=dict)
    numerics: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), sort_keys=True, indent=1) + "\n").encode()

    @staticmethod
    def from_json(data: bytes, where: str) -> Record:
        """Raises DamagedObject where the bytes are not a record of this version."""
        try:
            fields = json.loads(data)
            fields["objects"] = {name: Stored(**stored) for name, stored in fields["objects"].items()}
            record = Record(**fields)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DamagedObject(f"{where}: not a commit record ({type(error).__name__}: {error})") from error
        if record.version != VERSION:
            raise DamagedObject(f"{where}: record version {record.version}, expected {VERSION}")
        if not isinstance(record.first, int) or not isinstance(record.frames, int):
            raise DamagedObject(f"{where}: first frame {record.first!r} and count {record.frames!r} are not integers")
        return record


@dataclass(frozen=True)
class Commit:
    """Result of a commit: the record that counts, and whether it is ours."""

    record: Record
    won: bool


def new_attempt() -> str:
    return uuid.uuid4().hex


class Ledger:
    """The records of one stage of one title, under `prefix`."""

    def __init__(self, store: Store, prefix: str):
        self.store = store
        self.prefix = prefix

    def key(self, first: int, generation: int) -> str:
        return f"{self.prefix}/{first:08d}.{generation}.json"

    def object_key(self, record_first: int, attempt: str, name: str) -> str:
        return f"{self.prefix}/objects/{record_first:08d}-{attempt}-{name}"

    def read(self, first: int) -> Record | None:
        """The record that counts: lowest generation without a void marker."""
        generation = 0
        while True:
            key = self.key(first, generation)
            try:
                data = self.store.get(key)
            except MissingObject:
                return None
            if not self.store.exists(f"{key}.void"):
                return Record.from_json(data, key)
            generation += 1

    def read_prefix(self, firsts: range, *, chunk: int = 256) -> Iterator[Record]:
        """Records at `firsts`, in order, until the first that is missing; read in parallel, in bounded memory."""
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(firsts), chunk):
                for record in pool.map(self.read, firsts[start : start + chunk]):
                    if record is None:
                        return
                    yield record

    def hinted(self) -> list[int]:
        """First frames for which a listing shows records: a hint of which to read."""
        found = (_NAME.search(key) for key in self.store.list(self.prefix))
        return sorted({int(match[1]) for match in found if match})

    def stage_object(self, first: int, attempt: str, name: str, data: bytes | Path) -> Stored:
        """Put one object of an attempt; it counts only once a record names it."""
        key = self.object_key(first, attempt, name)
        if isinstance(data, Path):
            self.store.put_file(key, data)
            return Stored(key, sha256_of_file(data), data.stat().st_size)
        self.store.put(key, data)
        return Stored(key, sha256(data), len(data))

    def commit(self, record: Record) -> Commit:
        """Create the record at the first free generation that has no valid predecessor, or find the winner."""
        generation = 0
        while True:
            key = self.key(record.first, generation)
            mine = Record(**{**_shallow(record), "generation": generation})
            if self.store.create(key, mine.to_json()):
                return Commit(mine, True)
            if not self.store.exists(f"{key}.void"):
                winner = Record.from_json(self.store.get(key), key)
                if winner.attempt == record.attempt:  # our own put, tried again after an unclear answer
                    return Commit(winner, True)
                self.drop(record)
                return Commit(winner, False)
            generation += 1

    def drop(self, record: Record) -> None:
        for stored in record.objects.values():
            self.store.delete(stored.key)

    def void(self, record: Record, reason: str) -> None:
        marker = json.dumps({"reason": reason, "attempt": record.attempt}).encode()
        self.store.create(f"{self.key(record.first, record.generation)}.void", marker)

    def load(self, record: Record, name: str) -> bytes:
        """An object of a record, checked. Raises DamagedObject where it is not what the record says."""
        stored = record.objects[name]
        where = f"title {record.title}, {record.stage} at frame {record.first}, object {name}"
        try:
            data = self.store.get(stored.key)
        except MissingObject as error:
            raise DamagedObject(f"{where}: {stored.key} is missing") from error
        check(stored, data, where)
        return data


def check(stored: Stored, data: bytes, where: str) -> None:
    if len(data) != stored.size or sha256(data) != stored.sha256:
        raise DamagedObject(
            f"{where}: {stored.key} has {len(data)} bytes with sha256 {sha256(data)[:12]}…, "
            f"its record says {stored.size} bytes with {stored.sha256[:12]}…"
        )


def fetch_checked(store: Store, stored: Stored, path: Path, where: str) -> None:
    """Stream an object into a local file, checked. Raises DamagedObject."""
    try:
        store.get_file(stored.key, path)
    except MissingObject as error:
        raise DamagedObject(f"{where}: {stored.key} is missing") from error
    if path.stat().st_size != stored.size or sha256_of_file(path) != stored.sha256:
        raise DamagedObject(f"{where}: {stored.key} is not the object that its record describes")


def create_json(store: Store, key: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Create a small create-only object, or read the one that is there; returns what counts."""
    data = (json.dumps(facts, sort_keys=True, indent=1) + "\n").encode()
    if store.create(key, data):
        return dict(facts)
    try:
        return json.loads(store.get(key))
    except ValueError as error:
        raise StoreError(f"{key}: not JSON ({error}); remove it to have it made again") from error


def _shallow(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
