"""A full disk for temporary files is told as that, wherever it is met: not as the output's fault, nor an input's."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.worker import failure_of
from pipeline import plan
from pipeline.core.errors import SetupError
from pipeline.core.scratch import ScratchFull, scratch_folder
from pipeline.media import ffmpeg
from pipeline.media.sound_in.probe import probe
from pipeline.scheduler.work import Job
from pipeline.sources.inputs import fetch
from pipeline.store.opening import open_store
from tests.conftest import write_manifest, write_wav
from tests.support.s3 import S3Server
from tests.support.slow_web import slow_web

SIZE = 1 << 20
WORDS = r"temporary files in /.*: .+; make room there, or set TMPDIR to another disk"


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """As on a disk on which no more than that is left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("address", ["{}", "memory://scratch-test"])
def test_what_is_copied_from_a_store(tmp_path: Path, address: str) -> None:
    store = open_store(address.format(tmp_path / "store"))
    store.put("object", bytes(SIZE))
    with files_end_at(SIZE // 2), pytest.raises(ScratchFull, match=WORDS) as raised:
        store.get_file("object", tmp_path / "copy")
    assert str(store) not in str(raised.value)
    assert failure_of(raised.value, Job("one", "sound")).cause == "infrastructure"


def test_what_is_copied_from_s3(tmp_path: Path, s3: S3Server) -> None:
    store = open_store(s3.url("scratch"))
    store.put("object", bytes(SIZE))
    with files_end_at(SIZE // 2), pytest.raises(ScratchFull, match=WORDS):
        store.get_file("object", tmp_path / "copy")


def test_what_is_fetched_from_the_web(tmp_path: Path) -> None:
    with slow_web({"/long.wav": bytes(SIZE)}) as web, files_end_at(SIZE // 2), pytest.raises(ScratchFull) as raised:
        fetch(f"{web.url}/long.wav", tmp_path)
    assert re.search(WORDS, str(raised.value))
    assert "check address" not in str(raised.value)


def test_a_command_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = write_wav(tmp_path / "long.wav", 600).read_bytes()
    with slow_web({"/long.wav": sound}) as web:
        manifest = write_manifest(tmp_path, [{"audio": f"{web.url}/long.wav"}])
        with files_end_at(len(sound) // 2):
            assert plan.run([str(manifest)]) == 75
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: temporary files in ")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_program_that_finds_no_words_for_it(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when ffmpeg cannot write down time stamps: a sound file is not damaged for that."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in -version|*"-v info"*) exec {ffmpeg.binary()} "$@";; esac\nexit {256 - number}\n'
    )
    program.chmod(0o755)
    sound = write_wav(tmp_path / "a.wav", 10)
    monkeypatch.setenv("LONGTAKE_FFMPEG", str(program))
    with pytest.raises(ScratchFull, match="no room for what it writes; make room there"):
        probe(sound)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_what_a_worker_writes_for_a_moment(number: int) -> None:
    failure = failure_of(OSError(number, os.strerror(number)), Job("one", "finish"))
    assert failure.cause == "infrastructure"
    assert "make room there, or set TMPDIR to another disk" in failure.message


def test_nowhere_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path, [48])
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/1/nowhere"])
    with pytest.raises(SetupError, match="set TMPDIR to a folder that you may write to"):
        scratch_folder()
    assert plan.run([str(manifest)]) == 2
    assert "no folder for temporary files" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["/nonexistent/folder", "/etc/hostname", "/proc/1/nowhere"])
def test_a_tmpdir_that_is_not_there_is_done_without(tmp_path: Path, place: str) -> None:
    """As Python does it: the system's own folder is taken."""
    command = [sys.executable, "-m", "pipeline.render", str(write_manifest(tmp_path, [4])), "--executor", "inline"]
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TMPDIR": place})
    assert ended.returncode == 0, ended.stderr
