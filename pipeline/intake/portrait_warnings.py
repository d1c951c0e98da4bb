"""What a user should know as soon as a title's portrait is prepared, while stopping still saves something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.families.reproduction import OUT_OF_DOMAIN
from pipeline.core.errors import OutputError, StoreError
from pipeline.scheduler.work import Event, Finished, Progress
from pipeline.store.store import Store
from pipeline.titles.report import notes_of
from pipeline.titles.title_plan import TitlePlan


def portrait_warnings(store: Store, plan: TitlePlan) -> Iterator[str]:
    """One line for a portrait that was prepared and that its family cannot show.

    The other notes are in the report. A store in trouble costs the line, not the run: the report has this one too.
    """
    try:
        notes = notes_of(store, plan)
    except (StoreError, OutputError):
        return
    yield from (f"{plan.id}: {note}" for note in notes if note.startswith(OUT_OF_DOMAIN))


def prepared(events: Iterable[Event]) -> set[str]:
    """Titles whose portraits were prepared in these events."""
    found = set()
    for event in events:
        if isinstance(event, Progress):
            done = event.done
        elif isinstance(event, Finished):
            done = tuple(item for outcome in event.outcomes for item in outcome.done)
        else:
            continue
        found |= {item.title for item in done if item.kind == "conditioning"}
    return found
