"""The read model of records: what it reads, how often it asks, and that its checkpoints are never truth."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from typing import Any

import pytest

from pipeline.core.errors import DamagedObject
from pipeline.core.timeline import GOP
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.opening import open_store
from pipeline.store.record import Record
from pipeline.store.record_checkpoints import MARK, RECORDS
from pipeline.store.remote import RemoteStore
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store

PREFIX = "t/chain/c/chain"


def commit(store: Store, gop: int, note: str = "") -> Record:
    ledger, attempt = Ledger(store, PREFIX), new_attempt()
    objects = {"latents": ledger.stage_object(gop * GOP, attempt, "latents", f"{gop}{note}".encode())}
    record = Record("chain", "t", "p", gop * GOP, GOP, attempt, objects, state=str(gop), facts={"note": note})
    return ledger.commit(record).record


class Counted:
    """Requests of a store, by kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        for name in ("get", "get_range", "exists", "size", "list", "listed", "create", "put"):
            self._count(monkeypatch, name, getattr(RemoteStore, name))

    def _count(self, monkeypatch: pytest.MonkeyPatch, name: str, method: Any) -> None:
        def instead(store: RemoteStore, *args: Any, **more: Any) -> Any:
            self.counts[name] += 1
            return method(store, *args, **more)

        monkeypatch.setattr(RemoteStore, name, instead)

    def of(self, action: Any) -> Counter[str]:
        self.counts.clear()
        action()
        return Counter(self.counts)


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


