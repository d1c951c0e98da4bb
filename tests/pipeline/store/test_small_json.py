"""Small objects that anybody may have put into the output: read in bounds, or refused as damage."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject
from pipeline.intake.input_cache import InputCache
from pipeline.sources.signatures import address_key
from pipeline.store import small_json
from pipeline.store.ledger import Ledger
from pipeline.store.local import LocalStore
from pipeline.store.record import Record, Stored
from pipeline.store.small_json import get_json, get_small, parse_json, put_changed

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
DATA = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner))
SOUND = {"samples": 16_000, "rate": 16_000, "channels": 1, "chapters": [], "tags": [["title", "x"]]}
ENTRY = {"url": "/a/voice.wav", "sha256": "0" * 64, "size": 9, "stamp": "1", "facts": SOUND}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "out"))


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000, b"\xff"])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(data)


def test_an_object_that_is_too_large_is_not_held(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_json, "LARGEST", 10)
    store.put("a", b'"12345678"')
    store.put("b", b'"123456789"')
    assert get_json(store, "a") == "12345678"
    with pytest.raises(DamagedObject, match="larger than"):
        get_small(store, "b")
    with pytest.raises(MissingObject):
        get_json(store, "c")


def test_a_pipe_is_not_waited_for(store: LocalStore) -> None:
    store.put("x/a", b"1")
    os.mkfifo(store.root / "x/pipe")
    (store.root / "x/zero").symlink_to("/dev/zero")
    for key in ("x/pipe", "x/zero"):
        reads = [store.get, partial(store.get_range, start=0, stop=9), partial(store.get_file, path=Path("/nowhere"))]
        for read in reads:
            with pytest.raises(DamagedObject, match=r"is no ordinary file; remove .*/x/"):
                read(key)
    put_changed(store, "x/pipe", b"2")
    assert store.get("x/pipe") == b"2"


def test_a_pipe_in_the_place_of_a_record_is_void(store: LocalStore) -> None:
    ledger = Ledger(store, "one/chain")
    (store.root / "one/chain").mkdir(parents=True)
    os.mkfifo(store.root / "one/chain/00000000.0.json")
    with pytest.raises(DamagedObject):
        ledger.read(0)
    record = Record("chain", "one", "p", 0, 48, "a", {"latents": Stored("k", "s", 1)})
    assert ledger.commit(record).record.generation == 1
    assert ledger.read(0) == ledger.read(0, mend=True) != None  # noqa: E711 - of two readings


def test_what_is_the_same_is_not_written_again(store: LocalStore) -> None:
    put_changed(store, "a", b"1")
    before = (store.root / "a").stat().st_ino
    put_changed(store, "a", b"1")
    assert (store.root / "a").stat().st_ino == before
    put_changed(store, "a", b"2")
    assert store.get("a") == b"2"


def test_what_fits_is_remembered() -> None:
    portrait = ENTRY | {"url": "/a/face.png", "facts": [96, 80]}
    embedding = ENTRY | {"url": "/a/e.npy", "facts": None}
    entries = [ENTRY, portrait, embedding]
    known = InputCache({"files": entries})
    assert [known.find("anywhere", str(entry["url"])) for entry in entries] == entries


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "../../x"},
        {"sha256": 7},
        {"size": "9"},
        {"size": -1},
        {"stamp": None},
        {"url": ["x"]},
        {"facts": "x"},
        {"facts": [1, 2, 3]},
        {"facts": [0, 1]},
        *({"facts": SOUND | {name: value}} for name, value in SOUND.items() for value in (10**30, "1", None, [7], 0)),
    ],
)
def test_what_cannot_be_right_is_not_believed(change: dict[str, Any]) -> None:
    if change != {"facts": SOUND | {"channels": 1}}:
        assert not InputCache({"files": [ENTRY | change]})


@settings(max_examples=40)
@given(DATA)
def test_anything_may_stand_there(found: Any) -> None:
    for data in (found, {"files": found}, {"files": [found]}, {"files": [ENTRY | {"facts": found}]}):
        assert set(InputCache(data)._entries) <= {address_key(str(ENTRY["url"]))}


GOOD = Record("chain", "t", "p", 0, 48, "a", {"latents": Stored("k", "s", 1)}, uses={"features/0": "f"}).to_json()


@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=12))
def test_a_record_with_some_bytes_changed_is_a_record_or_damage(start: int, stop: int, put: bytes) -> None:
    _parse(GOOD[: min(start, stop)] + put + GOOD[max(start, stop) :])


@settings(max_examples=40)
@given(DATA, st.sampled_from(["key", "sha256", "size"]))
def test_objects_of_any_kind(value: Any, name: str) -> None:
    stored = {"key": "k", "sha256": "s", "size": 1} | {name: value}
    _parse(json.dumps(json.loads(GOOD) | {"objects": {"latents": stored}}).encode())


def _parse(data: bytes) -> None:
    try:
        record = Record.from_json(data, "here")
    except LongtakeError as error:
        record, said = None, str(error)
    if record is None:
        assert said.startswith("here: ")
        return
    assert Record.from_json(record.to_json(), "there") == record


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "a/../b", "", "a\\b", "a\0b"])
def test_an_object_that_lies_elsewhere_is_damage(key: str) -> None:
    forged = json.loads(GOOD) | {"objects": {"latents": {"key": key, "sha256": "s", "size": 1}}}
    with pytest.raises(DamagedObject, match="an object lies at"):
        Record.from_json(json.dumps(forged).encode(), "here")


@pytest.mark.parametrize("name", ["../x", "latents/" + "9" * 5_000, "latents/٣", "latents/-1", "latents/1/2", ""])
def test_what_it_uses_has_a_plain_name(name: str) -> None:
    with pytest.raises(DamagedObject, match="it uses"):
        Record.from_json(json.dumps(json.loads(GOOD) | {"uses": {name: "0"}}).encode(), "here")
