"""Metrics, logs and timelines: what is counted is what happened, labels are few, and nothing is told twice."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline import status, trace
from pipeline.driver.progress import Reporter
from pipeline.on_ray import metrics as execute_metrics
from pipeline.on_ray.metrics import METRICS, results_of, state_of, troubles
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Done,
    Failure,
    Finished,
    Job,
    Launch,
    Outcome,
    Progress,
    Reason,
    Scanned,
    WorkerLost,
    WorkerReady,
)
from tests.conftest import Rendered, write_manifest
from tests.support.clusters.ray_head import free_port, head

DASHBOARD = Path(__file__).parents[3] / "cluster" / "dashboard.json"


def schedule(*names: str) -> Schedule:
    return Schedule((TitleWork(id=name, priority=0, gops=4, blocks=1, segment=2) for name in names), Limits())


def gauges(one: Schedule) -> dict[tuple[str, ...], float]:
    return {(name, *labels.values()): value for name, labels, value in state_of(one)}


def test_the_drivers_gauges_follow_the_schedule() -> None:
    one = schedule("a", "b", "c")
    assert gauges(one)["longtake_titles", "waiting"] == 3
    one.decide(0.0)
    one.handle(Scanned("a", True, True, (0,), 3, (0, 2), False), 0.0)
    one.handle(Scanned("b", True, True, (0,), 4, (0, 1, 2, 3), True), 0.0)
    one.handle(Scanned("c", False, False, (), 0, (), False), 0.0)
    one.fail(Reason("user", "c", "said so"))
    found = gauges(one)
    assert [found["longtake_titles", state] for state in ("running", "done", "failed", "waiting")] == [1, 1, 1, 0]
    assert found["longtake_gops_left", "chain"] == 1
    assert found["longtake_gops_left", "upscale"] == 2
    assert found["longtake_gops_waiting",] == 1
    launched = [command for command in one.decide(0.0) if isinstance(command, Launch) and command.role == "chain"]
    assert gauges(one)["longtake_workers", "chain", "starting"] == 1
    one.handle(WorkerReady(launched[0].worker), 1.0)
    one.decide(1.0)
    assert gauges(one)["longtake_workers", "chain", "busy"] == 1


def test_every_gauge_is_there_at_once_with_labels_that_do_not_grow() -> None:
    small, large = (
        {(name, *labels.items()) for name, labels, _ in state_of(schedule(*names))}
        for names in (["a"], [f"t{number}" for number in range(500)])
    )
    assert small == large
    for name, labels, _ in state_of(schedule("a")):
        assert tuple(labels) == METRICS[name][2]


def test_units_and_troubles_are_counted_by_what_became_of_them() -> None:
    job = Job("a", "upscale", 0, 3)
    mine = Outcome(job, (Done("a", "upscale", 0), Done("a", "upscale", 1, won=False)), Failure("memory", "too little"))
    stopped = Outcome(job, (), Failure("stopped", "asked to"))
    assert results_of([mine, stopped]) == {"made": 1, "found": 1, "failed": 1}
    lost = WorkerLost("x", Failure("preempted", "gone"))
    assert troubles([Finished("w", (mine, stopped)), lost, Progress(())]) == [
        ("longtake_failures", "memory"),
        ("longtake_workers_lost", "preempted"),
    ]


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    board = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {name for expression in asked for name in re.findall(r"ray_(longtake_\w+)", expression)}
    known = {f"{name}{end}" for name in METRICS for end in ENDINGS[METRICS[name][0]]}
    assert names <= known, names - known
    assert {re.sub("_(total|bucket)$", "", name) for name in names} == set(METRICS), "a metric that nobody sees"
    labels = {label for labels in METRICS.values() for label in labels[2]} | {"le"}
    for expression in asked:
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert {part.strip() for part in group.split(",")} <= labels
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    boxes = [panel["gridPos"] for panel in board["panels"]]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for number, box in enumerate(boxes):
        for other in boxes[:number]:
            apart = box["x"] >= other["x"] + other["w"] or other["x"] >= box["x"] + box["w"]
            assert apart or box["y"] >= other["y"] + other["h"] or other["y"] >= box["y"] + box["h"]


ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def test_the_json_log_tells_every_unit_once_with_title_and_gop() -> None:
    stream = io.StringIO()
    one = schedule("a")
    first, second = Done("a", "chain", 0, seconds=1.5), Done("a", "sound", 0)
    failed = Outcome(Job("a", "upscale", 2, 1), (), Failure("crash", "ValueError"))
    with Reporter(one, stream, json_log=True) as reporter:
        reporter.observe(one, [Progress((first,))])
        reporter.observe(one, [Finished("w", (Outcome(Job("a", "chain"), (first,)),))])
        reporter.observe(one, [Finished("p", (Outcome(Job("a", "sound"), (second,)),))])
        reporter.observe(one, [Finished("u", (failed,))])
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "committed"]
    assert [(line["title"], line["stage"], line.get("gop"), line["seconds"]) for line in told] == [
        ("a", "chain", 0, 1.5),
        ("a", "sound", None, 0.0),
    ]
    (failure,) = [line for line in lines if line.get("cause")]
    assert (failure["title"], failure["stage"], failure["gop"], failure["cause"]) == ("a", "upscale", 2, "crash")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", line["time"]) for line in lines)
    assert not reporter._told, "what is told is forgotten when its call ends"


def test_a_timeline_shows_every_piece_of_work_once(finished: Rendered, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    assert trace.run([str(finished.output), str(file)]) == 0
    events = json.loads(file.read_text())["traceEvents"]
    bars = [event for event in events if event["ph"] == "X"]
    by_stage: dict[str, list[int]] = {}
    for bar in sorted(bars, key=lambda bar: bar["args"]["gop"]):
        by_stage.setdefault(bar["cat"], []).append(bar["args"]["gop"])
    assert by_stage["chain"] == by_stage["upscale"] == [0, 1, 2]
    assert {"sound", "conditioning", "features", "finish"} <= set(by_stage)
    chain = sorted((bar for bar in bars if bar["cat"] == "chain"), key=lambda bar: bar["ts"])
    for bar, after in pairwise(chain):
        assert bar["ts"] + bar["dur"] <= after["ts"] + 5_000, "a chain is sequential"
    assert all(bar["ts"] >= 0 and bar["dur"] >= 0 for bar in bars)
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert {(bar["pid"], bar["tid"]) for bar in bars} <= named


def test_mistakes_of_a_timeline_are_said(
    finished: Rendered, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace.run([str(finished.output), str(tmp_path / "none" / "x.json")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert trace.run([str(finished.output), str(tmp_path / "x.json"), "--run", "other"]) == 2
    assert "no records of work of run other" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_watching_ends_when_every_title_has(finished: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.run([str(finished.output), "--watch", "--every", "0.1"]) == 0
    assert "reading" in capsys.readouterr().out


def test_watching_shows_changes_until_the_end(
    finished: Rendered, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(states: Iterator[str]) -> Any:
        return lambda opened: [status.Status("reading", next(states), gops=3)]

    monkeypatch.setattr(status, "_look", look(iter(["rendering", "rendering", "done"])))
    assert status.run([str(finished.output), "--watch", "--every", "0.1", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["titles"][0]["state"] for line in lines] == ["rendering", "done"]


@pytest.mark.slow
def test_prometheus_sees_driver_and_workers(tmp_path: Path) -> None:
    port = free_port()
    fast = {"RAY_metrics_report_interval_ms": "500"}
    with head(4, "--include-dashboard=false", f"--metrics-export-port={port}", environment=fast) as address:
        # Steps of a fixed time, so that the run lasts longer than what is reported takes to come by.
        manifest = write_manifest(tmp_path, [1200], family="timed", output=str(tmp_path / "out"))
        command = [sys.executable, "-m", "tests.support.clusters.timed_render", str(manifest), "--address", address]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        seen: set[str] = set()
        wanted = {"longtake_titles", "longtake_workers", "longtake_units_total", "longtake_call_seconds_bucket"}
        while run.poll() is None and not wanted <= seen:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                seen |= set(re.findall(r"^ray_(longtake_\w+)", page.read().decode(), re.M))
            time.sleep(0.3)
        said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert wanted <= seen, seen


def test_metrics_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute_metrics, "_made", {})
    one = execute_metrics.metric("longtake_units")
    assert execute_metrics.metric("longtake_units") is one
    assert {type(execute_metrics.metric(name)).__name__ for name in METRICS} == {"Counter", "Gauge", "Histogram"}
