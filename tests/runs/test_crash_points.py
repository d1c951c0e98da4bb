"""A render that is killed at any operation of its store, and started again, leaves what an undisturbed one leaves."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.core.errors import StoreError
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.conftest import render_inline, write_manifest
from tests.support.crashes import MOMENTS, READS, WRITES, Fault, Killed, attempts, failing, one_playlist, records

TITLES = [{"id": "long", "frames": 100}, {"id": "short", "frames": 17}]
SMALL = [{"id": "small", "frames": 49}]  # two GOPs: every operation of it is failed
NewPlace = Callable[[str], str]


@pytest.fixture(scope="module", autouse=True)
def _playlists() -> Iterator[None]:
    with one_playlist():
        yield


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without marks: a signature is another one in every output."""
    return write_manifest(tmp_path_factory.mktemp("sources"), TITLES, marks="off")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("small"), SMALL, marks="off")


@dataclass(frozen=True)
class Undisturbed:
    """What a render leaves, and how often it writes and reads."""

    records: dict[str, Any]
    writes: int
    reads: int


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> NewPlace:
    """A fresh output of a kind."""

    def make(kind: str) -> str:
        name = uuid.uuid4().hex
        if kind == "s3":
            return str(request.getfixturevalue("s3").url(name))
        return f"memory://{name}" if kind == "memory" else str(tmp_path / name)

    return make


def undisturbed(manifest: Path, output: str) -> Undisturbed:
    with failing(Fault()) as fault:
        assert render_inline(manifest, "--output", output) == 0
    found = records(open_store(output))
    stages = [facts["stage"] for facts in found.values()]
    expected = (4, 2) if manifest.parent.name.startswith("sources") else (2, 1)
    assert (stages.count("stream"), stages.count("done")) == expected
    assert all(facts["facts"]["planes"] for facts in found.values() if facts["stage"] == "stream")
    return Undisturbed(found, fault.of(WRITES), fault.of(READS))


def crash_and_rerun(manifest: Path, output: str, fault: Fault) -> Store:
    with failing(fault), pytest.raises(Killed):
        render_inline(manifest, "--output", output)
    store = open_store(output)
    before = attempts(store)
    assert render_inline(manifest, "--output", output) == 0
    after = attempts(store)
    assert {name: after[name] for name in before} == before, "what was committed is not made again"
    return store


def discard(output: str) -> None:
    """Disks fill up, and the memory store looks through all that it holds at every question."""
    if output.startswith("memory://"):
        fsspec.filesystem("memory").rm(output, recursive=True)
    else:
        shutil.rmtree(output, ignore_errors=True)


def samples(count: int) -> list[tuple[int, str]]:
    """Places spread over a run, as parts of a hundred, each with another moment than its neighbours."""
    return [(100 * k // count, MOMENTS[k % 3]) for k in range(count)]


@pytest.mark.parametrize(("kind", "count"), [("disk", 9), ("memory", 6), ("s3", 1)])
def test_killed_and_started_again(manifest: Path, place: NewPlace, kind: str, count: int) -> None:
    expected = undisturbed(manifest, place(kind))
    for percent, moment in samples(count) if count > 1 else [(60, "half-way")]:
        fault = Fault(1 + percent * (expected.writes - 1) // 100, moment)
        assert records(crash_and_rerun(manifest, place(kind), fault)) == expected.records, fault.at
    if kind != "s3":  # there a run takes a second and a half
        fault = Fault(expected.reads // 2, kinds=READS)
        assert records(crash_and_rerun(manifest, place(kind), fault)) == expected.records


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("disk", 1),
        ("memory", 1),
        pytest.param("s3", 1, marks=pytest.mark.soak),
    ],
)
def test_killed_at_every_operation(
    small: Path, place: NewPlace, kind: str, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a disk and in memory; on S3 by hand, because there each takes seconds."""
    expected = undisturbed(small, place(kind))
    points = [Fault(k, moment) for k in range(1, expected.writes + 1) for moment in MOMENTS]
    points += [Fault(k, kinds=READS) for k in range(1, expected.reads + 1)]
    for fault in points[::step]:
        output = place(kind)
        left = records(crash_and_rerun(small, output, fault))
        assert left == expected.records, f"{kind}: {fault.moment} {fault.at} of {fault.kinds}"
        discard(output)
    with capsys.disabled():
        print(
            f"\n{kind}: {expected.writes} writes (before, half-way, after) and {expected.reads} reads: "
            f"killed at {len(points[::step])} of {len(points)} points and started again, all equal"
        )


def test_killed_again_and_again(manifest: Path, place: NewPlace) -> None:
    """Every run gets a little further than the one before."""
    expected, output = undisturbed(manifest, place("disk")), place("disk")
    for _ in range(expected.writes):
        with failing(Fault(30, "half-way")):
            try:
                code = render_inline(manifest, "--output", output)
            except Killed:
                continue
        assert code == 0
        break
    assert records(open_store(output)) == expected.records


def answer_with_errors(manifest: Path, output: str, fault: Fault) -> dict[str, Any]:
    """The store answers with an error, once, though it may have written.

    The same run goes on to its end once titles are being rendered, and one that has not begun ends with 75.
    """
    with failing(fault):
        code = render_inline(manifest, "--output", output)
    assert fault.at is not None
    assert code in (0, 75), code
    if code == 0:
        assert fault.count >= fault.at, "the fault came, and the run went on"
    else:
        assert render_inline(manifest, "--output", output) == 0
    return records(open_store(output))


@pytest.mark.parametrize("kinds", [WRITES, READS], ids=["writes", "reads"])
def test_an_operation_that_fails_is_tried_again(manifest: Path, place: NewPlace, kinds: tuple[str, ...]) -> None:
    expected = undisturbed(manifest, place("disk"))
    total = expected.writes if kinds is WRITES else expected.reads
    for number, percent in enumerate((20, 35, 50, 60, 70, 95)):
        fault = Fault(percent * total // 100, MOMENTS[number % 3], StoreError, kinds)
        assert answer_with_errors(manifest, place("disk"), fault) == expected.records, fault.at


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(5400)
def test_every_operation_fails_once(small: Path, place: NewPlace, capsys: pytest.CaptureFixture[str]) -> None:
    expected = undisturbed(small, place("disk"))
    faults = [Fault(k, moment, StoreError) for k in range(1, expected.writes + 1) for moment in MOMENTS]
    faults += [Fault(k, "before", StoreError, READS) for k in range(1, expected.reads + 1)]
    for fault in faults:
        output = place("disk")
        left = answer_with_errors(small, output, fault)
        assert left == expected.records, f"{fault.moment} {fault.at} of {fault.kinds}"
        shutil.rmtree(output)
    with capsys.disabled():
        print(f"\ndisk: {len(faults)} operations answered with an error once, all equal")
