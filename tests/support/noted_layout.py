"""`python -m tests.support.noted_layout FACTS MANIFEST …`: a render on Ray that notes how its workers were laid out."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray

from pipeline import render
from pipeline.on_ray import executor
from pipeline.scheduler.work import Event, WorkerReady


def given(worker: Any) -> dict[str, float]:
    """What Ray has given to the process that this runs in."""
    found: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
    return found


class Noting(executor.RayExecutor):
    facts: Path

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._workers: list[tuple[str, dict[str, float]]] = []

    def events(self, timeout: float) -> list[Event]:
        found = super().events(timeout)
        for event in found:
            if isinstance(event, WorkerReady) and (actor := self._actors.get(event.worker)):
                asked = actor.handle.__ray_call__.options(concurrency_group="control").remote(given)
                self._workers.append((actor.role, ray.get(asked, timeout=60)))
        return found

    def close(self) -> None:
        allocation = self._allocation
        shares = {role: asdict(share) for role, share in allocation.shares.items()}
        facts = {"shares": shares, "limits": asdict(allocation.limits), "workers": self._workers}
        self.facts.write_text(json.dumps(facts))
        super().close()


if __name__ == "__main__":
    Noting.facts = Path(sys.argv[1])
    executor.RayExecutor = Noting  # type: ignore[assignment,misc]
    sys.exit(render.run(sys.argv[2:]))
