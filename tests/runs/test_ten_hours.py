"""What looks at records does so in seconds where a title has ten hours and every request takes 30 ms."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.worker import Worker
from pipeline import gc, status, trace, verify
from pipeline.checks import garbage
from pipeline.driver import stop
from pipeline.scheduler.work import Done
from pipeline.titles.scan import scan
from tests.conftest import render_inline
from tests.support.long_output import LongOutput, write_long_output
from tests.support.requests import counting

GOPS = 18_750  # ten hours
LATENCY = 0.030
READERS = 16  # requests side by side
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> LongOutput:
    """As a driver leaves it that was killed: the pages of its run left checkpoints behind."""
    made = write_long_output(tmp_path_factory.mktemp("long"), GOPS)
    assert scan(made.store, made.plan).chained == GOPS
    return made


def measured(action: Callable[[], object]) -> tuple[Counter[str], float]:
    """Requests, and seconds that it takes on a machine that does nothing else: listings come one after the other.

    Nothing waits here: what requests would take is added up.
    """
    working = time.process_time()
    with counting() as counts:
        action()
    took = time.process_time() - working + LATENCY * (counts["LIST"] + sum(counts.values()) / READERS)
    print(dict(counts), f"{took:.1f} s")
    return Counter(counts), took


def memory(name: str) -> int:
    """KiB of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def test_a_scan(long: LongOutput) -> None:
    found = []
    counts, took = measured(lambda: found.append(scan(long.store, long.plan)))
    assert (found[0].chained, len(found[0].streamed)) == (GOPS, GOPS)
    assert counts["LIST"] <= 4 * 19 + 38 + 20  # records and objects of two stages, a little of the others
    assert counts["GET"] <= 2 * 74 + 900  # checkpoints, blocks of features, the last records
    assert counts["PUT"] == 0
    assert took < 60


def test_status(long: LongOutput, capsys: pytest.CaptureFixture[str]) -> None:
    counts, took = measured(lambda: status.run([long.output, "--json"]))
    (title,) = json.loads(capsys.readouterr().out.splitlines()[0])["titles"]
    assert (title["chained"], title["upscaled"]) == (GOPS, GOPS)
    assert counts["GET"] <= 2 * 74 + 600
    assert took < 60


def test_gc_where_everything_is_old_enough(
    long: LongOutput, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(garbage, "OLD", -1.0)
    counts, took = measured(lambda: gc.run([long.output, "--json"]))
    rows = json.loads(capsys.readouterr().out.splitlines()[0])["garbage"]
    # What is left of the short title that this one was copied from, and nothing else.
    assert [(row["why"], row["objects"]) for row in rows] == [(garbage.ATTEMPT, 2 * 3 + 1)] or not rows
    assert counts["HEAD"] <= 10
    assert counts["GET"] <= 2 * 74 + 900
    assert took < 60


def test_a_trace(long: LongOutput, tmp_path: Path) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    counts, took = measured(lambda: trace.run([long.output, str(tmp_path / "trace.json")]))
    grown = memory("VmHWM") - before
    with (tmp_path / "trace.json").open() as file:
        assert sum('"ph": "X"' in line for line in file) >= 2 * GOPS
    assert counts["GET"] <= 2 * 74 + 900
    assert grown < 100 << 10
    assert took < 90


def test_verify(long: LongOutput, capsys: pytest.CaptureFixture[str]) -> None:
    """Every object is read, so this takes minutes at 30 ms; here only requests are counted."""
    with counting() as counts:
        began = time.monotonic()
        code = verify.run([long.output, "--json"])
    print(dict(counts), f"{time.monotonic() - began:.1f} s")
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (code, said["faults"]) == (0, 0)
    assert said["titles"][0]["upscaled"] == GOPS
    assert counts["GET"] <= 6 * GOPS + 3 * 600 + 500  # records and objects of chain and stream, blocks of features
    assert counts["HEAD"] + counts["LIST"] <= 300


def test_finishing(long: LongOutput) -> None:
    """The last of these tests: the title is done afterwards. Every fragment comes once."""
    counts, took = measured(lambda: render_inline(long.manifest))
    assert scan(long.store, long.plan).done
    assert counts["GET"] <= GOPS + 4 * 2 * 74 + 1500
    assert counts["PUT"] + counts["HEAD"] <= 200
    assert took < 300


def test_a_driver_that_died_half_way_goes_on_within_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any checkpoint of records, and all but the start of Ray, which takes seconds."""
    made = write_long_output(tmp_path, GOPS, GOPS // 2)
    first: list[float] = []
    plain = Worker.committed

    def committed(worker: Worker, done: Done) -> Done:
        if done.kind in ("chain", "upscale") and not first:
            first.append(time.process_time())
            os.kill(os.getpid(), signal.SIGINT)
        return plain(worker, done)

    monkeypatch.setattr(Worker, "committed", committed)
    monkeypatch.setattr(stop, "stop_now", lambda: pytest.fail("it did not end by itself"))
    counts, took = measured(lambda: render_inline(made.manifest))
    assert first
    assert counts["LIST"] <= 120
    assert counts["GET"] <= GOPS + 800 + 200
    assert took < 60
