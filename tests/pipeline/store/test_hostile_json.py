"""What anybody may have put beside our small objects stops no start and no worker."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors import calibration, portraits
from pipeline.driver.in_flight import InFlight
from pipeline.store.opening import open_store
from pipeline.titles import numerics

HOSTILE = [
    b"[" * 200_000,
    b"",
    b"\xff\xfe",
    b"null",
    b"7",
    b"{}",
    b'{"in_hand": 3, "exact": true, "suspects": []}',
    b'{"in_hand": [[{}, "chain", 0, 1]], "exact": 1, "suspects": []}',
    b'{"in_hand": [["t", "dance", 0, 1]], "exact": 1, "suspects": []}',
    b'{"in_hand": [["t", "chain", 0]], "exact": 1, "suspects": []}',
    b'{"in_hand": [], "exact": 1, "suspects": [[["t", "chain", "x"], [], []]]}',
    b'{"lanes": "eight"}',
    b'{"lanes": true}',
    b'{"lanes": -2}',
    b'{"sha256": "../../../../etc/passwd", "notes": [], "size": [1, 1]}',
    b'{"sha256": "%s", "notes": 7, "size": [1, 1]}' % (b"a" * 64),
    b'{"sha256": "%s", "notes": [], "size": [1, 1]}' % (b"a" * 64),
]
PLAN: Any = SimpleNamespace(
    id="t", options=SimpleNamespace(allow_mixed=False), prefix=lambda stage: f"t/chain/abc/{stage}"
)


@pytest.fixture(params=range(len(HOSTILE)), ids=[repr(text[:40]) for text in HOSTILE])
def text(request: pytest.FixtureRequest) -> bytes:
    return HOSTILE[request.param]


def test_marks_of_a_former_run(text: bytes, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("_runs/a.marks", text)
    good = {"in_hand": [["title", "upscale", 3, 1]], "exact": True, "suspects": []}
    store.put("_runs/b.marks", json.dumps(good).encode())
    quarantine = InFlight(store, "now").take_over()
    assert [(mark.title, mark.first) for mark in quarantine._interrupted] == [("title", 3)], (
        "what is sound is still heeded"
    )


def test_a_numerics_record(text: bytes, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put(numerics.key_of(PLAN, "chain"), text)
    assert numerics.lanes_of(store, PLAN) is None


def test_a_prepared_portrait(text: bytes, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("_portraits/x.json", text)
    store.put(f"_portraits/x.{'a' * 16}", b"arrays of another")
    assert portraits.recall_portrait(store, "_portraits/x") is None


def test_calibrated_lanes(text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path))
    monkeypatch.setattr(calibration, "calibrate", lambda part, options: 3)
    monkeypatch.setattr(calibration, "replace", lambda options, **changes: options)
    monkeypatch.setattr(calibration, "digest", lambda facts: "k" * 16)
    options = SimpleNamespace(guidance_scale=1.0, base_size=64, steps=2, devices=1)
    plan: Any = SimpleNamespace(family="fake", weights_hash="w", clip_options=options)
    part = SimpleNamespace(numerics=dict, release=lambda: None)
    store.put(f"_lanes/{'k' * 16}.json", text)
    assert calibration.calibrated(store, plan, part) == 3
    store.put(f"_lanes/{'k' * 16}.json", b'{"lanes": 5}')
    assert calibration.calibrated(store, plan, part) == 5


def test_objects_of_the_store_are_parsed_in_one_place() -> None:
    """`json.loads` takes nesting without end for an error of its own kind, and objects of any size."""
    root = Path(__file__).parents[3]
    own = {
        "pipeline/titles/requested.py",
        "pipeline/store/small_json.py",
        "pipeline/titles/numerics.py",
        "pipeline/provenance/credentials.py",
        "pipeline/checks/sensors/process.py",  # what a process of our own says, and
        "pipeline/checks/sensors/worker.py",  # what it is asked
    }
    found = {
        str(path.relative_to(root))
        for package in ("pipeline", "actors")
        for path in (root / package).rglob("*.py")
        if re.search(r"\bjson\.loads?\(", path.read_text())
    }
    assert found <= own, "use pipeline.store.small_json for what comes from a store or a file"
