"""Small titles for tests: a wav and a portrait made on the spot, a manifest over them, and one rendered title."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import wave
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import settings
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from pipeline.sources import web
from tests.support.clusters.ray_head import ray_address
from tests.support.s3 import s3, s3_server

__all__ = ["ray_address", "s3", "s3_server"]  # fixtures

# Every Ray of the tests answers to one token, the same in every process, so it is set before any starts.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
# Ray lets its workers go after everything else on the machine; beside other work they would hardly move.
os.environ.setdefault("RAY_worker_niceness", "0")
# Nor is a node given up that takes more than half a minute to start.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")

# The same examples in every run; a machine under load is no failure.
settings.register_profile("longtake", derandomize=True, deadline=None)
settings.load_profile("longtake")

RATE = 16_000
ON_RAY = ("tests/pipeline/on_ray/test_prewarm.py", "tests/runs/test_identity.py")  # of the fast tests
# Scopes that take more than ten seconds, the longest first; the rest are handed out by their number of tests.
LONGEST = (
    "tests/benchmarks/test_hostile.py",
    "tests/runs/test_scenes.py",
    "tests/runs/test_chaos.py",
    "ray",
    "tests/models/parts/test_hallo2.py",
    "tests/runs/test_crash_points.py",
    "tests/pipeline/store/test_store_faults.py",
    "tests/runs/test_two_drivers.py",
    "tests/models/weights/test_weights.py",
    "tests/pipeline/media/test_sent_sound.py",
    "tests/models/data/test_blended_portrait.py",
    "tests/models/training/test_family_chain.py",
    "tests/pipeline/driver/test_signals.py",
    "tests/pipeline/media/test_canvas.py",
    "tests/runs/test_moved_pictures.py",
    "tests/pipeline/on_ray/test_placement.py",
    "tests/pipeline/core/test_standard_output.py",
    "tests/models/training/test_restoring_stages.py",
    "tests/models/diffusion/test_chain.py",
)


@dataclass(frozen=True)
class Rendered:
    """A finished title: where its manifest and its output lie."""

    manifest: Path
    output: Path
    title: str
    frames: int

    def render(self, *more: str) -> int:
        return render_inline(self.manifest, *more)


def write_wav(path: Path, frames: int, seed: int = 0) -> Path:
    """Noise with the length of `frames` video frames, 16 kHz mono."""
    samples = np.random.default_rng(seed).integers(-3000, 3000, frames * RATE // 25, dtype=np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def write_portrait(path: Path, size: tuple[int, int] = (96, 80), seed: int = 0) -> Path:
    """A picture of smooth colours."""
    small = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def write_manifest(
    folder: Path, titles: Sequence[dict[str, Any] | int] = (60,), *, output: str = "out", **options: Any
) -> Path:
    """A manifest of family `fake` at 64 pixels in `folder`; returns its path.

    A title is a number of frames (ids are then `title-0`, `title-1`, …) or a mapping as in a manifest, in which
    `frames` stands for `audio` and `portrait` may be left out; `files` is the seed of what is in them, by default
    the title's place. `options` are defaults of all titles; `family` and
    `weights` are the manifest's own keys.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = {name: options.pop(name) for name in ("family", "weights") if name in options}
    entries = []
    for number, title in enumerate(titles):
        entry: dict[str, Any] = {"frames": title} if isinstance(title, int) else dict(title)
        entry.setdefault("id", f"title-{number}")
        seed = entry.pop("files", number)
        if "frames" in entry:
            entry["audio"] = write_wav(folder / f"audio-{number}.wav", entry.pop("frames"), seed=seed).name
        if "portrait" not in entry:
            entry["portrait"] = write_portrait(folder / f"portrait-{number}.png", seed=seed).name
        entries.append(entry)
    # Without marks: signatures are others in every output, and these tests compare outputs.
    defaults = {"resolution": 64, "base_size": 64, "marks": "off"} | options
    catalog = {"version": 1, "output": output, "family": "fake"} | head | {"defaults": defaults, "titles": entries}
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(catalog, sort_keys=False))
    return path


def render_inline(manifest: Path, *more: str) -> int:
    """Render in this process; returns the exit code."""
    from pipeline import render  # not at the top: most tests need neither the workers nor what they import

    return render.run([str(manifest), "--executor", "inline", *more])


def pytest_configure() -> None:
    """No test looks at what a loss of power leaves behind: no file is waited for until it is on a disk."""
    os.fsync = os.fstat  # type: ignore[assignment]  # which refuses what is no open file, too


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """With two processes (`-n 2`) the tests of a file stay in one of them, and so do all that share a Ray.

    What takes longest begins first, so that none of them is left alone with it in the end.
    """

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "ray" if file in ON_RAY else file

        def _assign_work_unit(self, node: Any) -> None:
            for scope in LONGEST:
                if scope in self.workqueue:
                    self.workqueue.move_to_end(scope, last=False)
                    break
            super()._assign_work_unit(node)

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is told at once: a later test that hangs ends the run without the summary."""
    report = yield
    if report.failed and sys.__stderr__:
        sys.__stderr__.write(f"\n{report.nodeid} ({report.when}): {str(report.longrepr)[-4000:]}\n")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that could not run says so at the end, where it is seen."""
    for report in terminalreporter.stats.get("skipped", []):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"DID NOT RUN: {report.nodeid}: {why}", red=True, bold=True)


@pytest.fixture(autouse=True)
def whole_reach() -> Generator[None]:
    """A remote manifest limits what its process may reach; the next test begins as a command does."""
    yield
    web.limit_reach(public_only=False)


@pytest.fixture(scope="module")
def one_thread() -> Generator[None]:
    """Small networks and pictures are done sooner by one thread, above all where others work too."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def small_looks() -> Generator[None]:
    """A tiny face detector sees thousands of faces in frames of the usual 640 pixels; here they have 160."""
    from models.faces import detection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection, "SMALLEST_SIDE", 160)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """A title of 100 frames (3 GOPs, the last one short), rendered once. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("finished")
    manifest = write_manifest(folder, [{"id": "reading", "frames": 100}])
    assert render_inline(manifest) == 0
    return Rendered(manifest, folder / "out", "reading", 100)


@pytest.fixture
def rendered(finished: Rendered, tmp_path: Path) -> Rendered:
    """A copy of `finished` that a test may damage."""
    shutil.copytree(finished.manifest.parent, tmp_path / "work")
    copy = Rendered(tmp_path / "work" / "manifest.yaml", tmp_path / "work" / "out", finished.title, finished.frames)
    assert copy.render() == 0  # renders nothing, but remembers the inputs in their new place
    return copy


@pytest.fixture
def fake_manifest(tmp_path: Path) -> Callable[..., Path]:
    """`write_manifest` in the test's own folder."""

    def make(titles: Sequence[dict[str, Any] | int] = (60,), **options: Any) -> Path:
        return write_manifest(tmp_path, titles, **options)

    return make
