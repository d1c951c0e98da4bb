"""What looks at records does so in seconds where a title has ten hours and every request takes 30 ms."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import gc, status, trace, verify
from pipeline.checks import garbage
from pipeline.titles.scan import scan
from tests.support.long_output import LongOutput, write_long_output
from tests.support.requests import counting

GOPS = 18_750  # ten hours
LATENCY = 0.030
READERS = 16  # requests side by side
pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> LongOutput:
    """As a driver leaves it that was killed: the pages of its run left checkpoints behind."""
    made = write_long_output(tmp_path_factory.mktemp("long"), GOPS)
    assert scan(made.store, made.plan).chained == GOPS
    return made


def measured(action: Callable[[], object]) -> tuple[Counter[str], float]:
    """Requests, and seconds that it takes on a machine that does nothing else: listings come one after the other."""
    began, working = time.monotonic(), time.process_time()
    with counting(LATENCY) as counts:
        action()
    took = time.process_time() - working + LATENCY * (counts["LIST"] + sum(counts.values()) / READERS)
    print(dict(counts), f"{took:.1f} s, {time.monotonic() - began:.1f} s by the clock")
    return Counter(counts), took


def test_a_scan(long: LongOutput) -> None:
    found = []
    counts, took = measured(lambda: found.append(scan(long.store, long.plan)))
    assert (found[0].chained, len(found[0].streamed)) == (GOPS, GOPS)
    assert counts["LIST"] <= 4 * 19 + 38 + 20  # records and objects of two stages, a little of the others
    assert counts["GET"] <= 2 * 74 + 700  # checkpoints, blocks of features, the last records
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
    tracemalloc.start()
    counts, took = measured(lambda: trace.run([long.output, str(tmp_path / "trace.json")]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with (tmp_path / "trace.json").open() as file:
        assert sum('"ph": "X"' in line for line in file) >= 2 * GOPS
    assert counts["GET"] <= 2 * 74 + 900
    assert peak < 60 << 20
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
    assert counts["GET"] <= 6 * GOPS + 2000
    assert counts["HEAD"] + counts["LIST"] <= 300
