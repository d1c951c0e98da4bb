"""What an output holds that nothing needs: attempts that no record names, and what a finished title may do without.

Never an object that a record which counts names, whatever other drivers do meanwhile: an attempt commits within
ATTEMPT_LIFE of its first object or not at all, and only what is twice as old is garbage.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby

from pipeline.core.errors import MissingObject, StoreError
from pipeline.store.ledger import ATTEMPT_LIFE, Ledger, new_attempt
from pipeline.store.record import Record
from pipeline.store.stages import STAGES, dropped
from pipeline.store.store import Store, Unfinished
from pipeline.titles.found import Found

OLD = 2 * ATTEMPT_LIFE  # seconds
_OBJECT = re.compile(r"/objects/(\d{8})-[0-9a-f]{32}-[^/]+$")
_PROBE = re.compile(r"_probe-[0-9a-f]{32}")

ATTEMPT, KEPT, HALF = "attempts that no record names", "what keep lets go", "writes that were never finished"


@dataclass(frozen=True)
class Garbage:
    """An object that can go, `why`, and its size in bytes; `unfinished` is a write without a name."""

    title: str
    key: str
    size: int
    why: str
    unfinished: Unfinished | None = None


def store_now(store: Store) -> float:
    """The store's own time, by an object that is written and removed."""
    key = f"_probe-{uuid.uuid4().hex}"
    store.put(key, b"")
    try:
        return store.modified(key)
    finally:
        store.delete(key)


def attempts(store: Store, found: Found, now: float) -> Iterator[Garbage]:
    """Objects of attempts that no record which counts names."""
    for stage in STAGES:
        prefix = found.prefix(stage)
        if not prefix:
            continue
        ledger = Ledger(store, prefix)
        named = [(match[1], key) for key in store.list(f"{prefix}/objects") if (match := _OBJECT.search(key))]
        for first, group in groupby(sorted(named), key=lambda pair: pair[0]):
            yield from _unnamed(ledger, found.title, int(first), [key for _, key in group], now)


def _unnamed(ledger: Ledger, title: str, first: int, keys: list[str], now: float) -> Iterator[Garbage]:
    # Ages first: whoever is old enough here can no longer become part of a record that is read after this.
    old = []
    for key in keys:
        with suppress(MissingObject):
            if now - ledger.store.modified(key) > OLD:
                old.append((key, ledger.store.size(key)))
    if not old:
        return
    try:
        record = ledger.read(first)
    except StoreError:  # it cannot be read: whoever renders decides what becomes of it
        return
    needed = {stored.key for stored in record.objects.values()} if record else set()
    yield from (Garbage(title, key, size, ATTEMPT) for key, size in old if key not in needed)


def done_record(store: Store, found: Found) -> Record | None:
    ledger = found.ledger(store, "done")
    try:
        return ledger.read(0) if ledger else None
    except StoreError:
        return None


def keep_of(found: Found, done: Record) -> str:
    """What is to be kept: what the manifest says now, else what the title was finished with."""
    return found.plan.options.keep if found.plan else str(done.facts.get("kept"))


def released(store: Store, mine: Found, all_of_title: Iterable[Found]) -> Iterator[Garbage]:
    """Objects of a finished title that its `keep` does not ask for, and that no other stream of it needs."""
    done = done_record(store, mine)
    if done is None:
        return
    others = [one for one in all_of_title if one.stream != mine.stream]
    for stage in STAGES:
        prefix = mine.prefix(stage)
        if not prefix or stage not in dropped(keep_of(mine, done)):
            continue
        if any(one.prefix(stage) == prefix and not _spares(store, one, stage) for one in others):
            continue
        ledger = Ledger(store, prefix)
        there = set(store.list(f"{prefix}/objects"))
        for first in sorted({int(match[1]) for key in there if (match := _OBJECT.search(key))}):
            with suppress(StoreError):
                record = ledger.read(first)
                for stored in record.objects.values() if record else ():
                    if stored.key in there:
                        yield Garbage(mine.title, stored.key, stored.size, KEPT)


def _spares(store: Store, found: Found, stage: str) -> bool:
    """Whether another stream of the title is finished and can do without this stage."""
    done = done_record(store, found)
    return done is not None and stage in dropped(keep_of(found, done))


def halves(store: Store, now: float) -> Iterator[Garbage]:
    """What writers left that were killed in the middle, anywhere in the output."""
    for one in store.unfinished():
        if now - one.modified > OLD:
            yield Garbage("", one.key, one.size, HALF, one)
    for key in store.list(""):
        with suppress(MissingObject):
            if _PROBE.fullmatch(key) and now - store.modified(key) > OLD:
                yield Garbage("", key, store.size(key), HALF)


def let_go(store: Store, found: Found) -> None:
    """Before anything that `keep` lets go is removed: the done record says so, and no playlist shows it any more."""
    ledger, done = found.ledger(store, "done"), done_record(store, found)
    if ledger is None or done is None:
        return
    keep = keep_of(found, done)
    if dropped(keep) - dropped(str(done.facts.get("kept"))):
        ledger.void(done, f"keep is {keep} now")
        ledger.commit(replace(done, attempt=new_attempt(), facts={**done.facts, "kept": keep}))
    if "stream" in dropped(keep):
        index = f"{found.title}/hls/index.m3u8"
        with suppress(MissingObject):
            if found.stream_hash.encode() in store.get(index):
                store.delete(index)
        for name in ("video", "audio"):
            store.delete(f"{found.title}/hls/{found.stream_hash}/{name}.m3u8")


def remove(store: Store, one: Garbage) -> None:
    if one.unfinished is not None:
        store.discard(one.unfinished)
    else:
        store.delete(one.key)
