"""`python -m benchmarks.long_title --hours H --latency MS`: what a long title costs on a store that takes its time.

Family `fake` at 64 pixels, a real S3 server behind a proxy that holds every request, Ray on this machine; the driver
and all that it started are killed when half of the title is there. Run again with the same folder to go on.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.long_title.run import Run, rows
from benchmarks.told import tell


@click.command()
@click.option("--hours", type=click.FloatRange(min=0.01), default=0.25, show_default=True, help="Of film.")
@click.option(
    "--latency", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Milliseconds a request."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Keeps all of it, so that it can be gone on with.")
@click.option(
    "--minutes", type=click.FloatRange(min=0.1), default=600.0, help="End after so many and say how far it came."
)
@click.option("--json", "as_json", is_flag=True)
def main(hours: float, latency: float, folder: Path | None, minutes: float, as_json: bool) -> None:
    until = time.monotonic() + 60 * minutes
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="longtake-long-") as name:
        facts = Run(Path(name), hours, latency / 1000).go(until)
    tell("long_title", {"hours": hours, "latency_ms": latency, **asdict(facts)}, rows(facts), as_json)


if __name__ == "__main__":
    main()
