"""Checks of what was prepared and chained: checksums, frame ranges, and the links from state to state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import numpy as np

from pipeline.checks.title_check import ObjectCheck, TitleCheck, Unreadable, check_objects, look_at, read_record, told
from pipeline.core.errors import StoreError
from pipeline.core.parallel import parallel_map
from pipeline.core.timeline import GOP
from pipeline.store.arrays import unpack
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, seed_state_hash
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.gate_facts import follows, new_start
from pipeline.titles.title_folders import readable

Found = Record | StoreError | None
KEPT = 2  # blocks of features that a GOP may name


def check_preparation(check: TitleCheck, store: Store) -> None:
    """Sound, conditioning and blocks of features."""
    if not check.film:
        _check_sound(check, store)
    if check.folders.scenes:
        return  # all else is theirs
    if ledger := check.folders.ledger(store, "conditioning"):
        with suppress(Unreadable):
            _check_single(check, ledger, "conditioning")
    if view := check.folders.view(store, "features", checkpoints=False):
        for first, found, looked in read_whole(view, view.firsts):
            with suppress(Unreadable):
                _check_features(check, view.ledger, told(check, view.ledger, "features", first, found), looked)


def _check_sound(check: TitleCheck, store: Store) -> None:
    if ledger := check.folders.ledger(store, "sound"):
        with suppress(Unreadable):
            _check_single(check, ledger, "sound")
    title = check.folders.title
    for name in store.folders(f"{title}/loudness"):
        with suppress(Unreadable):
            _check_single(check, Ledger(store, f"{title}/loudness/{name}"), "loudness")


def _check_single(check: TitleCheck, ledger: Ledger, stage: str) -> None:
    """A stage with one record for the whole title."""
    record = read_record(check, ledger, stage, 0)
    if record:
        _check_frames(check, ledger, record, 0, check.folders.frames)
        check_objects(check, ledger, record)
    elif check.done and stage not in check.dropped:
        text = f"{ledger.key(0, 0)} is missing, though the title is done"
        check.fault(stage, 0, text, check.remedy_of_views())


def read_whole(
    view: StageView, firsts: Iterable[int], *, keep: bool = False
) -> Iterator[tuple[int, Found, list[ObjectCheck]]]:
    """(first frame, record or what is in its place, its objects), in order; records and objects side by side.

    With `keep` the objects' bytes come along.
    """

    def look(one: tuple[int, Found]) -> tuple[int, Found, list[ObjectCheck]]:
        return *one, look_at(view.store, one[1], keep=keep) if isinstance(one[1], Record) else []

    return parallel_map(look, view.each(firsts))


def _check_features(check: TitleCheck, ledger: Ledger, record: Record | None, looked: list[ObjectCheck]) -> None:
    plan = check.folders.plan
    if record:
        if plan:
            block = min(plan.constants.feature_block, plan.frames - record.first)
            _check_frames(check, ledger, record, record.first, block)
        check_objects(check, ledger, record, looked)


def check_chain(check: TitleCheck, store: Store) -> int:
    """GOPs chained without a gap. Every GOP must start from the state that the one before it left."""
    folders, chained = check.folders, 0
    view = folders.view(store, "chain", checkpoints=False)
    if view is None:
        return 0
    ledger = view.ledger
    inputs = _Inputs(check, store)
    state = seed = _seed_state(check, store)
    for first, at, looked in read_whole(view, range(0, folders.needed_frames, GOP), keep=True):
        stop = min(first + GOP, folders.frames)
        chained = first // GOP + 1
        try:
            record = told(check, ledger, "chain", first, at)
        except Unreadable:
            state = None  # the next link cannot be judged
            continue
        if record is None:
            _check_gap(check, view, first)
            return first // GOP
        list(check.records.hear([record]))
        _check_frames(check, ledger, record, first, stop - first)
        if check_objects(check, ledger, record, looked):
            _check_numbers(check, ledger, record, looked)
        if not follows(record, state, seed):
            before = "conditioning and seed give" if first == 0 else f"the GOP at frame {first - GOP} left"
            anew = "; it begins anew, but not from there or not after that GOP" if new_start(record) else ""
            check.fault(
                "chain",
                first,
                f"its parent is state {_short(record.parent)}, {before} {_short(state)}: two histories were "
                f"spliced{anew}",
                check.remedy(ledger, first, record.generation),
            )
        kept = record.objects["state"].sha256 if "state" in record.objects else None
        if kept != record.state:
            check.fault(
                "chain",
                first,
                f"it says that it left state {_short(record.state)}, its object is {_short(kept)}",
                check.remedy(ledger, first, record.generation),
            )
        _check_uses(check, ledger, record, inputs)
        state = record.state
    return chained


def _check_numbers(check: TitleCheck, ledger: Ledger, record: Record, looked: list[ObjectCheck]) -> None:
    """Latents and state are finite: what once is not, every later clip of the title is not either."""
    for one in looked:
        try:
            arrays = unpack(one.data, one.stored.key)
        except StoreError:
            continue  # dropped meanwhile, or no arrays: not what is looked for here
        broken = [name for name, values in arrays.items() if values.dtype.kind == "f" and not np.isfinite(values).all()]
        if broken:
            text = f"object {one.name}: {one.stored.key} holds NaN or infinite numbers ({', '.join(broken)})"
            check.fault("chain", record.first, text, check.remedy(ledger, record.first, record.generation))


def _seed_state(check: TitleCheck, store: Store) -> str | None:
    """The parent of GOP 0, where plan and conditioning are known."""
    record = readable(check.folders.ledger(store, "conditioning"), 0)
    plan, arrays = check.folders.plan, record.objects.get("arrays") if record else None
    return seed_state_hash(arrays.sha256, plan.seed) if plan and arrays else None


def _check_gap(check: TitleCheck, view: StageView, first: int) -> None:
    """A chain that ends early is unfinished; one that goes on after a gap has lost a record."""
    later = [one for one in view.firsts if one > first]
    if later:
        check.fault(
            "chain",
            first,
            f"its record is missing, but the GOP at frame {later[0]} was made after it",
            "render again: this GOP is made anew",
        )
    elif check.done and "chain" not in check.dropped:
        check.fault("chain", first, "its record is missing, though the title is done", "restore it from a backup")


class _Inputs:
    """sha256 of what GOPs were made of, by the names that records use: the features at hand and the conditioning."""

    def __init__(self, check: TitleCheck, store: Store):
        self._found, self._store = check.folders, store
        self._views: dict[str, StageView | None] = {}
        self._known: dict[str, str | None] = {}

    def of(self, name: str) -> str | None:
        """None where it is not there, or cannot be read."""
        if name not in self._known:
            stage, _, first = name.partition("/")
            if stage not in self._views:
                self._views[stage] = self._found.view(self._store, stage, checkpoints=False)
            while len(self._known) > 2 * KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[name] = self._read(self._views[stage], int(first) if first.isdecimal() else 0)
        self._known[name] = found = self._known.pop(name)  # what is asked for often stays
        return found

    @staticmethod
    def _read(view: StageView | None, first: int) -> str | None:
        with suppress(StoreError):
            used = view.read(first) if view else None
            return next((one.sha256 for one in used.objects.values()), None) if used else None
        return None


def _check_uses(check: TitleCheck, ledger: Ledger, record: Record, inputs: _Inputs) -> None:
    """The features and conditioning that a GOP names must be those that are there."""
    for name, digest in record.uses.items():
        there = inputs.of(name)
        if there != digest and not (there is None and name.partition("/")[0] in check.dropped):
            check.fault(
                "chain",
                record.first,
                f"it was made of {name} {_short(digest)}, the store holds {_short(there)}",
                check.remedy(ledger, record.first, record.generation),
            )


def _check_frames(check: TitleCheck, ledger: Ledger, record: Record, first: int, frames: int) -> None:
    if (record.first, record.frames) != (first, frames):
        check.fault(
            record.stage,
            first,
            f"its record covers {record.frames} frames from {record.first}, expected {frames} from {first}",
            check.remedy(ledger, first, record.generation),
        )


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "none"
