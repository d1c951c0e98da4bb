"""Fifteen minutes of film on S3 with 30 ms a request: what they ask for; what follows after the driver is killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.long_title.requests import Seen, about
from benchmarks.long_title.run import Run, rows
from tests.support.faulty_s3 import Asked

HOURS, LATENCY = 0.25, 0.030
# A GOP; 36 before records had a view, some 30 before they came with the news of their commits. A third of it follows
# from the restart, after which the scan, pages, playlists and finishing read what the first driver had heard of.
MOST_REQUESTS = 14
WITHIN = 500  # seconds after which a machine is too busy to say anything


def test_requests_are_told_apart() -> None:
    seen = Seen()
    for method, key, query in (
        ("PUT", "out/a/stream/00/stream/00000048.0.json", ""),
        ("PUT", "out/a/chain/00/chain/00000048.0.json", ""),
        ("GET", "out/a/stream/00/stream/00000048.0.json", ""),
        ("HEAD", "out/a/stream/00/stream/00000048.0.json.void", ""),
        ("PUT", "out/a/stream/00/stream/objects/00000048-ab-fragment.m4s", ""),
        ("PUT", "out/a/hls/00/video.m3u8", ""),
        ("GET", "", "list-type=2&prefix=out"),
    ):
        seen.choose(Asked(1, method, key, query))
    assert seen.made == {"stream": 1, "chain": 1}
    assert seen.counts == {
        "PUT record": 2, "GET record": 1, "HEAD void": 1, "PUT object": 1, "PUT playlist": 1, "LIST": 1,
    }  # fmt: skip
    assert about("out/_runs/x.json") == "run"
    assert about("out/a/report.json") == "view"


@pytest.mark.slow
def test_a_quarter_of_an_hour(tmp_path: Path) -> None:
    facts = Run(tmp_path, HOURS, LATENCY).go(time.monotonic() + WITHIN)
    table = "\n".join(f"{name}: {value}" for name, value in rows(facts))
    assert facts.done, table
    assert facts.streamed == facts.gops, "nothing was made twice: what was there when the driver died was gone on with"
    assert sum(facts.requests.values()) / facts.gops <= MOST_REQUESTS, table
    assert max(facts.silences.values()) < 60, table
    assert facts.again is not None, table
    assert facts.again < 60, table
    assert facts.finishing is not None, table
    assert facts.finishing < 120, table
