"""What the store holds of a title, from commit records alone.

A chain counts as far as every record's parent is the state that the one before it left, and as the features and the
conditioning that it was made of are there; a fragment counts if it was made of the latents that count. What lies beyond
is left alone: the worker that comes to it sees whether it fits what is there by then, so what is remade with the same
result saves all that followed it. Only records that cannot be read are voided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.core.timeline import GOP
from pipeline.scheduler.work import Scanned
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, seed_state_hash
from pipeline.store.small_json import get_json
from pipeline.store.store import Store
from pipeline.titles.numerics import lanes_of
from pipeline.titles.title_plan import TitlePlan


def is_done(store: Store, plan: TitlePlan, *, mend: bool = True) -> bool:
    """Whether the title's `done` record exists and what people see is its result: then nothing else needs to be read.

    After a render with other options the views are of another plan: they are then made again, from the same records.
    """
    if Ledger(store, plan.prefix("done")).read(0, mend=mend) is None:
        return False
    try:
        shown = get_json(store, f"{plan.id}/report.json")["hashes"]
        return (shown["stream"], shown["file"]) == (plan.hashes.stream, plan.hashes.file)
    except (MissingObject, DamagedObject, KeyError, TypeError):
        return False


def scan(store: Store, plan: TitlePlan, goal: int | None = None, *, mend: bool = True) -> Scanned:
    """The committed state of a title. `goal`: GOPs that the run is to make (a preview's), default all.

    Without `mend` nothing is voided, for those who may look and not write: raises DamagedObject for such a record.
    """
    if (goal is None or goal == plan.gops) and is_done(store, plan, mend=mend):
        return Scanned(plan.id, True, True, tuple(range(plan.blocks)), plan.gops, tuple(range(plan.gops)), True)
    needed = dict.fromkeys(["sound", plan.heard])
    sound = all(Ledger(store, plan.prefix(stage)).read(0, mend=mend) is not None for stage in needed)
    if mend:
        void_dropped(Ledger(store, plan.prefix("stream")))
    if _rendered(store, plan, mend):
        return Scanned(plan.id, sound, True, tuple(range(plan.blocks)), plan.gops, tuple(range(plan.gops)), False)
    if mend:
        void_dropped(Ledger(store, plan.prefix("chain")))
    conditioning = Ledger(store, plan.prefix("conditioning")).read(0, mend=mend)
    features = dict(_features(store, plan, mend))
    latents: dict[int, str] = {}
    if conditioning is not None:
        portrait = conditioning.objects["arrays"].sha256
        inputs = {f"features/{first}": digest for first, digest in features.items()} | {"conditioning": portrait}
        state = seed_state_hash(portrait, plan.seed)
        chain = Ledger(store, plan.prefix("chain"))
        for record in linked(chain, plan.frames, mend=mend, state=state, inputs=inputs):
            latents[record.first // GOP] = record.objects["latents"].sha256
    streamed = tuple(made_of(Ledger(store, plan.prefix("stream")), latents, mend=mend))
    blocks = tuple(first // plan.constants.feature_block for first in sorted(features))
    lanes = lanes_of(store, plan)
    there = sound, conditioning is not None
    return Scanned(plan.id, *there, blocks, len(latents), streamed, False, lanes)


def _rendered(store: Store, plan: TitlePlan, mend: bool) -> bool:
    """Whether the title was finished once and has all its fragments still: what it was made of need not be there."""
    if Ledger(store, plan.prefix("done")).read(0, mend=mend) is None:
        return False
    ledger = Ledger(store, plan.prefix("stream"))
    return sum(1 for _ in ledger.read_prefix(range(0, plan.frames, GOP), mend=mend)) == plan.gops


def void_dropped(ledger: Ledger) -> None:
    """Void the records none of whose objects is there: `keep` dropped them, and now they are wanted again.

    All at once, because a worker that comes upon one has the whole title looked at anew.
    """
    names = (key.rpartition("/")[2].partition("-")[0] for key in ledger.store.list(f"{ledger.prefix}/objects"))
    there = {int(name) for name in names if name.isdecimal()}
    for first in ledger.hinted():
        record = None if first in there else ledger.read(first, mend=True)
        if record is not None and not any(ledger.store.exists(stored.key) for stored in record.objects.values()):
            ledger.void(record, "its objects are no longer there")


def linked(
    ledger: Ledger,
    frames: int,
    *,
    mend: bool,
    state: str | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Iterator[Record]:
    """The chain's records in order, as far as their links hold.

    `state`: what GOP 0 must start from, if known; `inputs`: sha256 of the conditioning and features that are there, by
    the names that records use, if they are to be compared.
    """
    for record in ledger.read_prefix(range(0, frames, GOP), mend=mend):
        if record.state is None or "latents" not in record.objects:
            return
        if state is not None and record.parent != state:
            return
        if inputs is not None and any(inputs.get(name) != digest for name, digest in record.uses.items()):
            return
        state = record.state
        yield record


def made_of(ledger: Ledger, latents: Mapping[int, str], *, mend: bool) -> Iterator[int]:
    """GOPs with a fragment made of the latents that count. `latents`: sha256 by GOP."""
    for first in ledger.hinted():
        record = ledger.read(first, mend=mend)
        if record is not None and not stale_uses(record, latents):
            yield first // GOP


def stale_uses(record: Record, latents: Mapping[int, str]) -> list[str]:
    """Names of the latents that a fragment was made of and that the chain does not hold."""
    return [
        name
        for name, digest in record.uses.items()
        if name.startswith("latents/") and latents.get(_number(name) // GOP) != digest
    ]


def _features(store: Store, plan: TitlePlan, mend: bool) -> Iterator[tuple[int, str]]:
    """First frame and sha256 of the blocks of features that are there."""
    ledger, block = Ledger(store, plan.prefix("features")), plan.constants.feature_block
    for first in ledger.hinted():
        record = ledger.read(first, mend=mend) if first % block == 0 and first < plan.frames else None
        if record is not None and "features" in record.objects:
            yield first, record.objects["features"].sha256


def _number(name: str) -> int:
    number = name.rpartition("/")[2]
    return int(number) if number.isdecimal() else -1
