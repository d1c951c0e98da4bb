"""What a user should know as soon as a title's portrait is prepared, while stopping still saves something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.families.reproduction import OUT_OF_DOMAIN
from pipeline.core.errors import StoreError
from pipeline.scheduler.work import Event, Finished, Progress
from pipeline.store.store import Store
from pipeline.titles.report import notes_of
from pipeline.titles.title_plan import TitlePlan


def portrait_warnings(store: Store, plans: dict[str, TitlePlan], events: Iterable[Event]) -> Iterator[str]:
    """One line for every portrait that was prepared in these events and that its family cannot show.

    The other notes are in the report. A store in trouble costs the line, not the run: the report has this one too.
    """
    for title in _prepared(events):
        try:
            notes = notes_of(store, plans[title])
        except StoreError:
            continue
        yield from (f"{title}: {note}" for note in notes if note.startswith(OUT_OF_DOMAIN))


def _prepared(events: Iterable[Event]) -> set[str]:
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
