"""A title's plan as its inputs were last seen: for commands that look at records and do not decode an hour of sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.families.registry import FAMILIES
from pipeline.core.errors import InputError
from pipeline.core.redact import redact
from pipeline.intake.survey import Seen, extra_urls, plan_title, remembered
from pipeline.intake.weight_intake import recall_weights
from pipeline.manifest.catalog import Catalog, Title
from pipeline.media.sound import AudioFacts
from pipeline.sources.inputs import SourceFile, stamp_of
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan


@dataclass(frozen=True)
class Recalled:
    """`plan` is None where the title's inputs were never seen: then nothing of it has been rendered."""

    plan: TitlePlan | None
    notes: tuple[str, ...] = ()


def recall(catalog: Catalog, store: Store, title: Title) -> Recalled:
    """The plan of a title from what `<id>/inputs.json` keeps; inputs that differ by now are noted."""
    known = remembered(store, title)
    embedding = title.options.face_embedding
    urls = [title.portrait, *title.audio, *([embedding] if embedding else [])]
    extras = extra_urls(title)
    if missing := [url for url in (*urls, *extras.values()) if redact(url) not in known]:
        begun = f"{redact(missing[0])} has not been seen yet; other inputs were" if known else None
        return Recalled(None, (begun,) if begun else ())
    try:
        entries = {name: known[redact(url)] for name, url in extras.items()}
        seen = _seen(title, urls, [known[redact(url)] for url in urls], entries)
    except (KeyError, TypeError, ValueError) as error:
        return Recalled(None, (f"{title.id}/inputs.json is damaged ({type(error).__name__}); remove it",))
    family = FAMILIES[catalog.family]
    weights = recall_weights(family, catalog.weights, store)
    if weights is None:
        return Recalled(None, (f"weights {redact(catalog.weights or '')} have not been seen yet",))
    notes = [note for source in seen.sources if (note := _changed(source))]
    return Recalled(plan_title(family, seen, weights), tuple(notes))


def _seen(title: Title, urls: list[str], entries: list[dict[str, Any]], extras: dict[str, dict[str, Any]]) -> Seen:
    sources = [_source(url, entry) for url, entry in zip(urls, entries, strict=True)]
    others = extra_urls(title)
    audio = slice(1, 1 + len(title.audio))
    width, height = entries[0]["facts"]
    return Seen(
        title,
        sources[0],
        (width, height),
        tuple(sources[audio]),
        tuple(AudioFacts.from_dict(entry["facts"]) for entry in entries[audio]),
        sources[-1] if title.options.face_embedding else None,
        {name: (_source(others[name], entry), entry["facts"]) for name, entry in extras.items()},
    )


def _source(url: str, entry: dict[str, Any]) -> SourceFile:
    return SourceFile(url, entry["sha256"], entry["size"], entry["stamp"])


def _changed(source: SourceFile) -> str | None:
    """Whether an input is no longer what it was. Of stores that keep no stamps only the size can be compared."""
    try:
        size, stamp = stamp_of(source.url)
    except InputError as error:
        return f"input out of reach: {error}"
    if size != source.size or (stamp != source.stamp and not stamp.startswith("new-")):
        return f"input {redact(source.url)} has changed since it was read; rendering again makes a new plan"
    return None
