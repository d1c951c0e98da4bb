"""The frames of a title are the same, bit for bit, whatever the executor, pool size, segments, crashes and restarts."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from pipeline import render
from tests.conftest import write_manifest

LENGTHS = (1, 12, 13, 15, 16, 17, 40, 48, 49, 96, 97, 481, 490, 1015)
SOME = (1, 13, 16, 49, 97)  # the borders of clip, window and GOP


def titles(lengths: tuple[int, ...]) -> list[dict[str, object]]:
    return [{"id": f"n{length}", "frames": length, "files": length} for length in lengths]


def planes(output: Path) -> dict[str, list[str]]:
    """Of every title, the sha256 of each GOP's planes as they went into the encoder, from the records."""
    found: dict[str, list[str]] = {}
    for path in sorted(output.glob("*/stream/*/stream/*.json")):
        record = json.loads(path.read_text())
        found.setdefault(record["title"], []).append(record["facts"]["planes"])
    return found


def decoded(path: Path) -> tuple[int, str]:
    """Frames of a finished file, and the sha256 of all their decoded planes."""
    digest, count = hashlib.sha256(), 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            digest.update(frame.to_ndarray(format="yuv420p").tobytes())
            count += 1
    return count, digest.hexdigest()


def results(output: Path, lengths: tuple[int, ...]) -> tuple[dict[str, list[str]], dict[str, tuple[int, str]]]:
    return planes(output), {f"n{n}": decoded(output / f"n{n}" / "final.mp4") for n in lengths}


def rendered(folder: Path, lengths: tuple[int, ...], *arguments: str, **options: object):  # type: ignore[no-untyped-def]
    manifest = write_manifest(folder, titles(lengths), **options)
    if "--address" in arguments:  # a process of its own, because a process can join one cluster only
        assert subprocess.run([sys.executable, "-m", "pipeline.render", str(manifest), *arguments]).returncode == 0
    else:
        assert render.run([str(manifest), *arguments]) == 0
    return results(folder / "out", lengths)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Every length, rendered inline by one upscaler in segments of 480: what all others are compared with."""
    return rendered(tmp_path_factory.mktemp("plain"), LENGTHS, "--executor", "inline")


def test_every_length_has_exactly_its_frames(plain) -> None:  # type: ignore[no-untyped-def]
    gops, files = plain
    for length in LENGTHS:
        assert files[f"n{length}"][0] == length
        assert len(gops[f"n{length}"]) == -(-length // 48)


@pytest.mark.parametrize(("upscalers", "segment"), [(2, 48), (3, 240)])
def test_inline_with_other_pools_and_segments(tmp_path: Path, plain, upscalers: int, segment: int) -> None:  # type: ignore[no-untyped-def]
    again = rendered(tmp_path, LENGTHS, "--executor", "inline", "--upscalers", str(upscalers), segment_frames=segment)
    assert again == plain


def chosen(plain, lengths: tuple[int, ...]):  # type: ignore[no-untyped-def]
    return tuple({f"n{n}": part[f"n{n}"] for n in lengths} for part in plain)


def test_ray_on_one_core_shared_by_all_roles(tmp_path: Path, plain, ray_address) -> None:  # type: ignore[no-untyped-def]
    assert rendered(tmp_path, SOME, "--address", ray_address(1)) == chosen(plain, SOME)


@pytest.mark.slow
@pytest.mark.parametrize(("upscalers", "segment"), [(1, 480), (2, 240), (3, 48)])
def test_ray_with_pools_and_segments(tmp_path: Path, plain, ray_address, upscalers: int, segment: int) -> None:  # type: ignore[no-untyped-def]
    arguments = ("--address", ray_address(4), "--upscalers", str(upscalers))
    assert rendered(tmp_path, LENGTHS, *arguments, segment_frames=segment) == plain


def committed(output: Path) -> set[Path]:
    return {path.relative_to(output) for path in output.glob("*/*/*/*/????????.*.json")}


def kill_after(command: list[str], output: Path, records: int) -> None:
    """Start a driver and kill it the hard way once so many records are committed."""
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(committed(output)) < records and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    driver.send_signal(signal.SIGKILL)
    driver.wait()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_killed_drivers_redo_nothing(tmp_path: Path, plain, ray_address, executor: str) -> None:  # type: ignore[no-untyped-def]
    lengths = (97, 1015)
    manifest = write_manifest(tmp_path, titles(lengths), segment_frames=240)
    output = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.render", str(manifest), "--executor", executor]
    if executor == "ray":
        command += ["--address", ray_address(4), "--upscalers", "2"]
    for records in (1, 9, 20, 40):
        kill_after(command, output, records)
    before = {path: (output / path).read_bytes() for path in committed(output)}
    assert len(before) >= 40
    assert subprocess.run(command, env=os.environ).returncode == 0
    assert results(output, lengths) == chosen(plain, lengths)
    # No committed record was written again or superseded, and the report counts what it found.
    assert all((output / path).read_bytes() == data for path, data in before.items())
    # What was done before it was killed last keeps the report of the run that finished it.
    over = {name for name in ("n97", "n1015") if any(path.match(f"{name}/stream/*/done/*.json") for path in before)}
    assert "n1015" not in over
    for name in {"n97", "n1015"} - over:
        report = json.loads((output / name / "report.json").read_text())
        for stage, folder in (("chain", "chain/*/chain"), ("upscale", "stream/*/stream")):
            kept = sum(path.match(f"{name}/{folder}/*.json") for path in before)
            assert report["stages"][stage]["reused"] >= kept
            assert report["stages"][stage]["made_anew_after_damage"] == 0


@pytest.mark.slow
def test_mini_inline_equals_ray_after_a_kill(tmp_path: Path, ray_address) -> None:  # type: ignore[no-untyped-def]
    """Real networks in float32: ten seconds, killed half-way, continued on Ray with two upscalers."""
    options = {"family": "mini", "base_size": 128, "resolution": 128, "face_box": [20, 15, 55, 50]}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = rendered(tmp_path / "a", (250,), "--executor", "inline", **options)
    manifest = write_manifest(tmp_path / "b", titles((250,)), **options)
    command = [sys.executable, "-m", "pipeline.render", str(manifest), "--address", ray_address(4), "--upscalers", "2"]
    kill_after(command, tmp_path / "b" / "out", 7)
    assert subprocess.run(command, env=os.environ).returncode == 0
    assert results(tmp_path / "b" / "out", (250,)) == first
