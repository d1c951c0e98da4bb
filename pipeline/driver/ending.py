"""After a run: how each title ended, said, kept under the run's id, and turned into the exit code."""

from __future__ import annotations

import json

import click

from pipeline.core.errors import OutputError, StoreError
from pipeline.core.safe_text import redact
from pipeline.driver.stop import AGAIN, INTERRUPTED
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.title_state import TitleWork
from pipeline.scheduler.work import Reason
from pipeline.store.store import Store
from pipeline.titles.catalog_report import row_of, write_report
from pipeline.titles.title_plan import TitlePlan


def conclude(
    schedule: Schedule, store: Store, plans: dict[str, TitlePlan], works: dict[str, TitleWork], run: str
) -> int:
    """Say how each title ended, keep it under the run's id, and choose the exit code."""
    ends: dict[str, dict[str, object]] = {}
    for name, title in schedule.titles.items():
        file = "final.mp4" if works[name].gops == plans[name].gops else "preview.mp4"
        if title.done:
            ends[name] = {"state": "done", "file": f"{name}/{file}", "gops": title.streamed}
            click.echo(f"{name}: done, {store}/{name}/{file}", err=True)
        elif title.failed:
            ends[name] = _ended("failed", title.failed, title.streamed)
            click.echo(f"{name}: failed after {title.streamed} GOPs: {redact(str(title.failed))}", err=True)
        else:
            reason = title.paused or Reason("stopped", name, schedule.stopping or "stopped")
            ends[name] = _ended("paused", reason, title.streamed)
            click.echo(f"{name}: paused at {title.streamed}/{title.work.gops} GOPs ({redact(str(reason))})", err=True)
    summary = (json.dumps({"run": run, "titles": ends}, indent=1) + "\n").encode()
    try:
        store.put(f"_runs/{run}.json", summary)
        write_report(store, [row_of(plans[name], end, run) for name, end in ends.items()])
    except (StoreError, OutputError) as error:  # how titles ended is known without it
        click.echo(f"the run's summary was not kept: {redact(str(error))}", err=True)
    states = {end["state"] for end in ends.values()}
    if "paused" in states:
        click.echo(AGAIN, err=True)
        return INTERRUPTED
    return 1 if "failed" in states else 0


def _ended(state: str, reason: Reason, gops: int) -> dict[str, object]:
    return {"state": state, "reason": redact(str(reason)), "kind": reason.kind, "place": reason.place, "gops": gops}
