"""What the store holds of a title, from commit records alone.

A chain counts as far as every record's parent is the state that the one before it left; a fragment counts if it was
made of the latents that count now. What does not fit is voided, so that two histories are never spliced.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.records import Ledger, Record
from pipeline.store import Store
from pipeline.timeline import GOP
from pipeline.titles import TitlePlan
from pipeline.work import Scanned


def is_done(store: Store, plan: TitlePlan) -> bool:
    """Whether the title's `done` record exists: then nothing else needs to be read."""
    return Ledger(store, plan.prefix("done")).read(0) is not None


def scan(store: Store, plan: TitlePlan, goal: int | None = None) -> Scanned:
    """The committed state of a title. `goal`: GOPs that the run is to make (a preview's), default all."""
    if (goal is None or goal == plan.gops) and is_done(store, plan):
        return Scanned(plan.id, True, True, tuple(range(plan.blocks)), plan.gops, tuple(range(plan.gops)), True)
    sound = Ledger(store, plan.prefix("sound")).read(0)
    conditioning = Ledger(store, plan.prefix("conditioning")).read(0)
    features = Ledger(store, plan.prefix("features"))
    firsts = [block * plan.constants.feature_block for block in range(plan.blocks)]
    hinted = set(features.hinted())
    blocks = tuple(
        number for number, first in enumerate(firsts) if first in hinted and features.read(first) is not None
    )
    chained, latents = 0, {}
    for record in chain_prefix(store, plan):
        latents[record.first // GOP] = record.objects["latents"].sha256
        chained += 1
    streamed = tuple(stream_gops(store, plan, latents))
    return Scanned(plan.id, sound is not None, conditioning is not None, blocks, chained, streamed, False)


def chain_prefix(store: Store, plan: TitlePlan) -> Iterator[Record]:
    """The chain's records in order, as far as their links hold; the first that does not fit is voided."""
    ledger = Ledger(store, plan.prefix("chain"))
    state = None
    for record in ledger.read_prefix(range(0, plan.frames, GOP)):
        if state is not None and record.parent != state:
            ledger.void(record, f"its parent is {record.parent}, the GOP before it left {state}")
            return
        state = record.state
        yield record


def stream_gops(store: Store, plan: TitlePlan, latents: dict[int, str]) -> Iterator[int]:
    """GOPs with a fragment made of the latents that count; fragments of other latents are voided."""
    ledger = Ledger(store, plan.prefix("stream"))
    for first in ledger.hinted():
        record = ledger.read(first)
        if record is None:
            continue
        stale = [
            name
            for name, digest in record.uses.items()
            if name.startswith("latents/") and latents.get(int(name.removeprefix("latents/")) // GOP) != digest
        ]
        if stale:
            ledger.void(record, f"made of other {stale[0]} than the chain holds now")
        else:
            yield first // GOP
