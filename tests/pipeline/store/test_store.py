"""One contract for every store, and what each adds to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import MissingObject, OutputError, StoreError
from pipeline.store import remote as store_remote
from pipeline.store.local import LocalStore
from pipeline.store.opening import open_store
from pipeline.store.remote import RemoteStore
from pipeline.store.store import Store
from tests.support.s3 import S3Server


class Contract:
    """What every store promises. A backend's tests inherit it and bring a fixture `store`: an empty one."""

    racers, races = 8, 8

    def test_what_is_put_is_read_back(self, store: Store) -> None:
        for data in (b"", b"x", bytes(range(256)) * 300):
            store.put("a/b/c.bin", data)
            assert store.get("a/b/c.bin") == data
            assert store.size("a/b/c.bin") == len(data)
        assert store.exists("a/b/c.bin")

    def test_put_replaces(self, store: Store) -> None:
        store.put("key", b"long bytes")
        store.put("key", b"short")
        assert store.get("key") == b"short"

    def test_ranges(self, store: Store) -> None:
        store.put("a/range", b"0123456789")
        assert store.get_range("a/range", 0, 4) == b"0123"
        assert store.get_range("a/range", 3, 4) == b"3"
        assert store.get_range("a/range", 8, 100) == b"89"
        assert store.get_range("a/range", 10, 20) == b""
        assert store.get_range("a/range", 50, 60) == b""
        assert store.get_range("a/range", 4, 4) == b""

    def test_missing_objects(self, store: Store, tmp_path: Path) -> None:
        store.put("folder/object", b"x")
        # Numbers in a key are not HTTP's answers: one with 416 in it was read as an object that has ended.
        for key in ("nothing", "folder/nothing", "folder", "folder/object/below", "412/00000416.0.json"):
            assert not store.exists(key)
            for ask in (
                lambda key=key: store.get(key),
                lambda key=key: store.get_range(key, 0, 4),
                lambda key=key: store.get_range(key, 4, 4),
                lambda key=key: store.size(key),
                lambda key=key: store.get_file(key, tmp_path / "copy"),
            ):
                with pytest.raises(MissingObject, match=key):
                    ask()

    def test_a_listing_tells_sizes_and_times(self, store: Store) -> None:
        assert list(store.listed("a")) == []
        for name in ("1.json", "2.json", "2.json.void", "below/3.json"):
            store.put(f"a/{name}", name.encode())
        store.put("ab/other", b"x")
        found = list(store.listed("a"))
        assert [(one.key, one.name, one.size) for one in found] == [
            (f"a/{name}", name, len(name)) for name in ("1.json", "2.json", "2.json.void")
        ]
        assert [one.modified for one in found] == [store.modified(one.key) for one in found]
        assert [one.name for one in store.listed("a", "1.json")] == ["2.json", "2.json.void"]
        assert [one.name for one in store.listed("a", "2")] == ["2.json", "2.json.void"]
        assert list(store.listed("a", "9")) == []
        assert store.lists_at_once()

    def test_create_refuses_a_taken_key(self, store: Store) -> None:
        assert store.create("records/0.json", b"first")
        assert not store.create("records/0.json", b"second")
        assert store.get("records/0.json") == b"first"
        store.put("records/1.json", b"put")
        assert not store.create("records/1.json", b"created")
        store.delete("records/0.json")
        assert store.create("records/0.json", b"third")

    def test_of_racing_creators_one_wins(self, store: Store) -> None:
        for round_ in range(self.races):
            gate = threading.Barrier(self.racers)

            def race(number: int, key: str = f"race/{round_}", gate: threading.Barrier = gate) -> bool:
                gate.wait()
                return store.create(key, b"%d" % number * 1000)

            with ThreadPoolExecutor(self.racers) as pool:
                won = list(pool.map(race, range(self.racers)))
            assert sum(won) == 1
            assert store.get(f"race/{round_}") == b"%d" % won.index(True) * 1000

    def test_a_reader_sees_old_or_new_never_a_mixture(self, store: Store) -> None:
        versions = [bytes([letter]) * 200_000 for letter in b"abcd"]
        store.put("whole", versions[0])
        stop, seen = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                seen.append(store.get("whole"))

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for number in range(12):
                    store.put("whole", versions[number % 4])
            finally:
                stop.set()
            for reader in readers:
                reader.result()
        assert set(seen) <= set(versions)

    def test_files_both_ways(self, store: Store, tmp_path: Path) -> None:
        source, copy = tmp_path / "source", tmp_path / "copy"
        for data in (b"", os.urandom(300_000)):
            source.write_bytes(data)
            store.put_file("files/object", source)
            assert store.get("files/object") == data
            store.get_file("files/object", copy)
            assert copy.read_bytes() == data

    def test_lists_show_one_folder(self, store: Store) -> None:
        assert store.list("") == store.folders("") == store.list("nowhere") == store.folders("nowhere") == []
        for key in ("top", "a/2", "a/1", "a/b/3", "a/b/c/4", "ab/5"):
            store.put(key, b"")
        assert store.list("") == ["top"]
        assert store.folders("") == ["a", "ab"]
        assert store.list("a") == ["a/1", "a/2"]
        assert store.folders("a") == ["b"]
        assert store.list("a/b") == ["a/b/3"]
        assert store.list("a/1") == store.folders("a/1") == [], "an object is not a folder"

    def test_lists_are_fresh(self, store: Store) -> None:
        for number in range(3):
            store.put(f"fresh/{number}", b"")
            assert store.list("fresh") == [f"fresh/{k}" for k in range(number + 1)]
        store.delete("fresh/1")
        assert store.list("fresh") == ["fresh/0", "fresh/2"]
        assert not store.exists("fresh/1")

    def test_delete_is_content_with_nothing(self, store: Store) -> None:
        store.put("a/b", b"x")
        store.delete("a/b")
        store.delete("a/b")
        store.delete("never/was")
        assert not store.exists("a/b")

    @pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/./b", "a\\b", "a\0b"])
    def test_keys_that_could_leave_the_store_are_refused(self, store: Store, key: str) -> None:
        for ask in (
            lambda: store.put(key, b""),
            lambda: store.create(key, b""),
            lambda: store.get(key),
            lambda: store.delete(key),
            lambda: store.exists(key),
        ):
            with pytest.raises(StoreError, match="expected a relative path"):
                ask()

    def test_names_of_any_kind(self, store: Store) -> None:
        names = ["with space", "ümlaut", "plus+and&", "percent%20", "question?mark", "hash#", "a.b.c"]
        for name in names:
            store.put(f"names/{name}", name.encode())
        assert store.list("names") == sorted(f"names/{name}" for name in names)
        assert [store.get(f"names/{name}") for name in names] == [name.encode() for name in names]

    def test_honours_create_and_leaves_nothing(self, store: Store) -> None:
        assert store.honours_create()
        assert store.list("") == store.folders("") == []


