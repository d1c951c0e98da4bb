"""`python -m benchmarks.credentials`: time and memory of signing a file of a gigabyte, and of reading it back.

The file is a real MP4 whose media data is padded; a process of its own signs it, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from pipeline.boxes import top_boxes
from pipeline.credentials import read_credentials, sign
from pipeline.encode import Encoding, encode_gop
from pipeline.signing_identity import made_up

_CHUNK = 1 << 20


def write_large(path: Path, size: int) -> None:
    """An MP4 of about `size` bytes: a second of video, and behind it a box of media data that nothing refers to."""
    planes = np.random.default_rng(0).integers(16, 235, (384, 256), np.uint8)
    part = encode_gop(Encoding("h264", 256, 256, 20), 0, [planes] * 25)
    with path.open("wb") as file:
        file.write(part.init + part.data)
        left = size - file.tell()
        file.write((1).to_bytes(4, "big") + b"mdat" + left.to_bytes(8, "big"))
        noise = np.random.default_rng(1).bytes(_CHUNK)
        left -= 16
        while left > 0:
            left -= file.write(noise[: min(left, _CHUNK)])


def work(folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    sign(folder / "large.mp4", folder / "signed.mp4", made_up("b"), title="t", software="s", version="1", facts={})
    signed = time.monotonic()
    state = read_credentials(folder / "signed.mp4").state
    facts = {
        "sign_seconds": signed - started,
        "read_seconds": time.monotonic() - signed,
        "state": state,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "before_mib": before // 1024,
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
