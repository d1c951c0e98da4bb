"""The chain of a title in scenes as one: records of what the film shows of each, counted from the title's beginning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.core.pieces import pieces
from pipeline.core.timeline import GOP
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_folders import TitleFolders


class ScenesView:
    """`scenes`: the folders of each. For reading in order alone."""

    def __init__(self, store: Store, scenes: Sequence[TitleFolders]):
        views = [StageView(store, one.prefix("chain"), checkpoint=True) for one in scenes]
        self._pieces = [
            (piece.first * GOP, piece.stop * GOP, scenes[piece.scene].first * GOP, views[piece.scene])
            for piece in pieces(one.shown for one in scenes)
        ]
        self._end = max((one.first * GOP + one.frames for one in scenes), default=0)

    def give(self, records: Mapping[int, bytes]) -> ScenesView:
        """Records at hand are of titles in one piece."""
        return self

    def unbroken(self, firsts: range) -> Iterator[Record]:
        """Records at `firsts`, in order, until the first that is missing."""
        for first, stop, start, view in self._pieces:
            wanted = range(max(first, firsts.start), min(stop, firsts.stop, self._end), GOP)
            count = 0
            for record in view.unbroken(range(wanted.start - start, wanted.stop - start, GOP)) if wanted else ():
                yield replace(record, first=start + record.first)
                count += 1
            if count < len(wanted):
                return
