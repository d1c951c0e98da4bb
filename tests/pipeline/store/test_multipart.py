"""Large files go to S3 in parts: one that fails is sent again alone, and nothing is left of an upload that fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import StoreError
from pipeline.store import multipart
from pipeline.store import remote as store_remote
from pipeline.store.digests import sha256
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.support import faulty_s3
from tests.support.faulty_s3 import Asked, FaultyS3
from tests.support.s3 import S3Server

PART = 5 << 20  # bytes, the smallest that S3 has


@pytest.fixture(scope="module")
def proxy(s3_server: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3.before(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: FaultyS3, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(store_remote, "RETRY_WAITS", tuple(wait / 100 for wait in store_remote.RETRY_WAITS))
    for module in (multipart, store_remote):
        monkeypatch.setattr(module, "PART", PART)
    yield open_store(s3.url())
    proxy.choose = lambda asked: ""


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(3 * PART + 1000))
    return path


def part_of(asked: Asked) -> str:
    return next((word.partition("=")[2] for word in asked.query.split("&") if word.startswith("partNumber=")), "")


@pytest.mark.parametrize("fault", ["503", "drop", "lost"])
def test_a_part_that_fails_is_sent_again_alone(store: Store, proxy: FaultyS3, film: Path, fault: str) -> None:
    sent, failed, beats = Counter[str](), set[str](), list[int]()
    store.progress = lambda: beats.append(1)

    def choose(asked: Asked) -> str:
        if (part := part_of(asked)) and asked.method == "PUT":
            sent[part] += 1
            if part in "24" and part not in failed:
                failed.add(part)
                return fault
        return ""

    proxy.choose = choose
    found = store.put_file("final.mp4", film)
    assert sent == {"1": 1, "2": 2, "3": 1, "4": 2}
    assert (found.sha256, found.size) == (sha256(film.read_bytes()), film.stat().st_size)
    assert store.get("final.mp4") == film.read_bytes()
    assert len(beats) >= 6
    assert list(store.unfinished()) == []


def test_the_last_answer_is_lost(store: Store, proxy: FaultyS3, film: Path) -> None:
    """The parts were put together: what is there is taken, and not a byte is sent again."""
    parts = Counter[str]()

    def choose(asked: Asked) -> str:
        parts["sent"] += asked.method == "PUT" and bool(part_of(asked))
        completes = asked.method == "POST" and "uploadId=" in asked.query
        parts["completed"] += completes
        return "lost" if completes and parts["completed"] == 1 else ""

    proxy.choose = choose
    store.put_file("final.mp4", film)
    assert store.get("final.mp4") == film.read_bytes()
    assert parts["sent"] == 4


def test_nothing_is_left_of_an_upload_that_fails(store: Store, proxy: FaultyS3, film: Path) -> None:
    store.put("final.mp4", b"before")
    proxy.choose = lambda asked: "503" if part_of(asked) == "3" else ""
    with pytest.raises(StoreError, match="final"):
        store.put_file("final.mp4", film)
    proxy.choose = lambda asked: ""
    assert store.get("final.mp4") == b"before"
    assert list(store.unfinished()) == []


def test_few_enough_parts() -> None:
    assert multipart.part_size(1) == multipart.PART
    for size in (32 << 30, 1 << 40):
        assert size / multipart.part_size(size) <= 10_000


@pytest.mark.parametrize("size", [0, 1000, PART, 2 * PART + 7])
def test_a_file_comes_in_parts(store: Store, proxy: FaultyS3, tmp_path: Path, size: int) -> None:
    data = np.random.default_rng(1).bytes(size)
    (tmp_path / "file").write_bytes(data)
    store.put_file("file", tmp_path / "file")
    before = proxy.asked
    proxy.choose = lambda asked: "503" if asked.number == before + 2 else ""
    store.get_file("file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    assert proxy.asked - before == size // PART + 1 + (size >= PART), (
        "one for a part, and one more for the one that failed"
    )


def test_an_object_is_one_request(store: Store, proxy: FaultyS3) -> None:
    for key, data in (("a", b"bytes" * 1000), ("empty", b"")):
        store.put(key, data)
        before = proxy.asked
        assert store.get(key) == data
        assert proxy.asked == before + 1


def test_many_objects_go_at_once(store: Store, proxy: FaultyS3) -> None:
    keys = [f"objects/{number}" for number in range(30)]
    for key in keys[:-1]:
        store.put(key, b"x")
    before = proxy.asked
    store.delete_all(iter(keys))
    assert proxy.asked == before + 1
    assert store.list("objects") == []
