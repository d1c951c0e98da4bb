"""A title's plan as its inputs were last seen: for commands that look at records and do not decode an hour of sound."""

from __future__ import annotations

from dataclasses import dataclass

from models.families.registry import FAMILIES
from pipeline.core.errors import InputError
from pipeline.core.safe_text import redact
from pipeline.intake.input_cache import Entry, read_input_cache
from pipeline.intake.survey import plan_title
from pipeline.intake.title_inputs import InputFile, Inspected, input_files, inputs_of
from pipeline.intake.weight_intake import cached_weights
from pipeline.manifest.catalog import Catalog, Title
from pipeline.sources.inputs import SourceFile, stamp_of
from pipeline.store.store import Store
from pipeline.titles.gate_choice import as_begun
from pipeline.titles.title_plan import TitlePlan


@dataclass(frozen=True)
class CachedPlan:
    """`plan` is None where the title's inputs were never seen: then nothing of it has been rendered. `changed`: an
    input is no longer what it was."""

    plan: TitlePlan | None
    notes: tuple[str, ...] = ()
    changed: bool = False


def cached_plan(catalog: Catalog, store: Store, title: Title) -> CachedPlan:
    """The plan of a title from what `<id>/inputs.json` keeps; inputs that differ by now are noted."""
    known = read_input_cache(store, title.id)
    entries = {file.place: known.find(file.place, file.url) for file in input_files(title)}
    if missing := [file.url for file in input_files(title) if entries[file.place] is None]:
        begun = f"{redact(missing[0])} has not been seen yet; other inputs were" if known else None
        return CachedPlan(None, (begun,) if begun else ())
    found = {one.place: _found(one, entry) for one in input_files(title) if (entry := entries[one.place])}
    try:
        inputs = inputs_of(title, found)
    except (KeyError, TypeError, ValueError) as error:
        return CachedPlan(None, (f"{title.id}/inputs.json is damaged ({type(error).__name__}); remove it",))
    family = FAMILIES[catalog.family]
    weights = cached_weights(family, catalog.weights, store)
    if weights is None:
        return CachedPlan(None, (f"weights {redact(catalog.weights or '')} have not been seen yet",))
    notes, changed = [], False
    for source in inputs.sources:
        try:
            if _is_changed(source):
                changed = True
                notes.append(
                    f"input {redact(source.url)} has changed since it was read; rendering again makes a new plan"
                )
        except InputError as error:
            notes.append(f"input out of reach: {error}")
    return CachedPlan(as_begun(store, plan_title(family, inputs, weights)), tuple(notes), changed)


def _found(file: InputFile, entry: Entry) -> Inspected:
    return Inspected(SourceFile(file.url, entry["sha256"], entry["size"], entry["stamp"]), entry["facts"])


def _is_changed(source: SourceFile) -> bool:
    """Whether an input is no longer what it was. Of stores that keep no stamps only the size can be compared.

    Raises InputError where it is out of reach.
    """
    size, stamp = stamp_of(source.url)
    return size != source.size or (stamp != source.stamp and not stamp.startswith("new-"))
