"""An input that a worker finds damaged: no worker removes it; the driver looks at it and copies it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors import inputs
from actors.inputs import fetch_input
from actors.worker import failure_of
from pipeline.scheduler import retries
from pipeline.scheduler.work import Job
from pipeline.store.digests import sha256
from pipeline.store.opening import open_store
from pipeline.store.record import Stored
from pipeline.store.suspect_inputs import SuspectInput, is_there, suspect_inputs
from tests.conftest import render_inline, write_manifest


def stored(tmp_path: Path) -> Stored:
    data = (tmp_path / "audio-0.wav").read_bytes()
    return Stored(f"_inputs/{sha256(data)}", sha256(data), len(data))


def test_a_worker_with_a_bad_disk_destroys_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object is whole; it is this worker that reads it wrong."""
    store = open_store(str(tmp_path / "out"))
    one = Stored("_inputs/" + sha256(b"right"), sha256(b"right"), 5)
    store.put(one.key, b"right")
    monkeypatch.setattr("pipeline.store.transfer.sha256_of_file", lambda path, *more: "0" * 64)
    for _ in range(2):
        with pytest.raises(SuspectInput, match=r"is not the object .*; run again") as caught:
            fetch_input(store, one, tmp_path, "audio file 1")
    assert failure_of(caught.value, Job("t", "sound")).cause == "infrastructure", "another machine may try"
    assert store.get(one.key) == b"right"
    assert suspect_inputs(store) == {one.sha256}
    assert is_there(store, one, suspect_inputs(store)), "the driver finds it whole"
    assert not suspect_inputs(store)


@pytest.mark.parametrize("damage", ["swapped", "cut"])
def test_a_damaged_copy_is_mended(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut ones are found at the start by their size; swapped ones by the worker that reads them, in the same run."""
    monkeypatch.setattr(retries, "BACKOFF", 0.3)
    manifest = write_manifest(tmp_path, (48,))
    store = open_store(str(tmp_path / "out"))
    one = stored(tmp_path)
    store.put(one.key, b"x" * (one.size if damage == "swapped" else 7))
    assert render_inline(manifest) == 0
    assert sha256(store.get(one.key)) == one.sha256
    assert not suspect_inputs(store)


def test_a_mark_of_a_former_run_is_looked_into(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, (48,))
    store = open_store(str(tmp_path / "out"))
    one = stored(tmp_path)
    store.put(one.key, b"x" * one.size)
    store.put(one.key + ".doubt", b"some machine")
    store.put("_inputs/nonsense.doubt", b"")
    assert render_inline(manifest) == 0
    assert not suspect_inputs(store)


def test_weights_of_a_local_store(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    one = Stored("_inputs/" + sha256(b"right"), sha256(b"right"), 5)
    store.put(one.key, b"wrong")
    with pytest.raises(SuspectInput, match=r"weights file net\.safetensors"):
        inputs._weights_file(store, one, tmp_path, "net.safetensors")
    assert store.get(one.key) == b"wrong"
