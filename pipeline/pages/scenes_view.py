"""The chain of a title in scenes as one: a scene's records after those of the scene before, counted from the title's
beginning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.core.timeline import GOP
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store


class ScenesView:
    """`parts`: (frames, where its records lie) of each scene, in order. For reading in order alone."""

    def __init__(self, store: Store, parts: Sequence[tuple[int, str]]):
        self._views: list[tuple[int, int, StageView]] = []
        first = 0
        for frames, prefix in parts:
            self._views.append((first, first + frames, StageView(store, prefix, checkpoint=True)))
            first += frames

    def give(self, records: Mapping[int, bytes]) -> ScenesView:
        """Records at hand are of titles in one piece."""
        return self

    def unbroken(self, firsts: range) -> Iterator[Record]:
        """Records at `firsts`, in order, until the first that is missing."""
        for first, stop, view in self._views:
            wanted = range(max(first, firsts.start), min(stop, firsts.stop), GOP)
            count = 0
            for record in view.unbroken(range(wanted.start - first, wanted.stop - first, GOP)) if wanted else ():
                yield replace(record, first=first + record.first)
                count += 1
            if count < len(wanted):
                return
