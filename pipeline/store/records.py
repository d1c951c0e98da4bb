"""Commit records: what has been rendered is a function of them and of nothing else.

An attempt writes its objects under keys of its own, then creates `<stage>/<first frame>.<generation>.json` with a
create-only put. Whoever creates it has won; everybody else drops their objects and takes the winner's. A record that
turned out damaged gets a create-only `.void` marker beside it, and the next generation is made.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject, OutputError, StoreError
from pipeline.store.small_json import get_json, get_small, parse_json
from pipeline.store.store import Store, check_key

VERSION = 1
_NAME = re.compile(r"(\d{8})\.(\d+)\.json$")
_USED = re.compile(r"[a-z0-9_]{1,40}(/[0-9]{1,12})?")  # what a record may use: a stage and a first frame
_MOST = 1 << 53
_READERS = 16  # threads that read records of a stage: S3 answers in tens of milliseconds
_HASH_CHUNK = 1 << 20
# Seconds within which an attempt commits what it has put, or not at all: what is older and without a record can be
# removed (`longtake gc`). Even the sound of ten hours is put in minutes.
ATTEMPT_LIFE = 3600.0


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
        """Raises DamagedObject where the bytes are not a record, OutputError where a later version wrote them."""
        try:
            fields = parse_json(data)
            if isinstance(fields["version"], int) and fields["version"] > VERSION:
                raise OutputError(
                    f"{where}: written by a later version (record version {fields['version']}, this program knows "
                    f"{VERSION}); render with that version, or choose another output"
                )
            fields["objects"] = {name: Stored(**stored) for name, stored in fields["objects"].items()}
            record = Record(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedObject(f"{where}: not a commit record ({type(error).__name__}: {error})") from error
        if wrong := record._wrong():
            raise DamagedObject(f"{where}: not a commit record ({wrong})")
        return record

    def _wrong(self) -> str | None:
        """What is not of its type, or None."""
        if self.version != VERSION:
            return f"version {self.version!r}"
        if not all(isinstance(group, dict) for group in (self.uses, self.numerics, self.facts, self.made)):
            return "a group of facts is no mapping"
        numbers = [self.first, self.frames, self.generation, *(one.size for one in self.objects.values())]
        if any(type(number) is not int or number < 0 for number in numbers):
            return "a frame, count or size is no number"
        texts = [self.stage, self.title, self.plan, self.attempt, *self.uses, *self.uses.values()]
        texts += [text for one in self.objects.values() for text in (one.key, one.sha256)]
        texts += [text for text in (self.parent, self.state) if text is not None]
        if not all(isinstance(text, str) for text in texts):
            return "a name or hash is no text"
        if any(number > _MOST for number in numbers):
            return "a frame, count or size is beyond all measure"
        if odd := [name for name in self.uses if not _USED.fullmatch(name)]:
            return f"it uses {odd[0][:40]!r}"
        return self._wrong_key()

    def _wrong_key(self) -> str | None:
        for stored in self.objects.values():
            try:
                check_key(stored.key)
            except StoreError:
                return f"an object lies at {stored.key[:80]!r}"
        return None


@dataclass(frozen=True)
class Commit:
    """Result of a commit: the record that counts, and whether it is ours."""

    record: Record
    won: bool


def clock() -> float:
    """Seconds that go on while the machine sleeps, too, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()


def new_attempt() -> str:
    return uuid.uuid4().hex


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
                return self._parse(data, first, generation)
            except DamagedObject as error:
                if not mend:
                    raise
                self._void(first, generation, {"reason": str(error)})
        raise AssertionError("unreachable")

    def read_prefix(self, firsts: range, *, mend: bool = False, chunk: int = 256) -> Iterator[Record]:
        """Records at `firsts`, in order, until the first that is missing; read in parallel, in bounded memory."""
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(firsts), chunk):
                for record in pool.map(partial(self.read, mend=mend), firsts[start : start + chunk]):
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
        self._begun.setdefault(attempt, clock())
        if isinstance(data, Path):
            self.store.put_file(key, data)
            return Stored(key, sha256_of_file(data), data.stat().st_size)
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
                winner = self._parse(get_small(self.store, key), record.first, generation)
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
        """Remove an attempt's objects. What it names outside of the stage is not its own: a view that all share."""
        for stored in record.objects.values():
            if stored.key.startswith(f"{self.prefix}/"):
                self.store.delete(stored.key)

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

    def _parse(self, data: bytes, first: int, generation: int) -> Record:
        key = self.key(first, generation)
        record = Record.from_json(data, key)
        if (record.first, record.generation) != (first, generation):
            raise DamagedObject(f"{key}: holds the record of frame {record.first}, generation {record.generation}")
        if lacking := _lacking(record):
            raise DamagedObject(f"{key}: its record names no {lacking}")
        return record

    def load(self, record: Record, name: str) -> bytes:
        """An object of a record, checked. Raises DamagedObject where it is not what the record says."""
        where = f"title {record.title}, {record.stage} at frame {record.first}, object {name}"
        if name not in record.objects:
            raise DamagedObject(f"{where}: its record names no such object")
        stored = record.objects[name]
        try:
            data = self.store.get(stored.key)
            if not fits(stored, data):  # a second look: a record is not voided for an answer that was cut on its way
                data = self.store.get(stored.key)
        except MissingObject as error:
            raise DamagedObject(f"{where}: {stored.key} is missing") from error
        check(stored, data, where)
        return data


def fits(stored: Stored, data: bytes) -> bool:
    return len(data) == stored.size and sha256(data) == stored.sha256


# What those who come after a stage rely on, beside the objects that they read through `Ledger.load`.
_NEEDED = {"sound": ("track", "hls", "index", "speech"), "conditioning": ("arrays",)}


def _lacking(record: Record) -> str | None:
    """What a record of its stage must name and this one does not."""
    for name in _NEEDED.get(record.stage, ()):
        if name not in record.objects:
            return f"object {name}"
    if record.stage == "sound":
        chunks = record.facts.get("speech_chunks")
        if record.facts.get("channels") not in (1, 2):
            return "number of channels"
        if not isinstance(chunks, list) or not all(isinstance(chunk, str) for chunk in chunks):
            return "chunks of speech"
    return None


def check(stored: Stored, data: bytes, where: str) -> None:
    if not fits(stored, data):
        raise DamagedObject(
            f"{where}: {stored.key} has {len(data)} bytes with sha256 {sha256(data)[:12]}…, "
            f"its record says {stored.size} bytes with {stored.sha256[:12]}…"
        )


def fetch_checked(store: Store, stored: Stored, path: Path, where: str) -> None:
    """Stream an object into a local file, checked. Raises DamagedObject."""
    for _ in range(2):  # as in Ledger.load
        try:
            store.get_file(stored.key, path)
        except MissingObject as error:
            raise DamagedObject(f"{where}: {stored.key} is missing") from error
        if path.stat().st_size == stored.size and sha256_of_file(path) == stored.sha256:
            return
    raise DamagedObject(f"{where}: {stored.key} is not the object that its record describes")


def create_json(store: Store, key: str, facts: Mapping[str, Any]) -> dict[str, Any]:
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


def seed_state_hash(conditioning: str, seed: int) -> str:
    """The parent of GOP 0: conditioning and seed."""
    return sha256(f"{conditioning}|{seed}".encode())
