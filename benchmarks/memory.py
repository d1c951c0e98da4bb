"""`python -m benchmarks.run memory`: peak memory of driver and workers against the length of the title.

Renders titles of several lengths with family `fake` at 64 px on a local Ray, each in a process of its own, and reads
the peak resident size (VmHWM) of the driver and of every worker from /proc.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.told import tell

SPEECH_RATE = 8_000
WORKER = re.compile(r"ray::(\w+)")
POLL = 0.25  # seconds; VmHWM is a peak, so only a process's last moments can be missed


def write_title(folder: Path, minutes: float) -> Path:
    """A manifest of one title whose audio is noise with pauses."""
    rng = np.random.default_rng(7)
    with wave.open(str(folder / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        for second in range(round(minutes * 60)):
            level = 0 if second % 7 == 6 else 3000
            file.writeframes((rng.standard_normal(SPEECH_RATE) * level).astype("<i2").tobytes())
    Image.fromarray(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(folder / "portrait.png")
    manifest = {
        "version": 1,
        "output": str(folder / "out"),
        "family": "fake",
        "defaults": {"resolution": 64, "base_size": 64},
        "titles": [{"id": "long", "portrait": "portrait.png", "audio": "speech.wav"}],
    }
    path = folder / "catalog.yaml"
    path.write_text(json.dumps(manifest))  # JSON is YAML
    return path


def peak_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", text)
    return int(found[1]) if found else 0


def worker_peaks(seen: dict[tuple[str, int], int], session: int | None = None) -> None:
    """Update the peaks of all Ray workers on this machine, or in one session of processes, by actor class and pid."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name = WORKER.search((entry / "cmdline").read_text())
            elsewhere = session is not None and os.getsid(int(entry.name)) != session
            if name and name[1].endswith("Worker") and not elsewhere:
                key = (name[1], int(entry.name))
                seen[key] = max(seen.get(key, 0), peak_kib(int(entry.name)))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def measure(minutes: float) -> dict[str, float]:
    """MiB at peak of the driver and of each kind of worker, and seconds taken, for a title of that length."""
    with tempfile.TemporaryDirectory() as name:
        manifest = write_title(Path(name), minutes)
        started = time.monotonic()
        with (Path(name) / "log").open("w") as log:
            driver = subprocess.Popen(
                [sys.executable, "-m", "pipeline.render", str(manifest), "--json-log"], stdout=log, stderr=log
            )
            peak = 0
            workers: dict[tuple[str, int], int] = {}
            while driver.poll() is None:
                try:
                    peak = max(peak, peak_kib(driver.pid))
                except (FileNotFoundError, ProcessLookupError):
                    break
                worker_peaks(workers)
                time.sleep(POLL)
        if driver.wait() != 0:
            raise SystemExit((Path(name) / "log").read_text()[-3000:])
        result = {"driver": peak / 1024}
        for (kind, _), size in workers.items():
            result[kind] = max(result.get(kind, 0.0), size / 1024)
        return {**result, "seconds": time.monotonic() - started}


@click.command()
@click.option("--minutes", type=float, multiple=True, default=(1.0, 10.0, 60.0), show_default=True, help="Of a title.")
@click.option("--json", "as_json", is_flag=True)
def main(minutes: tuple[float, ...], as_json: bool) -> None:
    """Peak memory of driver and workers against the length of the title."""
    found = {length: measure(length) for length in sorted(minutes)}
    kinds = list(next(iter(found.values())))
    first, *_, last = found.values()
    ratios = {kind: last[kind] / first[kind] for kind in kinds if kind != "seconds" and kind in last}
    table: list[tuple[object, ...]] = [("peak MiB", *(f"{length:g} min" for length in found), "last over first")]
    for kind in kinds:
        ratio = f"{ratios[kind]:.3f}" if kind in ratios else ""
        table.append((kind, *(f"{one.get(kind, float('nan')):.1f}" for one in found.values()), ratio))
    tell("memory", {"minutes": found, "ratios": ratios}, table, as_json)
