"""Which titles of a manifest a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import ManifestError, Problem
from pipeline.manifest import Catalog
from pipeline.redact import redact

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