def gops(records: Any) -> list[int]:
    return [record.first // GOP for record in records]


def test_a_stage_is_read_by_one_listing_and_a_read_for_each_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gop in range(20):
        commit(store, gop)
    counted = Counted(monkeypatch)
    view = StageView(store, PREFIX)
    assert counted.of(lambda: gops(view.unbroken(range(0, 20 * GOP, GOP)))) == {"listed": 1, "get_range": 20}
    commit(store, 20)
    later = StageView(store, PREFIX).refresh(20 * GOP)
    assert counted.of(lambda: gops(later.unbroken(range(20 * GOP, 21 * GOP, GOP)))) == {"get_range": 1}


def test_what_is_given_is_not_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {gop * GOP: commit(store, gop).to_json() for gop in range(12)}
    counted = Counted(monkeypatch)
    view = StageView(store, PREFIX).give(given)
    assert counted.of(lambda: gops(view.unbroken(range(0, 12 * GOP, GOP)))) == {}
    commit(store, 12)
    view.give({4 * GOP: given[4 * GOP]})
    assert counted.of(lambda: gops(view.unbroken(range(4 * GOP, 13 * GOP, GOP)))) == {"listed": 1, "get_range": 8}


def test_what_is_given_makes_checkpoints_as_what_is_read(store: Store) -> None:
    given = {gop * GOP: commit(store, gop).to_json() for gop in range(RECORDS)}
    assert (
        len(list(StageView(store, PREFIX, checkpoint=True).give(given).unbroken(range(0, RECORDS * GOP, GOP))))
        == RECORDS
    )
    assert [one for one in store.list(PREFIX) if MARK in one]


def test_what_is_given_and_void_or_no_record_does_not_count(store: Store) -> None:
    first = commit(store, 0)
    Ledger(store, PREFIX).void(first, "damaged")
    again = commit(store, 0, "again")
    view = StageView(store, PREFIX).give({0: first.to_json(), GOP: b"{}"}).refresh()
    assert (view.read(0), view.read(GOP)) == (again, None)
    other = StageView(store, PREFIX).give({0: commit(store, 2).to_json()})
    assert other.read(0) == again, "the record of another frame"


def test_a_listing_may_end_early(store: Store) -> None:
    for gop in range(5):
        commit(store, gop)
    assert StageView(store, PREFIX).refresh(GOP, 3 * GOP).firsts == [GOP, 2 * GOP]


def test_what_is_committed_after_the_listing_is_found_all_the_same(store: Store) -> None:
    commit(store, 0)
    view = StageView(store, PREFIX)
    assert view.firsts == [0]
    commit(store, 1)
    assert gops(view.unbroken(range(0, 5 * GOP, GOP))) == [0, 1]


def test_an_unbroken_row_ends_at_the_first_gap(store: Store) -> None:
    for gop in (0, 1, 2, 4, 5):
        commit(store, gop)
    view = StageView(store, PREFIX)
    assert gops(view.unbroken(range(0, 9 * GOP, GOP))) == [0, 1, 2]
    assert gops(view.unbroken(range(4 * GOP, 9 * GOP, GOP))) == [4, 5]
    assert gops(view.unbroken(range(0))) == []
    assert gops(view.records(range(0, 9 * GOP, GOP))) == [0, 1, 2, 4, 5]


def test_generations_and_voids(store: Store) -> None:
    first = commit(store, 0)
    Ledger(store, PREFIX).void(first, "for this test")
    assert gops(StageView(store, PREFIX).records()) == []
    assert StageView(store, PREFIX).voided == {0}
    commit(store, 0, "again")
    found = list(StageView(store, PREFIX).records())
    assert [(record.generation, record.facts["note"]) for record in found] == [(1, "again")]


def test_what_cannot_be_read(store: Store) -> None:
    for gop in range(3):
        commit(store, gop)
    store.put(f"{PREFIX}/{GOP:08d}.0.json", b"no record")
    view = StageView(store, PREFIX)
    with pytest.raises(DamagedObject):
        list(view.records())
    told: list[int] = []
    assert gops(view.records(skip=lambda first, error: told.append(first))) == [0, 2]
    assert told == [GOP]
    assert not store.exists(f"{PREFIX}/{GOP:08d}.0.json.void")
    assert gops(StageView(store, PREFIX, mend=True).unbroken(range(0, 3 * GOP, GOP))) == [0]
    assert store.exists(f"{PREFIX}/{GOP:08d}.0.json.void")


def folded(store: Store, count: int = 300) -> None:
    for gop in range(count):
        commit(store, gop)
    assert gops(StageView(store, PREFIX, checkpoint=True).records()) == list(range(count))


def test_256_neighbours_are_one_read_for_who_comes_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folded(store)
    counted = Counted(monkeypatch)
    found = list[int]()
    asked = counted.of(lambda: found.extend(gops(StageView(store, PREFIX).records())))
    assert found == list(range(300))
    assert asked == {"listed": 1, "get_range": 1 + 44}
    assert counted.of(lambda: list(StageView(store, PREFIX, checkpoints=False).records()))["get_range"] == 300


def test_records_read_one_after_the_other_are_folded_too(store: Store) -> None:
    view = StageView(store, PREFIX, checkpoint=True)
    for gop in range(256):
        commit(store, gop)
        assert gops(view.refresh(gop * GOP).records()) == [gop]
    assert any("/fold-" in key for key in store.list(PREFIX))
    assert gops(StageView(store, PREFIX).records()) == list(range(256))


def test_a_void_beats_the_checkpoint(store: Store) -> None:
    folded(store, 256)
    there = Ledger(store, PREFIX).read(7 * GOP)
    assert there is not None
    Ledger(store, PREFIX).void(there, "for this test")
    assert gops(StageView(store, PREFIX).records()) == [gop for gop in range(256) if gop != 7]
    commit(store, 7, "again")
    assert [
        one.facts["note"] for one in StageView(store, PREFIX, checkpoint=True).records() if one.first == 7 * GOP
    ] == ["again"]
    folds = [key for key in store.list(PREFIX) if "/fold-" in key]
    stale = StageView(store, PREFIX).stale_checkpoints
    assert len(folds) == 2
    assert len(stale) == 1


@pytest.mark.parametrize("harm", ["cut", "no json", "other bytes", "gone", "nested", "later version"])
def test_a_damaged_checkpoint_costs_reads_and_nothing_else(store: Store, harm: str) -> None:
    folded(store, 256)
    key = next(key for key in store.list(PREFIX) if "/fold-" in key)
    facts = json.loads(store.get(key))
    match harm:
        case "cut":
            facts["records"] = facts["records"][:100]
        case "other bytes":
            facts["records"][3]["record"] = facts["records"][3]["record"].replace('"state": "3"', '"state": "4"')
        case "later version":
            facts["version"] = 99
    data = {"no json": b"\xff", "nested": b"[" * 100_000}.get(harm, json.dumps(facts).encode())
    store.delete(key) if harm == "gone" else store.put(key, data)
    found = list(StageView(store, PREFIX).records())
    assert [(one.first // GOP, one.state) for one in found] == [(gop, str(gop)) for gop in range(256)]


def test_a_cut_record_is_not_hidden_by_its_checkpoint(store: Store) -> None:
    folded(store, 256)
    key = f"{PREFIX}/{9 * GOP:08d}.0.json"
    store.put(key, store.get(key)[:-20])
    with pytest.raises(DamagedObject, match="00000432"):
        list(StageView(store, PREFIX).records())


def test_where_listings_lag_every_record_is_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for gop in range(3):
        commit(store, gop)
    old = store.listed(PREFIX), store.list(PREFIX)
    shown = list(old[0])[:1]
    monkeypatch.setattr(store, "listed", lambda prefix, after="": iter(shown))
    monkeypatch.setattr(store, "list", lambda prefix: [one.key for one in shown])
    assert not store.lists_at_once()
    assert gops(StageView(store, PREFIX, mend=True).unbroken(range(0, 9 * GOP, GOP))) == [0, 1, 2]
