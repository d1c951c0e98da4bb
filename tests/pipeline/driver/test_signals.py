"""Ctrl-C and SIGTERM: the first finishes what is in hand and no more, the second stops at once, a rerun continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.chain import ChainWorker
from actors.upscale import UpscaleWorker
from models.families.fake import Chain, Upscale
from models.families.registry import FAMILIES
from pipeline.driver.stop import AGAIN
from pipeline.intake.survey import plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.scheduler.work import Job, Work
from pipeline.store.opening import open_store
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest
from tests.runs.test_identity import committed, results
from tests.support.leftovers import alive, descendants, end

FRAMES = 1500  # 32 GOPs: long enough to be interrupted
WITHIN = 120.0  # seconds for what takes a few
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LINGERING = ("ray::Dashboard", "ray::RuntimeEnv")  # the system cuts names at 15 letters


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """The title rendered in one go."""
    folder = tmp_path_factory.mktemp("plain")
    assert render_inline(write_manifest(folder, [{"id": f"n{FRAMES}", "frames": FRAMES}])) == 0
    return results(folder / "out", (FRAMES,))


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command as a process in a group of its own, as a shell does."""
    manifest = write_manifest(tmp_path, [{"id": f"n{FRAMES}", "frames": FRAMES}])
    started: list[subprocess.Popen[str]] = []

    def start(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline.render", str(manifest), *(more or ("--executor", "inline"))]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        end(descendants(process.pid))
        process.communicate()


def until(condition: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def held(driver: subprocess.Popen[str], output: Path, records: int) -> set[Path]:
    """Stop the clock of the driver once so many records are committed; returns them."""
    until(lambda: len(committed(output)) >= records, driver)
    os.kill(driver.pid, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{driver.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", driver)
    return committed(output)


def go_on(driver: subprocess.Popen[str], *numbers: signal.Signals) -> tuple[int, str]:
    """Send signals to a held driver and let it go on; returns its exit code and what it said."""
    for number in numbers:
        os.kill(driver.pid, number)
    os.kill(driver.pid, signal.SIGCONT)
    said = driver.communicate(timeout=WITHIN)[1]
    return driver.returncode, said


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_ends_after_the_gop_in_hand(tmp_path: Path, driver, plain, number: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    before = held(process := driver(), tmp_path / "out", 12)
    code, said = go_on(process, number)
    assert code == 75, said
    assert f"paused at {len(list(tmp_path.glob('out/*/stream/*/stream/*.json')))}/32 GOPs ({number.name}" in said
    assert said.endswith(AGAIN + "\n")
    after = committed(tmp_path / "out")
    assert before <= after
    assert len(after - before) <= 1  # what was in hand, of a segment of ten GOPs
    assert render_inline(tmp_path / "manifest.yaml") == 0
    assert results(tmp_path / "out", (FRAMES,)) == plain


def test_second_signal_stops_at_once(tmp_path: Path, driver, plain) -> None:  # type: ignore[no-untyped-def]
    before = held(process := driver(), tmp_path / "out", 12)
    code, said = go_on(process, *SIGNALS)
    assert code == 75
    assert "paused" not in said  # it took no time for a summary
    # The thread that commits goes on as soon as the clock does, and may be in the middle of a record.
    assert len(committed(tmp_path / "out") - before) <= 1
    assert render_inline(tmp_path / "manifest.yaml") == 0
    assert results(tmp_path / "out", (FRAMES,)) == plain


def test_no_grace_ends_what_is_in_hand(tmp_path: Path, driver) -> None:  # type: ignore[no-untyped-def]
    before = held(process := driver("--executor", "inline", "--grace", "0"), tmp_path / "out", 12)
    code, said = go_on(process, signal.SIGTERM)
    assert code == 75
    assert AGAIN in said
    assert len(committed(tmp_path / "out") - before) <= 1


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_rendering(tmp_path: Path, driver, number: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    """While inputs are read there is nothing to finish."""
    process = driver()
    assert "reading" in process.stderr.readline()
    process.send_signal(number)
    said = process.communicate(timeout=WITHIN)[1]
    assert process.returncode == 75
    assert f"Interrupted before rendering began. {AGAIN}" in said
    assert "Traceback" not in said
    assert committed(tmp_path / "out") == set()


@pytest.mark.slow
def test_control_c_on_ray(tmp_path: Path, driver, plain, ray_address) -> None:  # type: ignore[no-untyped-def]
    """The terminal sends it to the whole group; the workers' GOPs in flight may end, and a rerun finishes."""
    arguments = ("--address", ray_address(4), "--upscalers", "2")
    process = driver(*arguments)
    until(lambda: len(committed(tmp_path / "out")) >= 12, process)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=WITHIN)[1]
    assert process.returncode == 75, said
    assert AGAIN in said
    assert "Traceback" not in said
    left = committed(tmp_path / "out")
    process = driver(*arguments)
    said = process.communicate(timeout=WITHIN)[1]
    assert process.returncode == 0, said
    assert left <= committed(tmp_path / "out")
    assert results(tmp_path / "out", (FRAMES,)) == plain


@pytest.mark.slow
def test_second_control_c_ends_a_ray_of_our_own(tmp_path: Path, driver) -> None:  # type: ignore[no-untyped-def]
    """Without an address the driver starts Ray on this machine: nothing of it outlives the driver for long."""
    process = driver("--executor", "ray")
    until(lambda: len(committed(tmp_path / "out")) >= 4, process)
    started = descendants(process.pid)
    assert len(started) > 4
    try:
        for number in SIGNALS:
            os.kill(process.pid, number)
        process.communicate(timeout=WITHIN)
        assert process.returncode == 75
        deadline = time.monotonic() + WITHIN
        # Ray's agents see after a minute that their node is gone; all that holds memory or a device goes at once.
        while left := [name for name in alive(started).values() if not name.startswith(LINGERING)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
    finally:
        end(started)


# -- workers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def plan(tmp_path: Path) -> TitlePlan:
    """A title of 4 GOPs that is prepared and chained as far as GOP 1, and nothing more."""
    catalog = load_manifest(str(write_manifest(tmp_path, [192])), families=FAMILIES)
    assert render_inline(tmp_path / "manifest.yaml", "--preview", "4") == 0
    (seen,), _ = survey(catalog, open_store(catalog.output))
    return plan_title(FAMILIES["fake"], seen)


def stop_during(monkeypatch: pytest.MonkeyPatch, part: type, method: str, worker) -> None:  # type: ignore[no-untyped-def]
    """Tell the worker to stop in the middle of its unit."""
    plain = getattr(part, method)

    def stopping(self, *arguments):  # type: ignore[no-untyped-def]
        worker.stop()
        return plain(self, *arguments)

    monkeypatch.setattr(part, method, stopping)


def test_a_stopped_chain_commits_the_gop_in_hand(
    tmp_path: Path, plan: TitlePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = ChainWorker(str(tmp_path / "out"))
    stop_during(monkeypatch, Chain, "next_clip", worker)
    (outcome,) = worker.run(Work(1, "chain", (Job("title-0", "chain", 2),)), {"title-0": plan})
    assert [done.unit for done in outcome.done] == [2]
    assert outcome.failure is None
    (outcome,) = worker.run(Work(2, "chain", (Job("title-0", "chain", 3),)), {"title-0": plan})
    assert (outcome.done, outcome.failure.cause) == ((), "stopped")


def test_a_stopped_upscaler_commits_the_gop_in_hand(
    tmp_path: Path, plan: TitlePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert render_inline(tmp_path / "manifest.yaml") == 0
    for path in tmp_path.glob("out/title-0/stream/*/stream/*.json"):
        path.unlink()
    worker = UpscaleWorker(str(tmp_path / "out"))
    stop_during(monkeypatch, Upscale, "decode", worker)
    (outcome,) = worker.run(Work(1, "upscale", (Job("title-0", "upscale", 0, 4),)), {"title-0": plan})
    assert [done.unit for done in outcome.done] == [0]
    assert outcome.failure.cause == "stopped"
