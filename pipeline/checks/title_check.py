"""What the check of a title found: faults with their remedy, notes, and how much was looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core.errors import MissingObject, StoreError
from pipeline.core.pieces import count_shown
from pipeline.core.safe_text import redact
from pipeline.store.ledger import Ledger
from pipeline.store.local import LocalStore
from pipeline.store.record import Record, Stored
from pipeline.store.stages import STAGES, dropped
from pipeline.store.store import Store
from pipeline.titles.report import RecordsDigest
from pipeline.titles.title_folders import TitleFolders

MOST_FAULTS = 200  # kept of a title; more of the same help nobody
_CHUNK = 4 << 20


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: what was found and expected, and what to do."""

    title: str
    stage: str
    frame: int | None
    found: str
    remedy: str

    def __str__(self) -> str:
        place = self.stage if self.frame is None else f"{self.stage} at frame {self.frame}"
        return f"{self.title}: {place}: {self.found}; {self.remedy}"


@dataclass
class TitleCheck:
    """Faults of one title, and tallies."""

    folders: TitleFolders
    done: Record | None = None
    film: TitleFolders | None = None  # of a scene, its title's
    name: str = ""  # of a scene, as faults name it
    made: dict[int, str] = field(default_factory=dict)  # of a scene: sha256 of its fragments, by GOP
    made_of: dict[int, str] = field(default_factory=dict)  # of a title in scenes: the same of all of them
    faults: list[Fault] = field(default_factory=list)
    more: int = 0  # faults beyond those kept
    notes: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    pictures: int = 0
    records: RecordsDigest = field(default_factory=RecordsDigest)  # of the chain and the stream, without a gap
    fragments: dict[str, dict[int, str]] = field(default_factory=dict)  # object → GOP → its key, if it is there
    chained: int = 0  # GOPs without a gap
    upscaled: int = 0

    @property
    def count(self) -> int:
        return len(self.faults) + self.more

    @property
    def dropped(self) -> frozenset[str]:
        """Stages whose objects may be gone."""
        return dropped(str(self.done.facts.get("kept"))) if self.done else frozenset()

    def count_object(self, one: ObjectCheck) -> None:
        if one.wrong is None or one.size:
            self.objects += 1
            self.bytes += one.size

    def fault(self, stage: str, frame: int | None, found: str, remedy: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(self.name or self.folders.title, stage, frame, redact(found), remedy))
        else:
            self.more += 1

    def remedy(self, ledger: Ledger, first: int, generation: int = 0) -> str:
        """How to have a unit made again: by void markers, which say that its record does not count."""
        voids = [f"{ledger.key(first, generation)}.void"]
        title = self.film or self.folders
        if self.film:
            voids.append(f"{self.folders.prefix('scene')}/{0:08d}.0.json.void")
        if self.done and ledger.prefix != title.prefix("done"):
            voids.append(f"{title.prefix('done')}/{0:08d}.{self.done.generation}.json.void")
        plural = "s" if len(voids) > 1 else ""
        return f"to have it made again, create the empty object{plural} {' and '.join(voids)}, then render"

    def remedy_of_views(self) -> str:
        """How to have playlists and files written again from the records."""
        if not self.done:
            return "render again: it is written from records"
        void = f"{self.folders.prefix('done')}/{0:08d}.{self.done.generation}.json.void"
        return f"to have it written again from records, create the empty object {void}, then render"

    def of_scene(self, number: int) -> TitleCheck:
        """The check of one of the title's scenes; `take` takes what it found."""
        folders = self.folders.scenes[number]
        name = folders.plan.name if folders.plan else f"{self.folders.title}@{number}"
        return TitleCheck(folders, self.done, self.folders, name, records=self.records)

    def take(self, scene: TitleCheck) -> None:
        room = MOST_FAULTS - len(self.faults)
        self.faults += scene.faults[:room]
        self.more += scene.more + len(scene.faults[room:])
        self.objects += scene.objects
        self.bytes += scene.bytes
        self.pictures += scene.pictures
        self.chained += count_shown(scene.folders.shown_gops, scene.chained)
        self.made_of |= {scene.folders.first + gop: digest for gop, digest in scene.made.items()}

    def other_plan(self, stage: str, text: str) -> None:
        """A view that shows another plan: wrong if this plan was asked for, else one of several that were rendered."""
        if self.folders.plan:
            self.fault(stage, None, text, self.remedy_of_views())
        else:
            self.notes.append(text)


