"""The read model of commit records: a stage of a title through one listing, however many records it has.

The listing names all generations and voids, a thousand to a request; only the records themselves are read, side by
side, and most of those come in checkpoints (`record_checkpoints.py`). A stage of ten hours is 19 listings and 74 reads.

    view = StageView(store, plan.prefix("chain"))
    for record in view.unbroken(range(0, plan.frames, GOP)): ...     # in order, until the first that is missing

Writing is the ledger's affair (`ledger.py`). What is known already can be given to a view, which then asks for less.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from pipeline.core.daemon_pool import DaemonPool
from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject, StoreError
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record
from pipeline.store.record_checkpoints import MARK, RECORDS, CheckpointWriter, base_of, checkpoint_key, read_checkpoint
from pipeline.store.small_json import get_small
from pipeline.store.store import Store

_NAME = re.compile(r"(\d{8})\.(\d{1,9})\.json(\.void)?")
_READERS = 32  # threads that read records of a stage: S3 answers in tens of milliseconds
_AHEAD = 4 * RECORDS  # records that are being read or wait for their turn
_FEW = 8  # so many records of a checkpoint are read one by one

Found = tuple[int, Record | StoreError | None]


class StageView:
    """The records of one stage of one title, under `prefix`, as they stand when they are first asked for.

    `mend`: void what cannot be read, and look further. `checkpoint`: leave checkpoints behind for who comes next. These
    two are not for those who may look and not write. `checkpoints`: whether to read them; a search for damage does not.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        mend: bool = False,
        checkpoint: bool = False,
        checkpoints: bool = True,
    ):
        self.store, self.prefix, self.ledger = store, prefix, Ledger(store, prefix)
        self._mend, self._read_checkpoints = mend, checkpoints
        self._writer = CheckpointWriter(store, prefix) if checkpoint else None
        self._trusted = True
        self._sizes: dict[int, tuple[int, int]] | None = None  # first frame → generation that counts, bytes
        self._voided: set[int] = set()
        self._checkpoints: set[str] = set()
        self._given: dict[int, tuple[int, bytes]] = {}  # first frame → generation, record

    def give(self, records: Mapping[int, bytes]) -> StageView:
        """Records by first frame that came with the news of their commit: they are not read again."""
        for first, data in records.items():
            with suppress(StoreError):
                generation = Record.from_json(data, self.ledger.key(first, 0)).generation
                self._given[first] = generation, data
        return self

    def knows(self, first: int) -> bool:
        """Whether the record was given or is in the listing taken last."""
        return first in self._given or first in (self._sizes or ())

    def refresh(self, start: int = 0, stop: int | None = None) -> StageView:
        """Take the listing anew, of records from frame `start` on: for who has read what lies before.

        `stop`: frame before which to end, for who wants no more than a few.
        """
        sizes: dict[int, dict[int, int]] = {}
        voids: set[tuple[int, int]] = set()
        self._checkpoints = set()
        self._trusted = not (self._mend or self._writer) or self.store.lists_at_once()
        for one in self.store.listed(self.prefix, f"{start:08d}" if start else ""):
            if stop is not None and one.name >= f"{stop:08d}":
                break
            if match := _NAME.fullmatch(one.name):
                first, generation = int(match[1]), int(match[2])
                if match[3]:
                    voids.add((first, generation))
                else:
                    sizes.setdefault(first, {})[generation] = one.size
            elif one.name.startswith(MARK):
                self._checkpoints.add(one.key)
        self._voided = {first for first, _ in voids}
        self._given = {first: given for first, given in self._given.items() if (first, given[0]) not in voids}
        self._sizes = {}
        for first, generations in sizes.items():
            for generation in sorted(generations):
                if (first, generation) not in voids:
                    self._sizes[first] = generation, generations[generation]
                    break
        return self

    @property
    def firsts(self) -> list[int]:
        """First frames of the records that count, as the listing has them."""
        return sorted(self._listed())

    @property
    def voided(self) -> frozenset[int]:
        """First frames of the units that were made anew, or are to be, because a record of them was void."""
        self._listed()
        return frozenset(self._voided)

    @property
    def stale_checkpoints(self) -> set[str]:
        """Keys of the checkpoints that nobody finds any more."""
        sizes = self._listed()
        current = {checkpoint_key(self.prefix, base, sizes) for base in {base_of(first) for first in sizes}}
        return {key for key in self._checkpoints if key not in current}

    def read(self, first: int) -> Record | None:
        """The record that counts. Raises DamagedObject where it cannot be read, unless it is to be mended."""
        found = self._one(first)
        if isinstance(found, StoreError):
            raise found
        return found

    def records(
        self, firsts: Iterable[int] | None = None, *, skip: Callable[[int, StoreError], None] | None = None
    ) -> Iterator[Record]:
        """Those that are there, of `firsts` or all, in order. `skip` is told of what cannot be read; else it raises."""
        wanted: Iterable[int] = self.firsts
        if firsts is not None:
            wanted = [first for first in firsts if first in self._listed()] if self._trusted else firsts
        for first, found in self.each(wanted):
            if isinstance(found, Record):
                yield found
            elif found is not None and skip is None:
                raise found
            elif found is not None and skip is not None:
                skip(first, found)

    def unbroken(self, firsts: range) -> Iterator[Record]:
        """Records at `firsts`, in order, until the first that is missing.

        The listing is taken anew where it does not reach so far: who reads on as a stage grows keeps its view.
        """
        if firsts and not all(self.knows(first) for first in firsts):
            self.refresh(base_of(firsts[0]))
        for first, found in self.each(firsts):
            if found is None:  # committed since, or a listing that lags: one more question costs little
                found = self._truth(first)
            if isinstance(found, StoreError):
                raise found
            if found is None:
                return
            yield found

    def void(self, record: Record, reason: str) -> None:
        """Have the record no longer count."""
        self.ledger.void(record, reason)
        self._voided.add(record.first)
        self._given.pop(record.first, None)
        if self._sizes is not None:
            self._sizes.pop(record.first, None)

    # -- reading --------------------------------------------------------------------------------------------------

    def _listed(self) -> dict[int, tuple[int, int]]:
        if self._sizes is None:
            self.refresh()
        assert self._sizes is not None
        return self._sizes

    def each(self, firsts: Iterable[int]) -> Iterator[Found]:
        """(first frame, what is there: a record, None, or why it cannot be read) of each, in order, side by side."""
        waiting: deque[tuple[int, Future[list[Found]]]] = deque()
        ahead = 0
        pool = DaemonPool("records", _READERS)
        try:
            for size, task in self._tasks(firsts):
                waiting.append((size, pool.submit(task)))
                ahead += size
                while ahead > _AHEAD:
                    size, future = waiting.popleft()
                    ahead -= size
                    yield from future.result()
            while waiting:
                yield from waiting.popleft()[1].result()
        finally:
            pool.close()

    def _tasks(self, firsts: Iterable[int]) -> Iterator[tuple[int, Callable[[], list[Found]]]]:
        """Reads of one record, or of one checkpoint where many of its records are wanted."""
        group = list[int]()
        for first in firsts:
            if group and base_of(first) != base_of(group[0]):
                yield from self._of_group(group)
                group = []
            group.append(first)
        yield from self._of_group(group)

    def _of_group(self, group: list[int]) -> Iterator[tuple[int, Callable[[], list[Found]]]]:
        asked = sum(first not in self._given for first in group)
        sizes = self._listed() if asked else {}
        if self._read_checkpoints and self._trusted and asked > _FEW:
            key = checkpoint_key(self.prefix, base_of(group[0]), sizes)
            if key in self._checkpoints:
                yield len(group), partial(self._folded, str(key), group)
                return
        for first in group:
            yield 1, partial(self._single, first)

    def _folded(self, key: str, group: list[int]) -> list[Found]:
        sizes, base = self._listed(), base_of(group[0])
        texts = read_checkpoint(self.store, key, base, sizes)
        return [(first, self._parsed(first, texts[first]) if first in texts else self._one(first)) for first in group]

    def _single(self, first: int) -> list[Found]:
        return [(first, self._one(first))]

    def _one(self, first: int) -> Record | StoreError | None:
        if given := self._given.pop(first, None):
            with suppress(StoreError):
                return self._kept(self.ledger.parse(given[1], first, given[0]), given[1])
        sizes = self._listed()
        if not self._trusted:
            return self._truth(first)
        there = sizes.get(first)
        if there is None:
            return None
        try:
            data = get_small(self.store, self.ledger.key(first, there[0]))
        except (MissingObject, DamagedObject):
            return self._truth(first)
        except StoreError as error:
            return error
        found = self._parsed(first, data)
        return self._kept(found, data) if isinstance(found, Record) else found

    def _parsed(self, first: int, data: bytes) -> Record | StoreError | None:
        generation, _ = self._listed()[first]
        try:
            return self.ledger.parse(data, first, generation)
        except StoreError:
            return self._truth(first)

    def _kept(self, record: Record, data: bytes) -> Record:
        """The record, which goes into a checkpoint, too."""
        if self._writer is not None:
            with suppress(LongtakeError):  # a checkpoint is not worth a run
                self._writer.add(record.first, record.generation, data)
        return record

    def _truth(self, first: int) -> Record | StoreError | None:
        """As the store says now, generation by generation."""
        try:
            return self.ledger.read(first, mend=self._mend)
        except StoreError as error:
            return error
