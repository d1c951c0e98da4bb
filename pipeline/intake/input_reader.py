"""Where an input is looked at: found remembered, or read once and copied to the store in the same pass."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from pipeline.core.errors import InputError, OutputError, StoreError
from pipeline.core.safe_text import redact
from pipeline.core.scratch import scratch_folder
from pipeline.intake.input_cache import Entry, inputs_key, inputs_record, read_input_cache
from pipeline.intake.title_inputs import InputFile, Inspected, inputs_of, stored_input
from pipeline.manifest.catalog import Title
from pipeline.sources import urls
from pipeline.sources.inputs import SourceFile, fetch, stamp_of
from pipeline.store.small_json import put_changed
from pipeline.store.store import Store
from pipeline.store.suspect_inputs import clear_suspicion, is_there, suspect_inputs

Tell = Callable[[str], None]


class InputsRecord:
    """What is found of one title, kept in its inputs record."""

    def __init__(self, store: Store, title: Title):
        self.found: dict[str, Inspected] = {}
        self._store, self._title = store, title
        self._known = read_input_cache(store, title.id)
        self._new = False

    def find(self, file: InputFile) -> Entry | None:
        return self._known.find(file.place, file.url)

    def add(self, file: InputFile, found: Inspected) -> None:
        self.found[file.place] = found
        known = self.find(file)
        self._new |= known is None or (known["sha256"], known["stamp"]) != (found.source.sha256, found.source.stamp)

    def write(self) -> None:
        """Only where something is new: a run over finished work writes nothing."""
        if not self._new:
            return
        self._new = False
        try:
            frames = inputs_of(self._title, self.found).frames
        except KeyError:
            frames = None  # others of its files are still to come
        files = {place: (one.source, one.facts) for place, one in self.found.items()}
        put_changed(self._store, inputs_key(self._title.id), inputs_record(files, frames))


class InputReader:
    """Its methods may be called from many threads at once. `keep`: what had to be fetched is copied to the store."""

    def __init__(self, store: Store, tell: Tell, keep: bool = True):
        self._store, self._tell, self._keep = store, tell, keep
        self._room = DiskBudget(shutil.disk_usage(scratch_folder()).free // 2)

    def look(self, title: str, file: InputFile, known: Sequence[Entry]) -> Inspected:
        """The file and what is in it: remembered where it has not changed, else read. Raises InputError."""
        size, stamp = stamp_of(file.url, file.largest)
        for entry in known:
            if (entry["size"], entry["stamp"]) == (size, stamp) and isinstance(entry["facts"], file.kind):
                return Inspected(SourceFile(file.url, entry["sha256"], size, stamp), entry["facts"])
        self._tell(f"{title}: reading {redact(file.url)}")
        with self._fetched(file.url, size, file.largest) as (path, source):
            found = Inspected(source, file.read(path))
            if self._keep and not urls.is_local(file.url):  # local ones are copied when all are known to be right
                with suppress(StoreError, OutputError):  # whoever may only read can plan all the same
                    self._copy(path, source)
        return found

    def copy(self, title: str, source: SourceFile) -> None:
        """Have the store hold an input that was seen before. Raises InputError where it is another one by now."""
        if is_there(self._store, stored_input(source), self._suspects):
            return
        self._tell(f"{title}: copying {redact(source.url)} to the output")
        with self._fetched(source.url, source.size, source.size) as (path, now):
            if now.sha256 != source.sha256:
                raise InputError(f"{redact(source.url)} changed while it was being read; run again")
            self._copy(path, now)

    def _copy(self, path: Path, source: SourceFile) -> None:
        stored = stored_input(source)
        if not is_there(self._store, stored, self._suspects):
            self._store.put_file(stored.key, path)
            if source.sha256 in self._suspects:
                clear_suspicion(self._store, stored)

    @cached_property
    def _suspects(self) -> frozenset[str]:
        return suspect_inputs(self._store)

    @contextmanager
    def _fetched(self, url: str, size: int, largest: int) -> Iterator[tuple[Path, SourceFile]]:
        room = self._room.for_bytes(0 if urls.is_local(url) else size)
        with room, tempfile.TemporaryDirectory(prefix="longtake-") as folder:
            yield fetch(url, folder, largest)


class DiskBudget:
    """Disk for what is fetched: at most `most` bytes at once, or one file."""

    def __init__(self, most: int):
        self._most, self._used, self._changed = most, 0, threading.Condition()

    @contextmanager
    def for_bytes(self, count: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + count <= self._most)
            self._used += count
        try:
            yield
        finally:
            with self._changed:
                self._used -= count
                self._changed.notify_all()
