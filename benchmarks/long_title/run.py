"""A title of some hours on a real S3 server behind a proxy that holds every request; its driver is killed half-way.

Everything lies in one folder, so a run that was ended goes on where its records end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.long_title.requests import Seen
from benchmarks.memory import peak_kib, worker_peaks, write_title
from pipeline.core.timeline import FPS, GOP, gops_of
from tests.support import faulty_s3, s3

POLL = 0.25  # seconds
PLACE = "long"
# Ray lets its workers go after everything else on the machine, and gives a node up that takes half a minute to start.
_ON_A_BUSY_MACHINE = {"RAY_worker_niceness": "0", "RAY_raylet_start_wait_time_s": "300"}


@dataclass
class Facts:
    """What has been seen so far, over all runs of the same folder. Seconds, requests, MiB."""

    gops: int
    latency: float
    runs: int = 0
    seconds: float = 0.0
    chained: int = 0
    streamed: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    silences: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    killed_at: int | None = None  # GOPs that were there
    again: float | None = None  # from the start after that to the first new GOP
    finishing: float | None = None
    done: bool = False


class Run:
    def __init__(self, folder: Path, hours: float, latency: float):
        """`latency`: seconds for which every request is held."""
        folder.mkdir(parents=True, exist_ok=True)
        self._writer, self._latency = folder, latency
        self._state = folder / "facts.json"
        if self._state.exists():
            self.facts = Facts(**json.loads(self._state.read_text()))
        else:
            write_title(folder, hours * 60)
            self.facts = Facts(gops_of(round(hours * 3600 * FPS)), latency)

    def go(self, until: float) -> Facts:
        """Render to the end, or until that moment; kills the driver once, when half of the title is there."""
        with (
            s3.running(folder=self._writer / "store") as server,
            faulty_s3.before(server.endpoint) as proxy,
        ):
            proxy.hold = self._latency
            while not self.facts.done and time.monotonic() < until:
                seen = Seen()
                proxy.choose = seen.choose
                self._one(proxy.environment(server.environment), server.bucket, seen, until)
        return self.facts

    def _one(self, environment: dict[str, str], bucket: str, seen: Seen, until: float) -> None:
        """One life of a driver."""
        facts, silences = self.facts, self._writer / "silences.json"
        silences.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "benchmarks.long_title.driver",
            str(silences),
            str(self._writer / "catalog.yaml"),
        ]
        command += ["--output", f"s3://{bucket}/{PLACE}", "--json-log"]
        before, started, first = facts.streamed, time.monotonic(), None
        peaks: dict[tuple[str, int], int] = {}
        with (self._writer / f"driver-{facts.runs}.log").open("wb") as log:
            driver = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | environment | _ON_A_BUSY_MACHINE,
                start_new_session=True,
            )
            try:
                while driver.poll() is None and time.monotonic() < until:
                    time.sleep(POLL)
                    if first is None and seen.made["stream"] + seen.made["chain"]:
                        first = time.monotonic() - started
                    _measure(driver.pid, peaks)
                    if facts.killed_at is None and before + seen.made["stream"] >= facts.gops // 2:
                        facts.killed_at = before + seen.made["stream"]
                        break
            finally:
                _end(driver)
        if facts.killed_at is not None and facts.killed_at <= before and facts.again is None:
            facts.again = first
        facts.runs += 1
        facts.seconds += time.monotonic() - started
        facts.chained += seen.made["chain"]
        facts.streamed += seen.made["stream"]
        facts.done = driver.returncode == 0
        if facts.done:
            facts.finishing = seen.last["done"] - seen.last.get("stream", started)
        for name, count in seen.counts.items():
            facts.requests[name] = facts.requests.get(name, 0) + count
        noted: dict[str, float] = json.loads(silences.read_text()) if silences.exists() else {}
        for name, seconds in noted.items():
            facts.silences[name] = max(seconds, facts.silences.get(name, 0.0))
        for (name, _), size in peaks.items():
            facts.memory[name] = max(round(size / 1024, 1), facts.memory.get(name, 0.0))
        self._state.write_text(json.dumps(asdict(facts), indent=1))
        if driver.returncode not in (0, 75, -signal.SIGKILL):
            raise RuntimeError(
                f"the driver ended with {driver.returncode}; see {self._writer}/driver-{facts.runs - 1}.log"
            )


def _measure(driver: int, peaks: dict[tuple[str, int], int]) -> None:
    try:
        peaks["driver", driver] = max(peaks.get(("driver", driver), 0), peak_kib(driver))
    except (FileNotFoundError, ProcessLookupError):
        return
    worker_peaks(peaks, driver)


def _end(driver: subprocess.Popen[Any]) -> None:
    """The driver and all that it has started, as when its machine goes: nothing of it writes any more."""
    while True:
        left = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit() and _session(one) == driver.pid]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        driver.poll()
        if not left:
            break
        time.sleep(POLL)
    driver.wait()


def _session(process: Path) -> int:
    """Its session, 0 for one that is over."""
    try:
        state, _, _, session = process.joinpath("stat").read_text().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return 0
    return 0 if state == "Z" else int(session)


def rows(facts: Facts) -> list[tuple[object, ...]]:
    """The table: one fact a line."""
    made = max(1, facts.streamed)
    groups: dict[str, int] = {}
    for name, count in facts.requests.items():
        groups[name.partition(" ")[0]] = groups.get(name.partition(" ")[0], 0) + count
    found: list[tuple[object, ...]] = [
        ("GOPs made, of the title", f"{facts.streamed} of {facts.gops}{', done' if facts.done else ''}"),
        ("seconds, in runs of the driver", f"{facts.seconds:.0f} in {facts.runs}"),
        ("requests a GOP", f"{sum(facts.requests.values()) / made:.2f}"),
        *((f"  {name}", f"{count / made:.2f}") for name, count in sorted(groups.items(), key=lambda one: -one[1])),
        *(
            (f"  {name}", f"{count / made:.3f}")
            for name, count in sorted(facts.requests.items(), key=lambda one: -one[1])
        ),
        *((f"longest silence: {name}, s", f"{value:.1f}") for name, value in sorted(facts.silences.items())),
        ("driver killed at GOP", facts.killed_at),
        ("  first new GOP after the next start, s", None if facts.again is None else f"{facts.again:.1f}"),
        ("finishing, s", None if facts.finishing is None else f"{facts.finishing:.1f}"),
        *((f"peak memory: {name}, MiB", value) for name, value in sorted(facts.memory.items())),
    ]
    return [(name, "-" if value is None else value) for name, value in found]


def length_of(facts: Facts) -> float:
    """Hours of film."""
    return facts.gops * GOP / FPS / 3600
