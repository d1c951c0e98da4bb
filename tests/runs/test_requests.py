"""How many requests a GOP costs: on S3 each takes tens of milliseconds, and a title of ten hours has 18,750 GOPs.

Before records were read through one listing it was 6.0 PUT, 12.2 GET, 9.1 HEAD and 9.1 LIST a GOP. Before they came
with the news of their commits it was 6.1 PUT, 10.2 GET and 1.1 HEAD; what is left to read is latents and fragments.
"""

from __future__ import annotations

import uuid
from collections import Counter
from pathlib import Path

import pytest

from pipeline import gc, status, trace, verify
from tests.conftest import render_inline, write_manifest
from tests.support.requests import counting

SHORT, LONG = 10, 40  # GOPs
MOST = {
    "render": {"PUT": 6.5, "GET": 2.6, "HEAD": 0.2, "LIST": 0.1, "DELETE": 0.1},
    "render again": {"PUT": 0.05, "GET": 0.05, "HEAD": 0.05, "LIST": 0.05},
    "status": {"GET": 0.05, "HEAD": 0.05, "LIST": 0.05},
    "gc": {"GET": 2.1, "HEAD": 0.05, "LIST": 0.1},
    "verify": {"GET": 6.5, "HEAD": 0.05, "LIST": 0.1},
    "trace": {"GET": 2.1, "HEAD": 0.05, "LIST": 0.1},
}


def run(name: str, manifest: Path, output: str) -> int:
    match name:
        case "status" | "verify":
            return {"status": status, "verify": verify}[name].run([str(manifest)])
        case "gc":
            return gc.run([output])
        case "trace":
            return trace.run([output, str(manifest.with_name("trace.json"))])
    return render_inline(manifest)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """What each command asks for, for a short and for a longer title."""
    found: dict[str, list[Counter[str]]] = {name: [] for name in MOST}
    for gops in (SHORT, LONG):
        folder, output = tmp_path_factory.mktemp("requests"), f"memory://{uuid.uuid4().hex}"
        manifest = write_manifest(folder, (48 * gops,), output=output)
        for name in MOST:
            with counting() as counts:
                assert run(name, manifest, output) == 0
            found[name].append(Counter(counts))
    return {name: (short, long) for name, (short, long) in found.items()}


@pytest.mark.parametrize("name", list(MOST))
def test_requests_a_gop(counted: dict[str, tuple[Counter[str], Counter[str]]], name: str) -> None:
    short, long = counted[name]
    slope = {kind: (long[kind] - short[kind]) / (LONG - SHORT) for kind in short | long}
    print(name, {kind: round(number, 2) for kind, number in sorted(slope.items())})
    assert all(number <= MOST[name].get(kind, 0.0) for kind, number in slope.items()), slope
