"""What an output holds that nothing needs: attempts that no record names, and what a finished title may do without.

Never an object that a record which counts names, whatever other drivers do meanwhile: an attempt commits within
ATTEMPT_LIFE of its first object or not at all, and only what is twice as old is garbage.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from pipeline.checks.status_of import MOST_RUNS
from pipeline.core.errors import MissingObject, StoreError
from pipeline.core.parallel import parallel_map
from pipeline.core.timeline import GOP
from pipeline.store.ledger import ATTEMPT_LIFE, Ledger, new_attempt
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.stages import STAGES, dropped
from pipeline.store.store import Listed, Store, Unfinished
from pipeline.titles.title_folders import TitleFolders, folders_in_output, read_json

OLD = 2 * ATTEMPT_LIFE  # seconds
_OBJECT = re.compile(r"/objects/(\d{8})-[0-9a-f]{16,32}-[^/]+$")
_PROBE = re.compile(r"_probe-[0-9a-f]{32}")

ATTEMPT, KEPT, HALF = "attempts that no record names", "what keep lets go", "writes that were never finished"
CHECKPOINT, RUN = "checkpoints that are out of date", "reports of runs long ago"
ABANDONED = "plans that no manifest names"
DAY = 86_400.0  # seconds


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


def attempts(store: Store, folders: TitleFolders, now: float) -> Iterator[Garbage]:
    """Objects of attempts that no record which counts names, and checkpoints of records that nobody finds any more."""
    for stage in STAGES:
        for prefix in prefixes(store, folders, stage):
            yield from _unnamed(store, folders.title, prefix, now)


def prefixes(store: Store, folders: TitleFolders, stage: str) -> list[str]:
    """Where the records of a stage lie, those of scenes included; of loudness all that the title has."""
    if stage == "loudness":
        return [f"{folders.title}/loudness/{name}" for name in store.folders(f"{folders.title}/loudness")]
    return list(dict.fromkeys(prefix for one in (folders, *folders.scenes) if (prefix := one.prefix(stage))))


def _unnamed(store: Store, title: str, prefix: str, now: float) -> Iterator[Garbage]:
    # Ages first: whoever is old enough here can no longer become part of a record that is listed after this.
    old = defaultdict[int, list[Listed]](list)
    for one in store.listed(f"{prefix}/objects"):
        if now - one.modified > OLD and (match := _OBJECT.search(one.key)):
            old[int(match[1])].append(one)
    view = StageView(store, prefix)
    unreadable: set[int] = set()  # whoever renders decides what becomes of them
    for record in view.records(sorted(old), skip=lambda first, error: unreadable.add(first)):
        named = {stored.key for stored in record.objects.values()}
        old[record.first] = [one for one in old[record.first] if one.key not in named]
    doubtful = [first for first in sorted(old) if old[first] and first not in unreadable]
    # Nothing goes on the word of a listing or a checkpoint: the record itself is asked, one by one.
    for first, needed in zip(doubtful, parallel_map(partial(_needed, view.ledger), doubtful), strict=True):
        for one in old[first]:
            if needed is not None and one.key not in needed:
                yield Garbage(title, one.key, one.size, ATTEMPT)
    if stale := view.stale_checkpoints:
        for one in store.listed(prefix, "fold-"):
            if one.key in stale and now - one.modified > OLD:
                yield Garbage(title, one.key, one.size, CHECKPOINT)


def _needed(ledger: Ledger, first: int) -> set[str] | None:
    """Keys of the objects that the record which counts names; None where it cannot be read."""
    try:
        record = ledger.read(first)
    except StoreError:
        return None
    return {stored.key for stored in record.objects.values()} if record else set()


def done_record(store: Store, folders: TitleFolders) -> Record | None:
    ledger = folders.ledger(store, "done")
    try:
        return ledger.read(0) if ledger else None
    except StoreError:
        return None


def keep_of(folders: TitleFolders, done: Record) -> str:
    """What is to be kept: what the manifest says now, else what the title was finished with."""
    return folders.plan.options.keep if folders.plan else str(done.facts.get("kept"))


def released(store: Store, mine: TitleFolders, all_of_title: Iterable[TitleFolders]) -> Iterator[Garbage]:
    """Objects of a finished title that its `keep` does not ask for, and that no other stream of it needs."""
    done = done_record(store, mine)
    if done is None:
        return
    others = [one for one in all_of_title if one.stream != mine.stream]
    for stage in STAGES:
        if stage not in dropped(keep_of(mine, done)):
            continue
        for prefix in prefixes(store, mine, stage):
            if mine.scenes and stage == "conditioning" and keep_of(mine, done) != "final":
                continue  # a scene that gets another neighbour is joined to it
            sharing = [one for one in others if stage == "loudness" or prefix in prefixes(store, one, stage)]
            if not any(not _spares(store, one, stage) for one in sharing):
                joined = mine.scenes and stage == "chain" and keep_of(mine, done) != "final"
                yield from _all_of(store, mine.title, prefix, _joined(mine, prefix) if joined else None)


def _joined(film: TitleFolders, prefix: str) -> set[int]:
    """First frames of a scene's GOPs at which it is joined to others, each with the one before that it is made with."""
    borders = {
        gop
        for one in film.scenes
        if one.prefix("chain") == prefix
        for first, stop in one.shown_gops
        for gop in (first - 1, first, stop - 2, stop - 1)
    }
    return {gop * GOP for gop in borders if gop >= 0}


