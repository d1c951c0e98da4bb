"""After a run: how each title ended, kept under the run's id."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from pipeline.core.errors import OutputError, StoreError
from pipeline.core.safe_text import redact
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Reason, ReasonKind
from pipeline.store.store import Store
from pipeline.titles.catalog_report import row_of, write_report
from pipeline.titles.title_plan import TitlePlan


@dataclass(frozen=True)
class TitleEnd:
    """How a title ended. Of its `gops` in this run `done` are there.

    `file`: path or URL of the finished file, where `state` is done; else `reason` says why there is none, `kind` is
    that of the reason, and `place` the unit that did it, such as `chain 3`, where it was one.
    """

    id: str
    state: Literal["done", "failed", "paused"]
    done: int
    gops: int
    file: str | None = None
    reason: str | None = None
    kind: ReasonKind | None = None
    place: str = ""


def file_of(plan: TitlePlan, work: TitleWork) -> str:
    """The file that a run makes of a title, inside the output."""
    return f"{plan.id}/{'final' if work.gops == plan.gops else 'preview'}.mp4"


def conclude(
    schedule: Schedule, store: Store, plans: dict[str, TitlePlan], works: dict[str, TitleWork], run: str
) -> tuple[list[TitleEnd], str | None]:
    """How each title ended; kept in the store under the run's id, or why that could not be done."""
    ends: dict[str, dict[str, object]] = {}
    found: list[TitleEnd] = []
    for name, title in schedule.titles.items():
        file, counts = file_of(plans[name], works[name]), (title.streamed, title.work.gops)
        if title.done:
            ends[name] = {"state": "done", "file": file, "gops": title.streamed}
            found.append(TitleEnd(name, "done", *counts, file=f"{store}/{file}"))
            continue
        state: Literal["failed", "paused"] = "failed" if title.failed else "paused"
        reason = title.failed or title.paused or Reason("stopped", name, schedule.stopping or "stopped")
        ends[name] = _ended(state, reason, title.streamed)
        found.append(TitleEnd(name, state, *counts, reason=redact(str(reason)), kind=reason.kind, place=reason.place))
    summary = (json.dumps({"run": run, "titles": ends}, indent=1) + "\n").encode()
    try:
        store.put(f"_runs/{run}.json", summary)
        write_report(store, [row_of(plans[name], end, run) for name, end in ends.items()])
    except (StoreError, OutputError) as error:  # how titles ended is known without it
        return found, redact(str(error))
    return found, None


def _ended(state: str, reason: Reason, gops: int) -> dict[str, object]:
    return {"state": state, "reason": redact(str(reason)), "kind": reason.kind, "place": reason.place, "gops": gops}
