"""What Ray's workers call when they start, in a test of a catalog that breaks after it was planned.

`install` is named by the job's runtime environment. Title `crasher` then kills every chain worker that takes it; title
`spoiled` loses what it was made from as soon as its features are there: the features and its speech are damaged, and
the copy of its audio is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from actors import chain, prepare
from pipeline.scheduler.work import Done, Job
from pipeline.store.ledger import Ledger
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan


def install() -> None:
    chain.ChainWorker._begin = _crash_on_begin(chain.ChainWorker._begin)  # type: ignore[method-assign]
    prepare.PrepareWorker.work_on = _spoil_after(prepare.PrepareWorker.work_on)  # type: ignore[method-assign]


def _crash_on_begin(begin):  # type: ignore[no-untyped-def]
    def instead(self, job: Job, plan: TitlePlan, lanes: int):  # type: ignore[no-untyped-def]
        if plan.id == "crasher":
            os._exit(139)
        return begin(self, job, plan, lanes)

    return instead


def _spoil_after(work_on):  # type: ignore[no-untyped-def]
    def instead(self, job: Job, plan: TitlePlan) -> Iterator[Done]:  # type: ignore[no-untyped-def]
        for done in work_on(self, job, plan):
            if plan.id == "spoiled" and job.kind == "features":
                spoil(self.store, plan)
            yield done

    return instead


def spoil(store: Store, plan: TitlePlan) -> None:
    for stage, name in (("features", "features"), ("sound", "speech")):
        record = Ledger(store, plan.prefix(stage)).read(0)
        assert record is not None
        key = record.objects[name].key
        data = bytearray(store.get(key))
        data[len(data) // 2] ^= 1
        store.put(key, bytes(data))
    for audio in plan.audio:
        store.delete(audio.key)
