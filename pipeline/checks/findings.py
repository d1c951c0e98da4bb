"""What a check of a title came upon: faults with their remedy, notes, and how much was looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.core.errors import MissingObject, StoreError
from pipeline.core.redact import redact
from pipeline.store.ledger import Ledger
from pipeline.store.local import LocalStore
from pipeline.store.record import Record, Stored
from pipeline.store.stages import STAGES, dropped
from pipeline.store.store import Store
from pipeline.titles.found import Found

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
class Findings:
    """Faults of one title, and tallies."""

    found: Found
    done: Record | None = None
    faults: list[Fault] = field(default_factory=list)
    more: int = 0  # faults beyond those kept
    notes: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    pictures: int = 0
    chained: int = 0  # GOPs without a gap
    upscaled: int = 0

    @property
    def count(self) -> int:
        return len(self.faults) + self.more

    @property
    def dropped(self) -> frozenset[str]:
        """Stages whose objects may be gone."""
        return dropped(str(self.done.facts.get("kept"))) if self.done else frozenset()

    def fault(self, stage: str, frame: int | None, found: str, remedy: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(self.found.title, stage, frame, redact(found), remedy))
        else:
            self.more += 1

    def remedy(self, ledger: Ledger, first: int, generation: int = 0) -> str:
        """How to have a unit made again: by marks that say that its record does not count."""
        marks = [f"{ledger.key(first, generation)}.void"]
        if self.done and ledger.prefix != self.found.prefix("done"):
            marks.append(f"{self.found.prefix('done')}/{0:08d}.{self.done.generation}.json.void")
        plural = "s" if len(marks) > 1 else ""
        return f"to have it made again, create the empty object{plural} {' and '.join(marks)}, then render"

    def remedy_of_views(self) -> str:
        """How to have playlists and files written again from the records."""
        if not self.done:
            return "render again: it is written from records"
        mark = f"{self.found.prefix('done')}/{0:08d}.{self.done.generation}.json.void"
        return f"to have it written again from records, create the empty object {mark}, then render"

    def other_plan(self, stage: str, text: str) -> None:
        """A view that shows another plan: wrong if this plan was asked for, else one of several that were rendered."""
        if self.found.plan:
            self.fault(stage, None, text, self.remedy_of_views())
        else:
            self.notes.append(text)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.found.title,
            "stream": self.found.stream_hash,
            "finished": self.done is not None,
            "frames": self.found.frames,
            "gops": self.found.gops,
            "chained": self.chained,
            "upscaled": self.upscaled,
            "checked": {"objects": self.objects, "bytes": self.bytes, "pictures": self.pictures},
            "notes": self.notes,
            "faults": [asdict(fault) for fault in self.faults],
            "more_faults": self.more,
        }


class Unreadable(Exception):
    """A record is there and cannot be used; the fault has been told."""


def read_record(findings: Findings, ledger: Ledger, stage: str, first: int) -> Record | None:
    """The record that counts, None where there is none. Raises Unreadable, having told the fault."""
    try:
        record = ledger.read(first)
    except StoreError as error:
        findings.fault(stage, first, str(error), findings.remedy(ledger, first))
        raise Unreadable from error
    if record and record.stage != stage:
        text = f"{ledger.key(first, record.generation)} is a record of stage {record.stage!r}"
        findings.fault(stage, first, text, findings.remedy(ledger, first, record.generation))
        raise Unreadable
    return record


def check_objects(findings: Findings, ledger: Ledger, record: Record) -> bool:
    """Whether all objects of a record are what it says; what is not is a fault."""
    unnamed = [name for name in STAGES[record.stage].objects if name not in record.objects]
    if unnamed:
        remedy = findings.remedy(ledger, record.first, record.generation)
        findings.fault(record.stage, record.first, f"its record names no object {unnamed[0]}", remedy)
    good = not unnamed
    for name, stored in sorted(record.objects.items()):
        wrong = check_object(findings, ledger.store, stored)
        missing = wrong == _MISSING
        if wrong is None or (missing and record.stage in findings.dropped):
            continue
        good = False
        remedy = findings.remedy(ledger, record.first, record.generation)
        findings.fault(record.stage, record.first, f"object {name}: {stored.key} {wrong}", remedy)
    return good


_MISSING = "is missing"


def check_object(findings: Findings, store: Store, stored: Stored) -> str | None:
    """What is wrong with an object, read in pieces; None if it is the one described."""
    digest, size = hashlib.sha256(), 0
    try:
        actual = store.size(stored.key)
        while size < actual:
            chunk = store.get_range(stored.key, size, min(size + _CHUNK, actual))
            if not chunk:
                break
            digest.update(chunk)
            size += len(chunk)
    except MissingObject:
        return _MISSING
    except StoreError as error:
        return f"cannot be read ({error})"
    findings.objects += 1
    findings.bytes += size
    if size != stored.size:
        return f"has {size} bytes, its record says {stored.size}"
    if digest.hexdigest() != stored.sha256:
        return f"has sha256 {digest.hexdigest()[:12]}…, its record says {stored.sha256[:12]}…"
    return None


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