class Unreadable(Exception):
    """A record is there and cannot be used; the fault has been told."""


def read_record(check: TitleCheck, ledger: Ledger, stage: str, first: int) -> Record | None:
    """The record that counts, None where there is none. Raises Unreadable, having told the fault."""
    try:
        record = ledger.read(first)
    except StoreError as error:
        return told(check, ledger, stage, first, error)
    return told(check, ledger, stage, first, record)


def told(check: TitleCheck, ledger: Ledger, stage: str, first: int, found: Record | StoreError | None) -> Record | None:
    """A record that a view of the stage has found. Raises Unreadable, having told the fault."""
    if isinstance(found, StoreError):
        check.fault(stage, first, str(found), check.remedy(ledger, first))
        raise Unreadable from found
    if found and found.stage != stage:
        text = f"{ledger.key(first, found.generation)} is a record of stage {found.stage!r}"
        check.fault(stage, first, text, check.remedy(ledger, first, found.generation))
        raise Unreadable
    return found


@dataclass(frozen=True)
class ObjectCheck:
    """An object that was read: what is wrong with it, if anything; its bytes where they were asked for."""

    name: str
    stored: Stored
    wrong: str | None
    size: int = 0
    data: bytes = b""


def look_at(store: Store, record: Record, *, keep: bool = False) -> list[ObjectCheck]:
    """All objects of a record, read and compared with what it says; tells nobody, so it may run beside others."""
    return [look_at_object(store, name, stored, keep=keep) for name, stored in sorted(record.objects.items())]


def check_objects(check: TitleCheck, ledger: Ledger, record: Record, looked: list[ObjectCheck] | None = None) -> bool:
    """Whether all objects of a record are what it says; what is not is a fault."""
    unnamed = [name for name in STAGES[record.stage].objects if name not in record.objects]
    remedy = check.remedy(ledger, record.first, record.generation)
    if unnamed:
        check.fault(record.stage, record.first, f"its record names no object {unnamed[0]}", remedy)
    good = not unnamed
    for one in look_at(ledger.store, record) if looked is None else looked:
        check.count_object(one)
        if one.wrong is None or (one.wrong == MISSING and record.stage in check.dropped):
            continue
        good = False
        check.fault(record.stage, record.first, f"object {one.name}: {one.stored.key} {one.wrong}", remedy)
    return good


MISSING = "is missing"


def check_object(check: TitleCheck, store: Store, stored: Stored) -> str | None:
    """What is wrong with an object, read in pieces; None if it is the one described."""
    looked = look_at_object(store, "", stored)
    check.count_object(looked)
    return looked.wrong


def look_at_object(store: Store, name: str, stored: Stored, *, keep: bool = False) -> ObjectCheck:
    digest, size, kept = hashlib.sha256(), 0, list[bytes]()
    try:
        while True:
            asked = min(_CHUNK, max(0, stored.size - size) + 1)  # one more than there should be: it ends there
            chunk = store.get_range(stored.key, size, size + asked)
            digest.update(chunk)
            size += len(chunk)
            if keep:
                kept.append(chunk)
            if len(chunk) < asked or size > stored.size:
                break
        if size > stored.size:
            size = store.size(stored.key)
    except MissingObject:
        return ObjectCheck(name, stored, MISSING)
    except StoreError as error:
        return ObjectCheck(name, stored, f"cannot be read ({error})")
    if size != stored.size:
        return ObjectCheck(name, stored, f"has {size} bytes, its record says {stored.size}", size)
    if digest.hexdigest() != stored.sha256:
        text = f"has sha256 {digest.hexdigest()[:12]}…, its record says {stored.sha256[:12]}…"
        return ObjectCheck(name, stored, text, size)
    return ObjectCheck(name, stored, None, size, b"".join(kept))


@contextmanager
def local_copy(store: Store, key: str) -> Iterator[Path]:
    """An object as a local file. Raises MissingObject."""
    if isinstance(store, LocalStore):
        yield store.path(key)
        return
    with TemporaryDirectory(prefix="longtake-verify-") as folder:
        path = Path(folder, key.rpartition("/")[2])
        store.get_file(key, path)
        yield path
