"""Early warnings about a title: prompt words that its family has not learned, a portrait that it cannot show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.families.protocol import Family
from models.families.vocabulary import words_of
from pipeline.core.errors import OutputError, StoreError
from pipeline.scheduler.work import Event, Finished, Progress
from pipeline.store.store import Store
from pipeline.titles.report import notes_of
from pipeline.titles.title_plan import TitlePlan


def prompt_warnings(family: Family, plans: Iterable[TitlePlan]) -> Iterator[str]:
    """One line for every prompt with words that change the face in no way anybody chose, and one with those that do."""
    if not family.words:
        return
    found = False
    for plan in plans:
        for _, text in plan.prompts:
            unknown = [word for word in dict.fromkeys(words_of(text)) if word not in family.words]
            if unknown:
                found = True
                said = " and ".join(map(repr, unknown))
                yield f"{plan.id}: prompt {text!r}: family {family.name!r} has not learned {said}: that acts by chance"
    if found:
        yield f"words that {family.name!r} has learned: {', '.join(family.words)}"


def scene_warnings(plans: Iterable[TitlePlan]) -> Iterator[str]:
    """One line for each title that is to be parted at chapters and has none."""
    for plan in plans:
        if plan.options.scenes == "chapters" and len(plan.metadata.chapters) < 2:
            yield (
                f"{plan.id}: scenes: chapters: it has no chapters, so it is one scene; name them in the manifest, or "
                "give minutes instead"
            )


def portrait_warnings(store: Store, plan: TitlePlan) -> Iterator[str]:
    """One line for a portrait that was prepared and that its family cannot show.

    The other notes are in the report. A store in trouble costs the line, not the run: the report has this one too.
    """
    try:
        notes = notes_of(store, plan)
    except (StoreError, OutputError):
        return
    yield from (f"{plan.id}: {note.text}" for note in notes if note.out_of_domain)


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
