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


def scan(store: Store, plan: TitlePlan, goal: int | None = None, *, mend: bool = True) -> Scanned:
    """The committed state of a title. `goal`: GOPs that the run is to make (a preview's), default all.

    Without `mend` nothing is voided, only left out: for those who may look and not write.
    """
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
    latents = {record.first // GOP: record.objects["latents"].sha256 for record in chain_prefix(store, plan, mend=mend)}
    streamed = tuple(stream_gops(store, plan, latents, mend=mend))
    return Scanned(plan.id, sound is not None, conditioning is not None, blocks, len(latents), streamed, False)


def chain_prefix(store: Store, plan: TitlePlan, *, mend: bool = True) -> Iterator[Record]:
    """The chain's records in order, as far as their links hold; the first that does not fit is voided."""
    return linked(Ledger(store, plan.prefix("chain")), plan.frames, mend=mend)


def linked(ledger: Ledger, frames: int, *, mend: bool) -> Iterator[Record]:
    """As `chain_prefix`, of a ledger."""
    state = None
    for record in ledger.read_prefix(range(0, frames, GOP)):
        if state is not None and record.parent != state:
            if mend:
                ledger.void(record, f"its parent is {record.parent}, the GOP before it left {state}")
            return
        state = record.state
        yield record


def stream_gops(store: Store, plan: TitlePlan, latents: dict[int, str], *, mend: bool = True) -> Iterator[int]:
    """GOPs with a fragment made of the latents that count; fragments of other latents are voided."""
    return made_of(Ledger(store, plan.prefix("stream")), latents, mend=mend)


def made_of(ledger: Ledger, latents: dict[int, str], *, mend: bool) -> Iterator[int]:
    """As `stream_gops`, of a ledger."""
    for first in ledger.hinted():
        record = ledger.read(first)
        if record is None:
            continue
        stale = stale_uses(record, latents)
        if not stale:
            yield first // GOP
        elif mend:
            ledger.void(record, f"made of other {stale[0]} than the chain holds now")


def stale_uses(record: Record, latents: dict[int, str]) -> list[str]:
    """Names of the latents that a fragment was made of and that the chain does not hold."""
    return [
        name
        for name, digest in record.uses.items()
        if name.startswith("latents/") and latents.get(int(name.removeprefix("latents/")) // GOP) != digest
    ]
