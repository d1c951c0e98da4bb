"""Commit records: one winner, no splicing, damage found."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.errors import DamagedObject, MissingObject, OutputError, StoreError
from pipeline.store.digests import sha256
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.local import LocalStore
from pipeline.store.opening import open_store
from pipeline.store.record import VERSION, Record, Stored, seed_state_hash
from pipeline.store.transfer import create_json, fetch_checked


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "out"))


@pytest.fixture
def ledger(store: LocalStore) -> Ledger:
    return Ledger(store, "title/chain/0123/chain")


def attempt_at(ledger: Ledger, first: int, data: bytes = b"latents", **more: Any) -> Record:
    """A record whose object is staged but not committed."""
    attempt = new_attempt()
    objects = {"latents": ledger.stage_object(first, attempt, "latents", data)}
    return Record("chain", "title", "0123", first, 48, attempt, objects, **more)


def objects_of(store: LocalStore) -> list[str]:
    return store.list("title/chain/0123/chain/objects")


def test_a_record_is_read_as_it_was_written(ledger: Ledger) -> None:
    more = {"parent": "p", "state": "s", "uses": {"features/0": "f"}, "numerics": {"threads": 1}, "facts": {"x": [1]}}
    record = attempt_at(ledger, 96, **more)
    commit = ledger.commit(record)
    assert commit.won
    assert commit.record == record == ledger.read(96)
    assert ledger.load(record, "latents") == b"latents"
    assert ledger.read(0) is None


def test_the_names_of_records_are_their_first_frames(ledger: Ledger, store: LocalStore) -> None:
    ledger.commit(attempt_at(ledger, 48))
    assert store.list("title/chain/0123/chain") == ["title/chain/0123/chain/00000048.0.json"]


def test_of_racing_writers_one_wins_and_the_others_drop_their_objects(ledger: Ledger, store: LocalStore) -> None:
    for first in range(0, 480, 48):
        records = [attempt_at(ledger, first, b"%d" % number) for number in range(6)]
        gate = threading.Barrier(6)

        def race(record: Record, gate: threading.Barrier = gate) -> Any:
            gate.wait()
            return ledger.commit(record)

        with ThreadPoolExecutor(6) as pool:
            commits = list(pool.map(race, records))
        (winner,) = [commit.record for commit in commits if commit.won]
        assert {commit.record.attempt for commit in commits} == {winner.attempt}
        assert ledger.read(first) == winner
        assert [key for key in objects_of(store) if f"/{first:08d}-" in key] == [winner.objects["latents"].key]


def test_a_create_tried_again_after_an_unclear_answer_has_won(
    ledger: Ledger, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store.create

    def unclear(key: str, data: bytes) -> bool:
        create(key, data)
        return create(key, data)  # what a retry after a lost answer sees: the key is taken

    monkeypatch.setattr(store, "create", unclear)
    commit = ledger.commit(attempt_at(ledger, 0))
    assert commit.won
    assert ledger.load(commit.record, "latents") == b"latents"


def test_committing_twice_changes_nothing(ledger: Ledger) -> None:
    record = attempt_at(ledger, 0)
    assert ledger.commit(record).won
    assert ledger.commit(record).won
    assert ledger.load(record, "latents") == b"latents"


def test_a_loser_whose_objects_cannot_be_removed_still_takes_the_winner(
    ledger: Ledger, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner = ledger.commit(attempt_at(ledger, 0, b"first")).record
    for error in (StoreError("down"), OutputError("no right to delete")):
        monkeypatch.setattr(store, "delete", _raiser(error))
        commit = ledger.commit(attempt_at(ledger, 0, b"second"))
        assert (commit.record, commit.won) == (winner, False)


def test_a_void_record_is_followed_by_the_next_generation(ledger: Ledger, store: LocalStore) -> None:
    first = ledger.commit(attempt_at(ledger, 0, b"first")).record
    ledger.void(first, "damaged")
    assert ledger.read(0) is None
    second = ledger.commit(attempt_at(ledger, 0, b"second"))
    assert second.won
    assert second.record.generation == 1
    assert ledger.read(0) == second.record
    assert not ledger.commit(attempt_at(ledger, 0, b"third")).won
    ledger.void(second.record, "again")
    assert ledger.commit(attempt_at(ledger, 0, b"fourth")).record.generation == 2
    assert ledger.load(ledger.read(0), "latents") == b"fourth"
    assert json.loads(store.get(ledger.key(0, 0) + ".void"))["reason"] == "damaged"


def test_voiding_twice_is_voiding_once(ledger: Ledger) -> None:
    record = ledger.commit(attempt_at(ledger, 0)).record
    ledger.void(record, "one")
    ledger.void(record, "two")
    assert ledger.commit(attempt_at(ledger, 0)).record.generation == 1


def test_the_lowest_generation_without_a_marker_counts(ledger: Ledger, store: LocalStore) -> None:
    """A late writer may have made a higher generation than another reader thinks is needed."""
    record = attempt_at(ledger, 0)
    for generation in range(3):
        store.put(ledger.key(0, generation), replace(record, generation=generation).to_json())
    assert ledger.read(0).generation == 0
    store.put(ledger.key(0, 0) + ".void", b"")
    assert ledger.read(0).generation == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"latent", b"latents ", b"Latents"])
def test_a_damaged_object_is_found(ledger: Ledger, store: LocalStore, tmp_path: Path, damage: bytes) -> None:
    record = ledger.commit(attempt_at(ledger, 48)).record
    stored = record.objects["latents"]
    store.put(stored.key, damage)
    with pytest.raises(DamagedObject, match="title title, chain at frame 48, object latents"):
        ledger.load(record, "latents")
    with pytest.raises(DamagedObject, match="the portrait"):
        fetch_checked(store, stored, tmp_path / "copy", "the portrait")


def test_a_missing_object_is_damage(ledger: Ledger, store: LocalStore, tmp_path: Path) -> None:
    record = ledger.commit(attempt_at(ledger, 0)).record
    store.delete(record.objects["latents"].key)
    with pytest.raises(DamagedObject, match="missing"):
        ledger.load(record, "latents")
    with pytest.raises(DamagedObject, match="missing"):
        fetch_checked(store, record.objects["latents"], tmp_path / "copy", "it")
    with pytest.raises(DamagedObject, match="names no such object"):
        ledger.load(record, "state")


def test_an_object_from_a_file_is_the_same_as_from_bytes(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"latents")
    stored = ledger.stage_object(0, "attempt", "latents", tmp_path / "file")
    assert stored == replace(ledger.stage_object(0, "attempt", "latents", b"latents"))
    fetch_checked(ledger.store, stored, tmp_path / "copy", "it")
    assert (tmp_path / "copy").read_bytes() == b"latents"


GARBAGE = [b"", b"garbage", b"{}", b"[]", b"null", b'{"version": 1}', b'{"version": 1, "objects": 3}']


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_record_that_cannot_be_read_is_told_and_can_be_mended(
    ledger: Ledger, store: LocalStore, garbage: bytes
) -> None:
    store.put(ledger.key(0, 0), garbage)
    with pytest.raises(DamagedObject, match=r"00000000\.0\.json: not a commit record"):
        ledger.read(0)
    assert ledger.read(0, mend=True) is None
    assert ledger.commit(attempt_at(ledger, 0)).record.generation == 1
    assert ledger.read(0).generation == 1


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_writer_that_loses_to_garbage_makes_the_next_generation(
    ledger: Ledger, store: LocalStore, garbage: bytes
) -> None:
    store.put(ledger.key(0, 0), garbage)
    commit = ledger.commit(attempt_at(ledger, 0))
    assert commit.won
    assert ledger.read(0) == commit.record
    assert commit.record.generation == 1


def test_a_record_under_another_name_is_damage(ledger: Ledger, store: LocalStore) -> None:
    """A copied file must not make one GOP pass for another."""
    record = ledger.commit(attempt_at(ledger, 0)).record
    store.put(ledger.key(48, 0), record.to_json())
    with pytest.raises(DamagedObject, match="holds the record of frame 0"):
        ledger.read(48)
    store.put(ledger.key(0, 0) + ".void", b"")
    store.put(ledger.key(0, 1), record.to_json())
    with pytest.raises(DamagedObject, match="generation 0"):
        ledger.read(0)


def test_small_shared_objects_are_made_once(store: LocalStore) -> None:
    assert create_json(store, "numerics.json", {"threads": 1}) == {"threads": 1}
    assert create_json(store, "numerics.json", {"threads": 2}) == {"threads": 1}
    for garbage in (b"{", b"[1]", b"3"):
        store.put("numerics.json", garbage)
        with pytest.raises(StoreError, match="remove it to have it made again"):
            create_json(store, "numerics.json", {})


def test_the_parent_of_the_first_gop_holds_conditioning_and_seed() -> None:
    hashes = {seed_state_hash(conditioning, seed) for conditioning in ("a", "b") for seed in (0, 1, 11)}
    assert len(hashes) == 6
    assert seed_state_hash("a", 1) == sha256(b"a|1")


# -- anything at all in place of a record ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
GOOD = json.loads(
    Record("chain", "t", "p", 0, 48, "a", {"latents": Stored("k", "s", 1)}, uses={"features/0": "x"}).to_json()
)


def only_damage(data: bytes) -> Record | None:
    try:
        return Record.from_json(data, "here")
    except DamagedObject as error:
        assert str(error).startswith("here: ")  # noqa: PT017
        return None


@given(st.binary(max_size=200))
@example(b"\xff\xfe{}")
@example(b"[" * 100_000)
@example(b'{"version":' + b"9" * 5000 + b"}")
def test_bytes_of_any_kind_are_damage(data: bytes) -> None:
    assert only_damage(data) is None


@given(JSON)
def test_json_of_any_kind_is_damage(value: Any) -> None:
    assert only_damage(json.dumps(value).encode()) is None


@given(st.sampled_from(sorted(GOOD)), JSON)
@example("uses", 3)
@example("uses", {"a": 1})
@example("objects", {"latents": {"key": "k", "sha256": "s", "size": -1}})
@example("objects", {"latents": {"key": 3, "sha256": "s", "size": 1}})
@example("objects", {"latents": {"key": "k", "sha256": "s", "size": 1, "more": 1}})
@example("first", True)
@example("first", -48)
@example("made", [])
@example("parent", 0)
@example("version", 0)
def test_one_wrong_field_is_damage_or_of_the_right_type(name: str, value: Any) -> None:
    if name == "version" and isinstance(value, int) and value > VERSION:
        return
    record = only_damage(json.dumps(GOOD | {name: value}).encode())
    if record is None:
        return
    assert json.loads(record.to_json()).keys() == GOOD.keys()
    assert type(record.first) is type(record.frames) is type(record.generation) is int
    assert all(isinstance(one, Stored) and isinstance(one.key, str) for one in record.objects.values())
    for text in (record.stage, record.title, record.plan, record.attempt):
        assert isinstance(text, str)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_fields_with_no_default_must_be_there(name: str) -> None:
    record = only_damage(json.dumps({key: value for key, value in GOOD.items() if key != name}).encode())
    required = ("stage", "title", "plan", "first", "frames", "attempt", "objects", "version")
    assert (record is None) == (name in required)


def test_a_record_of_a_later_version_is_not_damage() -> None:
    """Voiding what another version made would throw work away."""
    with pytest.raises(OutputError, match=r"later version.*render with that version, or choose another output"):
        Record.from_json(json.dumps(GOOD | {"version": VERSION + 1, "new": 1}).encode(), "here")


def test_a_ledger_works_on_memory_too() -> None:
    ledger = Ledger(open_store(f"memory://{new_attempt()}"), "t/chain")
    record = ledger.commit(attempt_at(ledger, 0)).record
    assert ledger.read(0) == record
    with pytest.raises(MissingObject):
        ledger.store.get("t/chain/00000048.0.json")


def _raiser(error: Exception) -> Any:
    def fail(*_: Any) -> None:
        raise error

    return fail
