"""Which titles of a manifest a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pipeline.core.errors import ManifestError, Problem
from pipeline.core.redact import redact
from pipeline.core.side_by_side import side_by_side
from pipeline.intake.recall import recall
from pipeline.manifest.catalog import Catalog, Title
from pipeline.store.store import Store
from pipeline.titles import scan
from pipeline.titles.catalog_report import CSV, failed_titles

_SHOWN = 20  # ids that a message lists


def select_titles(catalog: Catalog, only: Sequence[str]) -> Catalog:
    """The catalog with the titles named by `only`; all of them where it is empty. Raises ManifestError."""
    if not only:
        return catalog
    ids = sorted(title.id for title in catalog.titles)
    has = ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
    unknown = [name for name in only if name not in ids]
    if unknown:
        raise ManifestError(
            [Problem(redact(catalog.source), f"--only {name}: no such title; it has {has}") for name in unknown]
        )
    return replace(catalog, titles=tuple(title for title in catalog.titles if title.id in only))


def without_done(catalog: Catalog, store: Store) -> tuple[Catalog, list[str]]:
    """The catalog without titles that are done as they stand in the manifest, and those titles.

    Their inputs are not opened: it is enough that they have not changed since, or are gone.
    """
    done = []
    for title, over in zip(
        catalog.titles, side_by_side(partial(_is_over, catalog, store), catalog.titles), strict=True
    ):
        if over:
            done.append(title.id)
    return replace(catalog, titles=tuple(title for title in catalog.titles if title.id not in done)), done


def _is_over(catalog: Catalog, store: Store, title: Title) -> bool:
    found = recall(catalog, store, title)
    changed = any("has changed" in note for note in found.notes)
    return found.plan is not None and not changed and scan.is_done(store, found.plan, mend=False)


def only_failed(catalog: Catalog, store: Store) -> Catalog:
    """The catalog's titles that failed when they were last tried, as the catalog report has it."""
    failed = failed_titles(store)
    if failed is None:
        raise ManifestError(
            [
                Problem(
                    f"{redact(str(store))}/{CSV}", "--retry-failed: no report of an earlier run; leave the option out"
                )
            ]
        )
    return replace(catalog, titles=tuple(title for title in catalog.titles if title.id in failed))
