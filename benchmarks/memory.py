"""`python -m benchmarks.memory`: peak memory of driver and workers against the length of the title.

Renders titles of two lengths with family `fake` at 64 px on a local Ray, each in a process of its own, and reads the
peak resident size (VmHWM) of the driver and of every worker from /proc.
"""

from __future__ import annotations

import json
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


def worker_peaks(seen: dict[tuple[str, int], int]) -> None:
    """Update the peaks of all Ray workers on this machine, by actor class and pid."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name = WORKER.search((entry / "cmdline").read_text())
            if name and name[1].endswith("Worker"):
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
            peak, workers = 0, {}
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
@click.option("--short", default=5.0, show_default=True, help="Minutes of the baseline.")
@click.option("--long", default=60.0, show_default=True, help="Minutes of the long title.")
@click.option("--json", "as_json", is_flag=True)
def main(short: float, long: float, as_json: bool) -> None:
    base, big = measure(short), measure(long)
    ratios = {kind: big[kind] / base[kind] for kind in base if kind in big and kind != "seconds"}
    if as_json:
        click.echo(json.dumps({"short": base, "long": big, "ratios": ratios}, indent=1))
        return
    click.echo(f"{'peak MiB':16}{short:>10g} min{long:>10g} min{'ratio':>8}")
    for kind, ratio in ratios.items():
        click.echo(f"{kind:16}{base[kind]:14.1f}{big[kind]:14.1f}{ratio:8.3f}")
    click.echo(f"{'seconds':16}{base['seconds']:14.1f}{big['seconds']:14.1f}")


if __name__ == "__main__":
    main()