class TestFolder(Contract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(str(tmp_path / "out"))

    def test_file_urls_and_plain_paths_are_one(self, tmp_path: Path) -> None:
        open_store(f"file://{tmp_path}/out").put("a", b"x")
        assert open_store(f"{tmp_path}/out").get("a") == b"x"

    def test_nothing_is_made_by_opening(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path / "out"))
        assert not store.exists("a")
        assert not (tmp_path / "out").exists()

    def test_writers_leave_no_temporary_files(self, store: LocalStore, tmp_path: Path) -> None:
        store.put("a/1", b"x")
        store.create("a/2", b"x")
        store.create("a/2", b"y")
        (tmp_path / "source").write_bytes(b"x")
        store.put_file("a/3", tmp_path / "source")
        with pytest.raises(StoreError):
            store.put_file("a/4", tmp_path / "absent")
        assert sorted(os.listdir(store.root / "a")) == ["1", "2", "3"]

    def test_what_a_killed_writer_left_is_not_shown(self, store: LocalStore) -> None:
        """The writer is killed while its temporary file lies beside the object."""
        program = (
            "import os, sys\n"
            "from pipeline.store import local as store_local\n"
            "def write(path, data):\n"
            "    path.write_bytes(data[:3])\n"
            "    os.kill(os.getpid(), 9)\n"
            "store_local._write = write\n"
            "getattr(store_local.LocalStore(sys.argv[1]), sys.argv[2])('a/object', b'whole')\n"
        )
        for method in ("put", "create"):
            done = subprocess.run([sys.executable, "-c", program, str(store.root), method], check=False)
            assert done.returncode == -signal.SIGKILL
        assert len(os.listdir(store.root / "a")) == 2, "the test must leave something behind to be able to fail"
        assert store.list("a") == []
        assert not store.exists("a/object")
        assert store.create("a/object", b"whole")

    @pytest.mark.parametrize("method", ["put", "create"])
    def test_a_link_that_leads_out_is_not_written_through(self, store: LocalStore, tmp_path: Path, method: str) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "kept").write_bytes(b"theirs")
        store.root.mkdir()
        (store.root / "title").symlink_to(outside)
        for key in ("title/new", "title/deeper/new", "title/kept"):
            with pytest.raises(OutputError, match=r"symbolic link.*remove the link"):
                getattr(store, method)(key, b"ours")
        with pytest.raises(OutputError, match="symbolic link"):
            store.delete("title/kept")
        with pytest.raises(OutputError, match="symbolic link"):
            store.put_file("title/new", outside / "kept")
        assert [path.name for path in outside.iterdir()] == ["kept"]
        assert (outside / "kept").read_bytes() == b"theirs"

    def test_a_link_in_place_of_an_object_is_replaced_not_followed(self, store: LocalStore, tmp_path: Path) -> None:
        target = tmp_path / "theirs"
        target.write_bytes(b"theirs")
        store.root.mkdir()
        (store.root / "object").symlink_to(target)
        assert not store.create("object", b"ours")
        store.put("object", b"ours")
        assert target.read_bytes() == b"theirs"
        assert store.get("object") == b"ours"

    def test_links_inside_and_a_linked_output_are_fine(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "out").symlink_to(tmp_path / "disk")
        store = LocalStore(str(tmp_path / "out"))
        store.put("real/a", b"x")
        (tmp_path / "disk" / "alias").symlink_to("real")
        store.put("alias/b", b"y")
        assert store.get("real/b") == b"y"

    def test_a_folder_that_cannot_be_written_to(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_bytes(b"")
        for root in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/longtake")):
            store = LocalStore(str(root))
            for write in (store.put, store.create):
                with pytest.raises((OutputError, StoreError), match=r"cannot write|failed") as caught:
                    write("a/b", b"")
                if root != Path("/proc/longtake"):
                    assert isinstance(caught.value, OutputError)
                    assert "choose a folder that you may write to" in str(caught.value)
        # The superuser may write anywhere, so a refusal is played.
        monkeypatch.setattr("pipeline.store.local._write", _refuse)
        with pytest.raises(OutputError, match=r"cannot write a/b .*; choose a folder that you may write to"):
            LocalStore(str(tmp_path)).put("a/b", b"")

    def test_a_full_disk_is_the_stores_fault(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.store.local._write", _full)
        with pytest.raises(StoreError, match="No space left on device") as caught:
            LocalStore(str(tmp_path)).put("a/b", b"")
        assert not isinstance(caught.value, MissingObject)

    def test_a_disk_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", _no_links)
        store = LocalStore(str(tmp_path))
        assert not store.honours_create(), "two writers cannot be kept apart: a lease does it"
        assert store.create("a/b", b"first")
        assert not store.create("a/b", b"second")
        assert store.get("a/b") == b"first"
        assert store.list("") == []


def _refuse(path: Path, data: bytes) -> None:
    raise PermissionError(13, "Permission denied")


def _full(path: Path, data: bytes) -> None:
    raise OSError(28, "No space left on device")


def _no_links(source: Path, target: Path) -> None:
    raise OSError(1, "Operation not permitted")


class TestMemory(Contract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store(f"memory://{uuid.uuid4().hex}/out")


class TestS3(Contract):
    races = 2  # this server makes those who wait for a key wait a second

    @pytest.fixture
    def store(self, s3: S3Server) -> Store:
        return open_store(s3.url())

    def test_a_bucket_that_is_not_there(self, s3: S3Server) -> None:
        store = open_store("s3://no-such-bucket/out")
        for write in (store.put, store.create):
            with pytest.raises(OutputError, match="create the bucket first"):
                write("a", b"x")
        assert store.list("a") == []

    def test_wrong_credentials(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        url = s3.url()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(OutputError, match="check the credentials in the environment") as caught:
            open_store(url).put("a", b"x")
        assert "wrong" not in str(caught.value)

    def test_no_credentials(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        url = s3.url()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setattr(store_remote.time, "sleep", _never)
        with pytest.raises(OutputError, match="credentials"):
            open_store(url).put("a", b"x")

    @pytest.mark.slow
    def test_an_object_of_several_parts(self, store: Store, tmp_path: Path) -> None:
        path, copy = tmp_path / "source", tmp_path / "copy"
        path.write_bytes(os.urandom(1 << 20) * 120)  # above the size at which s3fs uploads in parts
        store.put_file("large", path)
        assert store.size("large") == 120 << 20
        assert store.get_range("large", 60 << 20, (60 << 20) + 5) == path.read_bytes()[60 << 20 : (60 << 20) + 5]
        store.get_file("large", copy)
        assert copy.read_bytes() == path.read_bytes()

    @pytest.mark.slow
    def test_two_processes_race(self, s3: S3Server) -> None:
        url = s3.url()
        program = "import sys; from pipeline.store.opening import open_store; s = open_store(sys.argv[1]); "
        program += "print(sum(s.create(f'race/{k}', sys.argv[2].encode()) for k in range(40)))"
        runs = [
            subprocess.Popen([sys.executable, "-c", program, url, name], stdout=subprocess.PIPE)
            for name in ("first", "second")
        ]
        wins = [int(run.communicate()[0]) for run in runs]
        assert sum(wins) == 40


def _never(seconds: float) -> None:
    raise AssertionError(f"waited {seconds} s for something that cannot pass")


# -- what every remote store has to live with -----------------------------------------------------------------------


@pytest.fixture
def remote() -> RemoteStore:
    return RemoteStore(f"memory://{uuid.uuid4().hex}/out")


class Trouble:
    """A file system that fails `times` times before every call, or after it has done its work."""

    def __init__(self, inner: Any, error: Callable[[], Exception], times: int, after: bool = False):
        self._inner, self._error, self._left, self._after = inner, error, times, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            fail, self._left = self._left > 0, self._left - 1
            if fail and not self._after:
                raise self._error()
            result = method(*args, **kwargs)
            if fail:
                raise self._error()
            return result

        return call


def _botocore_timeout() -> Exception:
    from botocore.exceptions import ReadTimeoutError

    return ReadTimeoutError(endpoint_url="http://store")


PASSING = {
    "503": lambda: OSError(16, "Please reduce your request rate."),
    "500": lambda: OSError(121, "We encountered an internal error."),
    "time-out": TimeoutError,
    "reset": ConnectionResetError,
    "read time-out": _botocore_timeout,
}


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("after", [False, True])
def test_passing_trouble_is_ridden_out(
    remote: RemoteStore, monkeypatch: pytest.MonkeyPatch, kind: str, after: bool
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(store_remote.time, "sleep", waits.append)
    inner, error, times = remote.fs, PASSING[kind], len(store_remote.RETRY_WAITS)

    def trouble() -> None:
        remote.fs = Trouble(inner, error, times, after)

    trouble()
    remote.put("a", b"x")
    trouble()
    assert remote.get("a") == b"x"
    trouble()
    assert remote.exists("a")
    trouble()
    assert remote.list("") == ["a"]
    trouble()
    # A create whose answer was lost cannot know that it won: callers compare the bytes.
    assert remote.create("b", b"mine") is not after
    assert remote.get("b") == b"mine"
    trouble()
    assert remote.honours_create()
    trouble()
    remote.delete("a")
    assert not remote.exists("a")
    assert len(waits) >= 5 * times
    for base, wait in zip(store_remote.RETRY_WAITS, waits[:times], strict=True):
        assert 0.5 * base <= wait <= 1.5 * base


def test_lasting_trouble_is_told(remote: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(store_remote.time, "sleep", waits.append)
    remote.fs = Trouble(remote.fs, PASSING["503"], 1000)
    with pytest.raises(StoreError, match=r"memory://.*a/b: .*reduce your request rate"):
        remote.put("a/b", b"")
    assert len(waits) == len(store_remote.RETRY_WAITS)


def test_trouble_with_a_key_that_holds_a_status_is_trouble(
    remote: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an answer that the key is taken, or that the object ends before the range."""
    monkeypatch.setattr(store_remote.time, "sleep", lambda seconds: None)
    remote.fs = Trouble(remote.fs, lambda: OSError(5, "cannot reach 412/00000416.0.json"), 1000)
    with pytest.raises(StoreError, match="cannot reach"):
        remote.create("412/00000416.0.json", b"")
    with pytest.raises(StoreError, match="cannot reach"):
        remote.get_range("412/00000416.0.json", 0, 4)


def test_faults_of_ours_are_not_retried(remote: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_remote.time, "sleep", _never)
    for error, expected in (
        (PermissionError("Forbidden"), OutputError),
        (ValueError("no such option"), StoreError),
        (FileNotFoundError("The specified bucket does not exist"), OutputError),
    ):
        remote.fs = Trouble(remote.fs, lambda error=error: error, 1)
        with pytest.raises(expected):
            remote.put("a", b"")


def test_secrets_in_an_address_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_remote.time, "sleep", lambda seconds: None)
    store = RemoteStore("memory://user:hunter22@bucket/out")
    store.fs = Trouble(store.fs, lambda: OSError("cannot reach user:hunter22@bucket"), 1000)
    for ask in (lambda: store.put("a", b""), lambda: store.get("a")):
        with pytest.raises(StoreError) as caught:
            ask()
        assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense://bucket/out", "s3x://a"])
def test_an_address_that_cannot_be_a_store(url: str) -> None:
    with pytest.raises(OutputError, match="expected a folder or a URL such as s3://bucket/path"):
        open_store(url)


def test_a_store_without_create_only_puts_is_found_out(remote: RemoteStore) -> None:
    class Careless:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def pipe_file(self, path: str, data: bytes, mode: str = "overwrite") -> None:
            inner.pipe_file(path, data)

    inner = remote.fs
    assert remote.honours_create()
    remote.fs = Careless()
    assert not remote.honours_create()
    assert remote.list("") == []
