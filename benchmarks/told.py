"""What every benchmark says beside its numbers: the machine, its load and the versions; a table, or JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

Row = Sequence[object]


def machine() -> dict[str, Any]:
    """Facts that a figure depends on. Torch is asked only where it has been imported."""
    import sys

    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        facts |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
        if torch.cuda.is_available():
            facts["accelerator"] = torch.cuda.get_device_name()
    return facts


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def tell(name: str, found: dict[str, Any], rows: Sequence[Row], as_json: bool) -> None:
    """Print a benchmark's findings: JSON of all of them, or the rows as a table."""
    facts = machine()
    if as_json:
        click.echo(json.dumps({"benchmark": name, **found, "machine": facts}, indent=1))
        return
    click.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts if column < len(row)) for column in range(max(map(len, texts)))]
    for row in texts:
        cells = [
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        click.echo("  " + "  ".join(cells).rstrip())
