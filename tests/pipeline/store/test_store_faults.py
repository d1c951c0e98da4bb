"""A store at its worst: single faults are ridden out, lasting ones pause the title, and a rerun continues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs

from pipeline.core.errors import OutputError, StoreError
from pipeline.scheduler import retries
from pipeline.store import remote as store_remote
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.conftest import render_inline, write_manifest
from tests.support import faulty_s3
from tests.support.crashes import one_playlist, records
from tests.support.faulty_s3 import Asked, FaultyS3
from tests.support.s3 import S3Server

FRAMES = 100


@pytest.fixture(scope="module")
def proxy_server(s3_server: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3.before(s3_server.endpoint) as proxy, one_playlist():
        yield proxy


class Hasty:
    """asyncio for s3fs, which waits a tenth of a second after every answer of its own that it may repeat."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


@pytest.fixture
def proxy(proxy_server: FaultyS3, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """The S3 server behind a proxy that does no harm yet; waits are a hundredth as long."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy_server.endpoint)
    monkeypatch.setattr(store_remote, "RETRY_WAITS", tuple(wait / 100 for wait in store_remote.RETRY_WAITS))
    monkeypatch.setattr(retries, "BACKOFF", 0.01)
    monkeypatch.setattr(s3fs.core, "asyncio", Hasty())
    proxy_server.choose, proxy_server.delay = (lambda asked: ""), 0.3
    yield proxy_server
    proxy_server.choose = lambda asked: ""


@pytest.fixture
def store(proxy: FaultyS3, s3: S3Server) -> Store:
    return open_store(s3.url())


def once(proxy: FaultyS3, fault: str, times: int = 1) -> None:
    """The next requests have the fault."""
    last = proxy.asked + times
    proxy.choose = lambda asked: fault if asked.number <= last else ""


@pytest.mark.parametrize("fault", ["500", "503", "drop", "lost", "cut", "slow"])
@pytest.mark.parametrize("times", [1, 4])
def test_faults_that_pass(store: Store, proxy: FaultyS3, tmp_path: Path, fault: str, times: int) -> None:
    data = bytes(range(256)) * 40
    store.put("there", data)
    for read in (lambda: store.get("there"), lambda: store.get_range("there", 100, 9000), lambda: store.size("there")):
        expected = read()
        once(proxy, fault, times)
        assert read() == expected
    once(proxy, fault, times)
    store.get_file("there", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    once(proxy, fault, times)
    store.put("new", data)
    assert store.get("new") == data
    once(proxy, fault, times)
    made = store.create("created", data)
    assert store.get("created") == data
    assert made or fault == "lost", "only an answer that was lost leaves open whose object it is"


def test_a_fault_that_lasts_is_bounded(store: Store, proxy: FaultyS3) -> None:
    proxy.choose = lambda asked: "503"
    before, began = proxy.asked, time.monotonic()
    with pytest.raises(StoreError, match="output s3://"):
        store.get("anything")
    assert proxy.asked - before <= 2 * (len(store_remote.RETRY_WAITS) + 1)
    assert time.monotonic() - began < 30


def test_credentials_that_expire_are_said(store: Store, proxy: FaultyS3) -> None:
    proxy.choose = lambda asked: "expired"
    with pytest.raises(OutputError, match=r"access to anything denied .*check the credentials"):
        store.get("anything")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path, [{"id": "one", "frames": FRAMES}])


@pytest.fixture
def plain(manifest: Path) -> dict[str, Any]:
    assert render_inline(manifest) == 0
    return records(open_store(str(manifest.parent / "out")))


@pytest.mark.parametrize("fault", ["503", "drop", "expired"])
def test_a_fault_that_comes_and_stays(
    manifest: Path, plain: dict[str, Any], proxy: FaultyS3, s3: S3Server, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """From the second GOP's latents on the store does not work: the title pauses and says why; the next run goes on."""
    output, broken = s3.url(), []

    def choose(asked: Asked) -> str:
        if "/chain/objects/00000048-" in asked.key:
            broken.append(asked)
        return fault if broken else ""

    proxy.choose = choose
    assert render_inline(manifest, "--output", output) == 75
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "one: paused at" in said
    assert "Run the same command again to continue." in said
    assert {"503": "PutObject operation", "drop": "output s3://", "expired": "access to one/chain"}[fault] in said
    proxy.choose = lambda asked: ""
    assert render_inline(manifest, "--output", output) == 0
    assert records(open_store(output)) == plain


def test_a_tenth_of_all_requests_fails(manifest: Path, plain: dict[str, Any], proxy: FaultyS3, s3: S3Server) -> None:
    kinds = ("500", "503", "drop", "lost", "cut")
    proxy.choose = lambda asked: kinds[asked.number // 10 % len(kinds)] if asked.number % 10 == 0 else ""
    output = s3.url()
    assert render_inline(manifest, "--output", output) == 0
    assert sum(proxy.injected.values()) >= 20
    assert records(open_store(output)) == plain


def test_listings_that_lag_behind(manifest: Path, plain: dict[str, Any], proxy: FaultyS3, s3: S3Server) -> None:
    """Every listing is the first one that was ever given for its folder; readers follow records only."""
    output = s3.url()
    assert render_inline(manifest, "--output", output, "--preview", "2") == 0
    proxy.choose = lambda asked: "stale"
    assert render_inline(manifest, "--output", output) == 0
    proxy.choose = lambda asked: ""
    assert records(open_store(output)) == plain


def test_a_store_without_create_only_puts(
    manifest: Path,
    plain: dict[str, Any],
    proxy: FaultyS3,
    s3: S3Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two workers could both believe that they committed a GOP: said before anything is rendered."""
    proxy.choose = lambda asked: "overwrite"
    output = s3.url()
    assert render_inline(manifest, "--output", output) == 2
    assert "expected a store that honours If-None-Match: Amazon S3" in capsys.readouterr().err
    assert not records(open_store(output))
    proxy.choose = lambda asked: ""
    assert render_inline(manifest, "--output", output) == 0
    assert records(open_store(output)) == plain
