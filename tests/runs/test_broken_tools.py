"""ffmpeg killed, encoder failing, disk full: the run recovers or pauses, and nothing of its result changes."""

from __future__ import annotations

import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av.error
import pytest

from actors import upscale
from actors.worker import failure_of
from pipeline.media import ffmpeg
from pipeline.scheduler import retries
from pipeline.scheduler.work import Job
from pipeline.store.opening import open_store
from tests.conftest import render_inline, write_manifest, write_wav
from tests.support.crashes import one_playlist, records

FRAMES = 100


@pytest.fixture(scope="module", autouse=True)
def _playlists() -> Iterator[None]:
    with one_playlist():
        yield


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("sources"), [{"id": "one", "frames": FRAMES}])


@pytest.fixture(scope="module")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("undisturbed")
    assert render_inline(manifest, "--output", str(output)) == 0
    return records(open_store(str(output)))


def failing_ffmpeg(folder: Path, at: int, end: str) -> tuple[Path, Path]:
    """A program that is ffmpeg, but ends at its `at`-th call in the way that a line of shell says; and its counter."""
    program, count = folder / "ffmpeg", folder / "count"
    count.write_text("")
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && exec {ffmpeg.binary()} "$@"\n'
        f"echo >> {count}\nif [ $(wc -l < {count}) -eq {at} ]; then {end}; fi\n"
        f'exec {ffmpeg.binary()} "$@"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program, count


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("kill -9 $$", id="killed"),
        pytest.param("echo 'out.m4a: No space left on device' >&2; exit 1", id="no room", marks=pytest.mark.slow),
    ],
)
def test_every_call_of_ffmpeg_fails_once(
    manifest: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    calls = at = 0
    while at <= calls:
        at += 1
        (folder := tmp_path / str(at)).mkdir()
        program, count = failing_ffmpeg(folder, at, end)
        with monkeypatch.context() as patch:
            patch.setenv("LONGTAKE_FFMPEG", str(program))
            code = render_inline(manifest, "--output", str(folder / "out"))
            calls = max(calls, count.read_text().count("\n"))
            assert code in (0, 75), "nobody's input is at fault"
            assert code == 0 or render_inline(manifest, "--output", str(folder / "out")) == 0
        assert records(open_store(str(folder / "out"))) == undisturbed
    assert calls >= 3


def test_a_killed_ffmpeg_is_not_the_inputs_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.media.sound_in.probe import probe

    monkeypatch.setenv("LONGTAKE_FFMPEG", str(failing_ffmpeg(tmp_path, 1, "kill -9 $$")[0]))
    with pytest.raises(ffmpeg.FfmpegKilled, match=r"ended from outside by SIGKILL.*run again") as caught:
        probe(write_wav(tmp_path / "a.wav", 10))
    assert failure_of(caught.value, Job("t", "sound")).cause == "crash"


@pytest.mark.parametrize("at", range(1, 4))
@pytest.mark.parametrize(
    "error", [av.error.UnknownError(1, "encoder"), MemoryError("encoder")], ids=["fails", "memory"]
)
def test_the_encoder_fails_at_every_gop(
    manifest: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: Any
) -> None:
    calls: list[int] = []

    class Failing(upscale.GopEncoder):
        def __init__(self, encoding: Any, first: int) -> None:
            super().__init__(encoding, first)
            calls.append(first)

        def add(self, planes: Any) -> None:
            if len(calls) == at:
                raise error
            super().add(planes)

    monkeypatch.setattr(upscale, "GopEncoder", Failing)
    assert render_inline(manifest, "--output", str(tmp_path)) == 0
    assert len(calls) == 4, "one GOP more than there are"
    assert records(open_store(str(tmp_path))) == undisturbed


def test_files_cannot_grow(
    manifest: Path,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As on a disk that is full: the title pauses and says so, and goes on once there is room."""
    monkeypatch.setattr(retries, "BACKOFF", 0.0)
    assert render_inline(manifest, "--output", str(tmp_path), "--preview", "2") == 0
    final = tmp_path / "one" / "preview.mp4"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (final.stat().st_size + 5000, before[1]))
    try:
        code = render_inline(manifest, "--output", str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert code == 75, said
    assert "File too large" in said
    assert "one: paused at 3/3 GOPs" in said
    assert "Traceback" not in said
    assert render_inline(manifest, "--output", str(tmp_path)) == 0
    assert records(open_store(str(tmp_path))) == undisturbed
