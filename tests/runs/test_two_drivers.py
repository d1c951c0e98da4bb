"""Two drivers on one output, and a writer that wakes up after its driver was replaced: harmless, nothing is spliced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import verify
from pipeline.store.opening import open_store
from tests.conftest import render_inline, write_manifest
from tests.runs.test_identity import committed
from tests.support.crashes import attempts, records
from tests.support.leftovers import descendants, end

FRAMES = 700
TITLES = [{"id": "one", "frames": FRAMES}, {"id": "two", "frames": 200}]
WITHIN = 240.0  # seconds for what takes a few
# A driver whose workers compute on another class of machine.
OTHER = (
    "import sys; from models.families import fake; from pipeline import render\n"
    "fake._Part.numerics = lambda self: {'arithmetic': 'integer', 'device': 'another'}\n"
    "sys.exit(render.run(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("sources"), TITLES)


@pytest.fixture(scope="module")
def plain(manifest: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    output = tmp_path_factory.mktemp("plain")
    assert render_inline(manifest, "--output", str(output)) == 0
    return contents(output)


def contents(output: Path) -> dict[str, object]:
    """What records say of contents: which driver made what, and in which class, may differ."""
    found = records(open_store(str(output)))
    return {key: (one["frames"], one["state"], one["facts"].get("planes")) for key, one in found.items()}


@pytest.fixture
def start(manifest: Path, tmp_path: Path) -> Iterator[object]:
    started: list[subprocess.Popen[str]] = []

    def begin(other: bool = False) -> subprocess.Popen[str]:
        program = ["-c", OTHER] if other else ["-m", "pipeline.render"]
        command = [sys.executable, *program, str(manifest), "--executor", "inline", "--output", str(tmp_path)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True))
        return started[-1]

    yield begin
    for process in started:
        end(descendants(process.pid))
        process.communicate()


def test_at_once(start, tmp_path: Path, plain) -> None:  # type: ignore[no-untyped-def]
    """Both work on the same GOPs all the time, and both end well."""
    drivers = [start(), start()]
    for driver in drivers:
        said = driver.communicate(timeout=WITHIN)[1]
        assert driver.returncode == 0, said
    assert contents(tmp_path) == plain
    assert verify.run([str(tmp_path)]) == 0


def test_of_two_classes(start, tmp_path: Path, plain) -> None:  # type: ignore[no-untyped-def]
    """Each stage is one class's; what the other may not do it leaves, and a title is finished by one or by both."""
    drivers = [start(), start(other=True)]
    codes = []
    for driver in drivers:
        said = driver.communicate(timeout=WITHIN)[1]
        codes.append(driver.returncode)
        assert driver.returncode in (0, 75), said
        assert "Traceback" not in said
        assert driver.returncode == 0 or "was begun on another class of machine" in said
    for _ in range(2):  # what both left is finished by the class that began it
        again = [start(), start(other=True)]
        codes += [driver.wait(WITHIN) for driver in again]
    assert codes[-1] in (0, 75)
    found = records(open_store(str(tmp_path)))
    for stage in ("chain", "stream"):
        for title in ("one", "two"):
            classes = {str(one["numerics"]) for one in found.values() if (one["stage"], one["title"]) == (stage, title)}
            assert len(classes) <= 1, "a stage of a title is of one class"
    both = contents(tmp_path)
    assert all(plain[key] == both[key] for key in both)
    assert verify.run([str(tmp_path)]) == 0


@pytest.mark.parametrize("records_before", [3, 9, 20])
def test_a_driver_that_wakes_up_after_another_took_over(
    start, manifest: Path, tmp_path: Path, plain, records_before: int
) -> None:  # type: ignore[no-untyped-def]
    zombie = start()
    deadline = time.monotonic() + WITHIN
    while len(committed(tmp_path)) < records_before and zombie.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(zombie.pid, signal.SIGSTOP)
    assert render_inline(manifest, "--output", str(tmp_path)) == 0
    before = attempts(open_store(str(tmp_path)))
    final = (tmp_path / "one/final.mp4").read_bytes()
    os.kill(zombie.pid, signal.SIGCONT)
    said = zombie.communicate(timeout=WITHIN)[1]
    assert zombie.returncode == 0, said
    assert attempts(open_store(str(tmp_path))) == before, "it found everything committed, and took it"
    assert (tmp_path / "one/final.mp4").read_bytes() == final
    assert contents(tmp_path) == plain
    assert verify.run([str(tmp_path)]) == 0
