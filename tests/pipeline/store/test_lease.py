"""A store without create-only puts lets one driver in; the second leaves and names the first."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline import render
from pipeline.core.errors import OutputError, Paused
from pipeline.driver import preflight
from pipeline.store.lease import KEY, Lease
from pipeline.store.local import LocalStore
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.conftest import write_manifest

QUICK = {"beat": 0.02, "patience": 0.4, "settle": 0.05}


class Overwriting(LocalStore):
    """A folder that creates what is there already, like some S3 servers."""

    def create(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True


def lease(store: Store, name: str) -> Lease:
    return Lease(store, name, **QUICK)


def test_the_second_driver_leaves_naming_the_first(tmp_path: Path) -> None:
    store = Overwriting(str(tmp_path))
    with lease(store, "first"):
        with pytest.raises(Paused, match="in the hands of run first on"), lease(store, "second"):
            pass
        assert store.exists(KEY)
    assert not store.exists(KEY)
    with lease(store, "second"):
        pass


def test_a_dead_holder_is_replaced(tmp_path: Path) -> None:
    store = Overwriting(str(tmp_path))
    store.put(KEY, b'{"holder": "gone", "token": "x", "count": 7}')
    with lease(store, "next") as held:
        assert held.lost is None


def test_a_holder_that_was_replaced_learns_of_it(tmp_path: Path) -> None:
    store = Overwriting(str(tmp_path))
    with lease(store, "first") as held:
        store.put(KEY, b'{"holder": "other", "token": "y", "count": 1}')
        waiter = threading.Event()
        for _ in range(200):
            if held.lost or waiter.wait(0.02):
                break
        assert held.lost
        assert "run other" in held.lost
    assert b"other" in store.get(KEY), "the winner's lease is left alone"


def test_of_two_that_begin_together_one_goes_on(tmp_path: Path) -> None:
    store = Overwriting(str(tmp_path))
    ended: list[str] = []
    both, decided = threading.Barrier(2), threading.Event()

    def begin(name: str) -> None:
        both.wait()
        try:
            with lease(store, name):
                ended.append("held")
                decided.wait(10)
        except Paused:
            ended.append("paused")
            decided.set()

    threads = [threading.Thread(target=begin, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["held", "paused"]


def test_a_render_holds_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(preflight, "open_store", lambda url: Overwriting(open_store(url).url))
    monkeypatch.setattr(preflight, "Lease", lease)
    manifest = write_manifest(tmp_path, [{"id": "one", "frames": 20}])
    with lease(Overwriting(str(tmp_path / "out")), "somebody"):
        assert render.run([str(manifest), "--executor", "inline"]) == 75
        assert "in the hands of run somebody" in capsys.readouterr().err
    assert render.run([str(manifest), "--executor", "inline"]) == 0
    assert not (tmp_path / "out" / KEY).exists()


def test_the_lease_outlives_a_moment_without_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Overwriting(str(tmp_path))
    with lease(store, "first") as held:
        denied = threading.Event()
        put = store.put

        def refuse(key: str, data: bytes) -> None:
            denied.set()
            raise OutputError("access denied: the token has expired")

        monkeypatch.setattr(store, "put", refuse)
        assert denied.wait(5)
        monkeypatch.setattr(store, "put", put)
        with pytest.raises(Paused, match="in the hands of run first"), lease(Overwriting(str(tmp_path)), "second"):
            pass
        assert held.lost is None


def test_a_holder_that_cannot_look_for_long_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Overwriting(str(tmp_path))

    def refuse(key: str, start: int, stop: int) -> bytes:
        raise OutputError("access denied")

    with lease(store, "first") as held:
        monkeypatch.setattr(store, "get_range", refuse)
        held._thread.join(10)
        assert "has not been readable for 0.4 s (access denied)" in (held.lost or "")


def test_an_object_store_without_create_only_puts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store("memory://overwriting")
    monkeypatch.setattr(store, "honours_create", lambda: False)
    with pytest.raises(OutputError, match=r"overwrites an object .* expected a store that .* Amazon S3"):
        preflight.driver_lease(store, "run")


def test_a_folder_without_hard_links_keeps_the_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    monkeypatch.setattr(preflight, "Lease", lambda store, run: Lease(store, run, **QUICK))
    manifest = write_manifest(tmp_path, (60,))
    with lease(LocalStore(str(tmp_path / "out")), "first"):
        assert render.run([str(manifest), "--executor", "inline"]) == 75
    assert render.run([str(manifest), "--executor", "inline"]) == 0
