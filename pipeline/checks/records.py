"""Checks of what was prepared and chained: checksums, frame ranges, and the links from state to state."""

from __future__ import annotations

from contextlib import suppress

from pipeline.checks.findings import Findings, Unreadable, check_objects, read_record
from pipeline.core.timeline import GOP, gop_range
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, seed_state_hash
from pipeline.store.store import Store
from pipeline.titles.found import readable


def check_preparation(findings: Findings, store: Store) -> None:
    """Sound, conditioning and blocks of features."""
    for stage in ("sound", "conditioning"):
        if ledger := findings.found.ledger(store, stage):
            with suppress(Unreadable):
                _check_single(findings, ledger, stage)
    title = findings.found.title
    for name in store.folders(f"{title}/loudness"):
        with suppress(Unreadable):
            _check_single(findings, Ledger(store, f"{title}/loudness/{name}"), "loudness")
    if ledger := findings.found.ledger(store, "features"):
        for first in ledger.hinted():
            with suppress(Unreadable):
                _check_features(findings, ledger, first)


def _check_single(findings: Findings, ledger: Ledger, stage: str) -> None:
    """A stage with one record for the whole title."""
    record = read_record(findings, ledger, stage, 0)
    if record:
        _check_frames(findings, ledger, record, 0, findings.found.frames)
        check_objects(findings, ledger, record)
    elif findings.done and stage not in findings.dropped:
        text = f"{ledger.key(0, 0)} is missing, though the title is done"
        findings.fault(stage, 0, text, findings.remedy_of_views())


def _check_features(findings: Findings, ledger: Ledger, first: int) -> None:
    record, plan = read_record(findings, ledger, "features", first), findings.found.plan
    if record:
        if plan:
            _check_frames(findings, ledger, record, first, min(plan.constants.feature_block, plan.frames - first))
        check_objects(findings, ledger, record)


def check_chain(findings: Findings, store: Store) -> int:
    """GOPs chained without a gap. Every GOP must start from the state that the one before it left."""
    ledger = findings.found.ledger(store, "chain")
    if ledger is None:
        return 0
    found, chained = findings.found, 0
    features: dict[str, str | None] = {}  # the blocks in use, by name: at most two at a time
    state = _seed_state(findings, store)
    for gop in range(found.gops):
        first, stop = gop_range(gop, found.frames)
        chained = gop + 1
        try:
            record = read_record(findings, ledger, "chain", first)
        except Unreadable:
            state = None  # the next link cannot be judged
            continue
        if record is None:
            _check_gap(findings, ledger, first)
            return gop
        _check_frames(findings, ledger, record, first, stop - first)
        check_objects(findings, ledger, record)
        if state is not None and record.parent != state:
            before = "conditioning and seed give" if gop == 0 else f"the GOP at frame {first - GOP} left"
            findings.fault(
                "chain",
                first,
                f"its parent is state {_short(record.parent)}, {before} {_short(state)}: two histories were spliced",
                findings.remedy(ledger, first, record.generation),
            )
        kept = record.objects["state"].sha256 if "state" in record.objects else None
        if kept != record.state:
            findings.fault(
                "chain",
                first,
                f"it says that it left state {_short(record.state)}, its object is {_short(kept)}",
                findings.remedy(ledger, first, record.generation),
            )
        _check_uses(findings, store, ledger, record, features)
        state = record.state
    return chained


def _seed_state(findings: Findings, store: Store) -> str | None:
    """The parent of GOP 0, where plan and conditioning are known."""
    record = readable(findings.found.ledger(store, "conditioning"), 0)
    plan, arrays = findings.found.plan, record.objects.get("arrays") if record else None
    return seed_state_hash(arrays.sha256, plan.seed) if plan and arrays else None


def _check_gap(findings: Findings, ledger: Ledger, first: int) -> None:
    """A chain that ends early is unfinished; one that goes on after a gap has lost a record."""
    later = [one for one in ledger.hinted() if one > first]
    if later:
        findings.fault(
            "chain",
            first,
            f"its record is missing, but the GOP at frame {later[0]} was made after it",
            "render again: this GOP is made anew",
        )
    elif findings.done and "chain" not in findings.dropped:
        findings.fault("chain", first, "its record is missing, though the title is done", "restore it from a backup")


def _check_uses(
    findings: Findings, store: Store, ledger: Ledger, record: Record, features: dict[str, str | None]
) -> None:
    """The features and conditioning that a GOP names must be those that are there."""
    for name, digest in record.uses.items():
        if name not in features:
            stage, _, first = name.partition("/")
            used = readable(findings.found.ledger(store, stage), int(first) if first.isdecimal() else 0)
            while len(features) > 2:
                features.pop(next(iter(features)))
            features[name] = next((one.sha256 for one in used.objects.values()), None) if used else None
        there = features[name]
        if there != digest and not (there is None and name.partition("/")[0] in findings.dropped):
            findings.fault(
                "chain",
                record.first,
                f"it was made of {name} {_short(digest)}, the store holds {_short(there)}",
                findings.remedy(ledger, record.first, record.generation),
            )


def _check_frames(findings: Findings, ledger: Ledger, record: Record, first: int, frames: int) -> None:
    if (record.first, record.frames) != (first, frames):
        findings.fault(
            record.stage,
            first,
            f"its record covers {record.frames} frames from {record.first}, expected {frames} from {first}",
            findings.remedy(ledger, first, record.generation),
        )


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "none"