def _all_of(store: Store, title: str, prefix: str, joined: set[int] | None = None) -> Iterator[Garbage]:
    """Every object of a stage that a record names. The others are attempts, perhaps of a driver at work.

    `joined`: of a scene's chain, frames at which it is joined to others: those stay, as do its first GOP and its last
    two.
    """
    there = {one.key: int(match[1]) for one in store.listed(f"{prefix}/objects") if (match := _OBJECT.search(one.key))}
    view = StageView(store, prefix)
    kept = set() if joined is None else {0, *view.firsts[-2:], *joined}
    for record in view.records(sorted(set(there.values()) - kept), skip=lambda first, error: None):
        for stored in record.objects.values():
            if stored.key in there:
                yield Garbage(title, stored.key, stored.size, KEPT)


def _spares(store: Store, folders: TitleFolders, stage: str) -> bool:
    """Whether another stream of the title is finished and can do without this stage."""
    done = done_record(store, folders)
    return done is not None and stage in dropped(keep_of(folders, done))


def halves(store: Store, now: float) -> Iterator[Garbage]:
    """What writers left that were killed in the middle, anywhere in the output."""
    for half in store.unfinished():
        if now - half.modified > OLD:
            yield Garbage("", half.key, half.size, HALF, half)
    for one in store.listed(""):
        if _PROBE.fullmatch(one.key) and now - one.modified > OLD:
            yield Garbage("", one.key, one.size, HALF)


def old_runs(store: Store, now: float) -> Iterator[Garbage]:
    """How runs ended so long ago that nobody reads it any more."""
    ended = [one for one in store.listed("_runs") if one.name.endswith(".json")]
    for one in sorted(ended, key=lambda one: one.name)[:-MOST_RUNS]:
        if now - one.modified > OLD:
            yield Garbage("", one.key, one.size, RUN)


def abandoned(store: Store, mine: TitleFolders, now: float, days: float) -> Iterator[Garbage]:
    """All that lies under other hashes of a title than its plan's, where nothing of it was written for so many days.

    What people see stays: the stream that the title's report names, until that of the plan is done.
    """
    plan = mine.plan
    if plan is None:
        return
    places = [plan.prefix("loudness"), plan.prefix("scenes")]
    places += [place for one in (mine, *mine.scenes) for place in (one.chain, one.stream, one.sound)]
    mine_now = {place.rpartition("/")[2] for place in places}
    shown = done_record(store, mine) is None
    hashes = (read_json(store, f"{mine.title}/report.json") or {}).get("hashes") if shown else None
    seen = {str(value)[:16] for value in hashes.values()} if isinstance(hashes, dict) else set()
    shown_scenes = [one for one in folders_in_output(store, mine.title) if one.scenes and one.stream_hash in seen]
    parts = [part for one in shown_scenes for part in one.scenes]
    seen |= {place.rpartition("/")[2] for part in parts for place in (part.chain, part.stream)}
    for kind in ("sound", "loudness", "scenes", "chain", "stream", "hls"):
        for name in store.folders(f"{mine.title}/{kind}"):
            if name in mine_now | seen or (kind in ("loudness", "scenes") and seen):
                continue
            found = list(_under(store, f"{mine.title}/{kind}/{name}"))
            if found and now - max(one.modified for one in found) > days * DAY:
                yield from (Garbage(mine.title, one.key, one.size, ABANDONED) for one in found)


def _under(store: Store, place: str) -> Iterator[Listed]:
    """Everything below a folder, its own objects first: records before what they name."""
    yield from store.listed(place)
    for name in store.folders(place):
        yield from _under(store, f"{place}/{name}")


def let_go(store: Store, folders: TitleFolders) -> None:
    """Before anything that `keep` lets go is removed: the done record says so, and no playlist shows it any more."""
    ledger, done = folders.ledger(store, "done"), done_record(store, folders)
    if ledger is None or done is None:
        return
    keep = keep_of(folders, done)
    if dropped(keep) - dropped(str(done.facts.get("kept"))):
        ledger.void(done, f"keep is {keep} now")
        ledger.commit(replace(done, attempt=new_attempt(), facts={**done.facts, "kept": keep}))
    if "stream" in dropped(keep):
        index = f"{folders.title}/hls/index.m3u8"
        with suppress(MissingObject):
            if folders.stream_hash.encode() in store.get(index):
                store.delete(index)
        # Of all renditions, the sound, the captions.
        for key in store.list(f"{folders.title}/hls/{folders.stream_hash}"):
            if key.endswith(".m3u8"):
                store.delete(key)


def delivered(store: Store, folders: TitleFolders) -> bool:
    """Have the done record say that the finished file may be gone; False where the title is not done."""
    ledger, done = folders.ledger(store, "done"), done_record(store, folders)
    if ledger is None or done is None:
        return False
    if not done.facts.get("delivered"):
        ledger.void(done, "its file was taken away on purpose")
        ledger.commit(replace(done, attempt=new_attempt(), facts={**done.facts, "delivered": True}))
    return True


def remove(store: Store, one: Garbage) -> None:
    if one.unfinished is not None:
        store.discard(one.unfinished)
    else:
        store.delete(one.key)
