"""What a worker keeps of a title between two calls: its records, conditioning, features and latents, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.families.protocol import Arrays
from pipeline.core.errors import DamagedObject
from pipeline.core.timeline import CLIP, GOP, gop_range
from pipeline.store.arrays import unpack
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

KEPT_BLOCKS = 2  # a clip reads across at most one border of blocks
LISTED = 450  # GOPs: their records and voids are one answer to a listing
KEPT_GOPS = 3  # the one in hand, the one before, and one on its way


class TitleReader:
    """Committed objects of one title, checked when they are read."""

    def __init__(self, store: Store, plan: TitlePlan):
        self.plan = plan
        self.conditioning_ledger = Ledger(store, plan.prefix("conditioning"))
        self.features_ledger = Ledger(store, plan.prefix("features"))
        self.chain = StageView(store, plan.prefix("chain"))
        self.chain_ledger = self.chain.ledger
        self.fragments = StageView(store, plan.prefix("stream"), mend=True)
        self.begun: dict[str, Any] | None = None  # the numerics class of the fragments, once there is one
        self._looked_at = range(0)  # GOPs whose fragments have been listed
        self._conditioning: tuple[Record, Arrays] | None = None
        self._blocks: OrderedDict[int, tuple[Record, np.ndarray]] = OrderedDict()
        self._latents: OrderedDict[int, tuple[Record, np.ndarray]] = OrderedDict()

    def expect(self, first: int, stop: int, known: Mapping[int, bytes]) -> None:
        """These GOPs are to be upscaled. A listing in some hundred GOPs names the fragments that were there before this
        visit, and one the records of latents that are not `known`."""
        if not self._looked_at.start <= first <= stop <= self._looked_at.stop:
            self._looked_at = range(first, max(stop, first + LISTED))
            self.fragments.refresh(first * GOP, self._looked_at.stop * GOP)
        self.chain.give(known)
        reach = (gop for gop in range(max(0, first - 1), stop) if gop not in self._latents)  # windows reach back
        if unknown := [gop for gop in reach if not self.chain.knows(gop * GOP)]:
            self.chain.refresh(unknown[0] * GOP, max(stop, unknown[0] + LISTED) * GOP)

    def conditioning(self) -> tuple[Record, Arrays]:
        if self._conditioning is None:
            record = self._record(self.conditioning_ledger, 0)
            self._conditioning = record, self.load(self.conditioning_ledger, record, "arrays")
        return self._conditioning

    def features(self, first: int, stop: int) -> tuple[np.ndarray, dict[str, str]]:
        """Features of frames [first, stop), the ends repeated; and the blocks used, by sha256."""
        block, last = self.plan.constants.feature_block, self.plan.blocks - 1
        index = np.clip(np.arange(first, stop), 0, self.plan.clips * CLIP - 1)
        numbers = np.minimum(index // block, last)  # the last block holds the silence that fills the last clip, too
        parts, used = [], {}
        for number in range(numbers[0], numbers[-1] + 1):
            record, array = self._block(number)
            parts.append(array[index[numbers == number] - number * block])
            used[f"features/{record.first}"] = record.objects["features"].sha256
        return np.concatenate(parts), used

    def latents(self, gop: int) -> tuple[Record, np.ndarray]:
        """Record and latents [frames, C, h, w] of a GOP."""
        if gop not in self._latents:
            record = self.chain.read(gop * GOP) or self._record(self.chain_ledger, gop * GOP)
            self._latents[gop] = record, self._frames_of(self.chain_ledger, record, "latents")
            while len(self._latents) > KEPT_GOPS:
                self._latents.popitem(last=False)
        return self._latents[gop]

    def latent_range(self, first: int, stop: int) -> tuple[np.ndarray, dict[str, str]]:
        """Latents of frames [first, stop), and the objects they came from, by sha256."""
        parts, used = [], {}
        for gop in range(first // GOP, (stop - 1) // GOP + 1):
            record, latents = self.latents(gop)
            start, end = gop_range(gop, self.plan.frames)
            parts.append(latents[max(first, start) - start : min(stop, end) - start])
            used[f"latents/{record.first}"] = record.objects["latents"].sha256
        return np.concatenate(parts), used

    def load(self, ledger: Ledger, record: Record, name: str) -> Arrays:
        """Arrays of a record; where they are damaged the record is voided, so that it is made again."""
        with ledger.voiding(record):
            return unpack(ledger.load(record, name), record.objects[name].key)

    def _frames_of(self, ledger: Ledger, record: Record, name: str) -> np.ndarray:
        """As `load`, of an object that holds one array, with an entry for every frame, under its own name."""
        array = self.load(ledger, record, name).get(name)
        with ledger.voiding(record):
            if array is None or array.ndim == 0 or len(array) < record.frames:
                raise DamagedObject(f"{record.objects[name].key}: holds no {name} of {record.frames} frames")
        return array

    def _block(self, number: int) -> tuple[Record, np.ndarray]:
        if number not in self._blocks:
            record = self._record(self.features_ledger, number * self.plan.constants.feature_block)
            self._blocks[number] = record, self._frames_of(self.features_ledger, record, "features")
            while len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        return self._blocks[number]

    def _record(self, ledger: Ledger, first: int) -> Record:
        record = ledger.read(first)
        if record is None:
            raise DamagedObject(f"title {self.plan.id}: the record {ledger.prefix} at frame {first} is gone")
        return record
