from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from s3fs import S3FileSystem

from pipeline.core.errors import InputError
from pipeline.manifest.catalog import load_manifest
from pipeline.sources import inputs
from pipeline.sources.inputs import fetch, stamp_of
from tests.support.manifest_texts import FAMILIES
from tests.support.s3 import S3Server


@pytest.fixture
def memory() -> Iterator[str]:
    folder = "memory://test_inputs"
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/test_inputs/voice.wav", b"sound" * 1000)
    fs.pipe_file("/test_inputs/empty.wav", b"")
    yield folder
    fs.rm("/test_inputs", recursive=True)


def test_a_local_file_is_read_where_it_lies_also_through_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "voice.wav", tmp_path / "link.wav"
    file.write_bytes(b"sound")
    link.symlink_to(file)
    for path in (file, link, f"file://{link}"):
        local, source = fetch(str(path), tmp_path / "scratch")
        assert local.read_bytes() == b"sound"
        assert (source.size, source.sha256) == (5, hashlib.sha256(b"sound").hexdigest())
        assert source.stamp == str(file.stat().st_mtime_ns)
    assert not (tmp_path / "scratch").exists()


def test_a_remote_file_is_fetched_under_its_own_name(tmp_path: Path, memory: str) -> None:
    local, source = fetch(f"{memory}/voice.wav", tmp_path)
    assert local.name == "voice.wav"
    assert tmp_path in local.parents
    assert local.read_bytes() == b"sound" * 1000
    assert (source.size, source.stamp) == stamp_of(f"{memory}/voice.wav")
    assert [path.name for path in local.parent.iterdir()] == ["voice.wav"]


def test_the_stamp_changes_with_the_file(tmp_path: Path, memory: str) -> None:
    file = tmp_path / "voice.wav"
    file.write_bytes(b"one")
    before = stamp_of(str(file))
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert stamp_of(str(file)) != before
    before = stamp_of(f"{memory}/voice.wav")
    fsspec.filesystem("memory").pipe_file("/test_inputs/voice.wav", b"tones" * 1000)
    assert stamp_of(f"{memory}/voice.wav") != before


def test_a_store_without_stamps_never_claims_that_a_file_is_the_same(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_STAMPS", ())
    assert stamp_of(f"{memory}/voice.wav") != stamp_of(f"{memory}/voice.wav")
    assert fetch(f"{memory}/voice.wav", tmp_path)[1].size == 5000


@pytest.mark.parametrize(
    ("make", "needle"),
    [
        (lambda folder: folder / "absent.wav", "no such file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: _made(folder / "empty.wav", b""), "is empty"),
        (lambda folder: _made(folder / "file", b"x") / "below.wav", "no such file"),
        (lambda folder: _pipe(folder / "pipe"), "no ordinary file"),
        (lambda folder: _loop(folder / "loop"), "cannot be read"),
        (lambda folder: folder / ("n" * 300), "cannot be read"),
        (lambda folder: "memory://test_inputs_absent/a.wav", "no such file"),
        (lambda folder: "http://127.0.0.1:9/a.wav?token=secret", "not found"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(make, needle: str, tmp_path: Path) -> None:
    address = str(make(tmp_path))
    with pytest.raises(InputError) as caught:
        fetch(address, tmp_path / "scratch")
    assert needle in str(caught.value)
    assert address.split("?")[0] in str(caught.value)
    assert ";" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_empty_or_huge_remote_file_is_refused_before_it_is_fetched(tmp_path: Path, memory: str) -> None:
    with pytest.raises(InputError, match="is empty"):
        fetch(f"{memory}/empty.wav", tmp_path)
    with pytest.raises(InputError, match="expected at most 100"):
        fetch(f"{memory}/voice.wav", tmp_path, largest=100)
    assert list(tmp_path.iterdir()) == []


def test_a_denied_file_is_said_to_be_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not bind every user that runs tests, so the refusal is made here.
    file = _made(tmp_path / "voice.wav", b"sound")

    def denied(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="access denied; check the permissions"):
        fetch(str(file), tmp_path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _made(tmp_path / "voice.wav", b"sound")
    stamps = iter([(5, "1"), (5, "2")])
    monkeypatch.setattr(inputs, "stamp_of", lambda url, largest: next(stamps))
    with pytest.raises(InputError, match="changed while it was read"):
        fetch(str(file), tmp_path)


def _made(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


@pytest.fixture
def fresh_s3(s3: S3Server) -> Iterator[S3Server]:
    """The server, known to nobody in this process before or after: credentials are read once for a process."""
    S3FileSystem.clear_instance_cache()
    yield s3
    S3FileSystem.clear_instance_cache()


def test_inputs_and_manifest_in_a_bucket(fresh_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fresh_s3.url()
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.pipe_file(f"{folder}/books/voice.wav", b"sound")
    text = "version: 1\noutput: ../out\nfamily: fake\ntitles: [{id: a, portrait: face.png, audio: voice.wav}]\n"
    files.pipe_file(f"{folder}/books/m.yaml", text.encode())
    catalog = load_manifest(f"{folder}/books/m.yaml", families=FAMILIES)
    assert catalog.output == f"{folder}/out"
    local, source = fetch(catalog.titles[0].audio[0], tmp_path)
    assert (local.read_bytes(), source.size) == (b"sound", 5)
    files.pipe_file(f"{folder}/books/voice.wav", b"tones")
    assert stamp_of(source.url)[1] != source.stamp
    for address, needle in (
        (catalog.titles[0].portrait, "no such file"),
        (f"{folder}/books", "no such file|is a folder"),
        ("s3://no-such-bucket/a.wav", "no such file"),
    ):
        with pytest.raises(InputError, match=needle):
            stamp_of(address)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="access denied; check the credentials in the environment"):
        stamp_of(source.url)
