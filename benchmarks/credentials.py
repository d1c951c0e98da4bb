"""`python -m benchmarks.credentials`: time and memory of signing a file of a gigabyte, and of reading it back.

The file is a real MP4 of noise; a process of its own signs it, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from pipeline.media import ffmpeg
from pipeline.media.boxes import top_boxes
from pipeline.media.encode import Encoding, encode_gop
from pipeline.provenance.credentials import read_credentials, sign
from pipeline.provenance.signing_identity import made_up


def write_large(path: Path, size: int) -> None:
    """An MP4 of about `size` bytes, laid out as `final.mp4` is: a GOP of noise, again and again, by stream copy."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(16, 235, (960, 640), np.uint8) for _ in range(12)]
    part = encode_gop(Encoding("h264", 640, 640, 1), 0, frames)
    gop = path.with_name("gop.mp4")
    gop.write_bytes(part.init + part.data)
    command = [ffmpeg.binary(), "-v", "error", "-y", "-stream_loop", str(size // len(part.data)), "-i", str(gop)]
    subprocess.run([*command, "-c", "copy", "-movflags", "+faststart", str(path)], check=True)


def peak() -> int:
    """Most memory that this process has held, in MiB: `getrusage` counts that of the process that began it, too."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024


def work(folder: Path) -> None:
    before = peak()
    started = time.monotonic()
    sign(folder / "large.mp4", folder / "signed.mp4", made_up("b"), title="t", software="s", version="1", facts={})
    signed = time.monotonic()
    state = read_credentials(folder / "signed.mp4").state
    facts = {
        "sign_seconds": signed - started,
        "read_seconds": time.monotonic() - signed,
        "state": state,
        "peak_mib": peak(),
        "before_mib": before,
    }
    print(json.dumps(facts))


@click.command()
@click.option("--megabytes", default=1024, show_default=True)
@click.option("--worker", hidden=True, type=click.Path(path_type=Path))
def main(megabytes: int, worker: Path | None) -> None:
    if worker:
        work(worker)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in (64, megabytes):
            write_large(folder / "large.mp4", size << 20)
            command = [sys.executable, "-m", "benchmarks.credentials", "--worker", name]
            facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            with (folder / "signed.mp4").open("rb") as file:
                kinds = [box.kind for box in top_boxes(file)][:3]
            print(
                f"{size} MiB: signed in {facts['sign_seconds']:.1f} s, read back in {facts['read_seconds']:.1f} s, "
                f"{facts['state']}; peak memory {facts['peak_mib']} MiB, of it {facts['before_mib']} before; "
                f"begins {' '.join(kinds)}; load {os.getloadavg()[0]:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
