"""`python -m benchmarks.long_title.driver FACTS MANIFEST …`: a render that notes how long its workers were silent."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pipeline import render
from pipeline.on_ray import executor
from pipeline.scheduler.work import Event


class Noting(executor.RayExecutor):
    """Writes the longest silence by kind of work into a file, as often as it grows."""

    facts: Path

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._noted: dict[str, float] = {}

    def events(self, timeout: float) -> list[Event]:
        found = super().events(timeout)
        for name, silent in self.silences.items():
            if silent > self._noted.get(name, 0.0):
                self._noted[name] = round(silent, 2)
                written = self.facts.with_suffix(".part")  # whole or not at all: this process may be killed just now
                written.write_text(json.dumps(self._noted))
                written.replace(self.facts)
        return found


if __name__ == "__main__":
    Noting.facts = Path(sys.argv[1])
    executor.RayExecutor = Noting  # type: ignore[assignment,misc]
    sys.exit(render.run(sys.argv[2:]))
