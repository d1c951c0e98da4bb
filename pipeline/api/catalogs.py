"""From a manifest to the titles that a plan or a render is about."""

from __future__ import annotations

import os
from collections.abc import Sequence

from models.families.registry import FAMILIES
from pipeline.api import events as told
from pipeline.api.telling import Emitter
from pipeline.core.errors import ManifestError, Problem
from pipeline.driver.request import Request
from pipeline.intake.cropping import without_blind_crops
from pipeline.intake.fitting import without_impossible
from pipeline.intake.selection import only_failed, select_titles, without_done
from pipeline.intake.survey import survey
from pipeline.intake.title_inputs import TitleInputs
from pipeline.intake.weight_tree import FoundTree
from pipeline.manifest.catalog import Catalog, load_manifest, load_valid_titles
from pipeline.store.store import Store


def load(
    manifest: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    only: Sequence[str] = (),
    allow_hosts: Sequence[str] = (),
    skip_invalid: bool = False,
) -> Catalog:
    """Read and check a manifest, at a path or URL; no input is opened.

    `output` wins over the manifest's, and is relative to the working folder. `only`: ids of the titles that are wanted;
    all by default. `allow_hosts`: hosts on private networks that a manifest from elsewhere may name. With
    `skip_invalid` titles with mistakes are left out; `Catalog.problems` has what is wrong with them.

    Raises ManifestError, whose `problems` are all mistakes with file, line and key.
    """
    place = None if output is None else os.fspath(output)
    if skip_invalid:
        catalog, _ = load_valid_titles(manifest, families=FAMILIES, output=place, allow_hosts=allow_hosts)
    else:
        catalog = load_manifest(manifest, families=FAMILIES, output=place, allow_hosts=allow_hosts)
    return select_titles(catalog, only)


def loaded(catalog: Catalog | str | os.PathLike[str]) -> Catalog:
    """A manifest that is read already, or that at an address; from now on its hosts are what may be read from."""
    if not isinstance(catalog, Catalog):
        return load(catalog)
    catalog.limit_reach()
    return catalog


def select(catalog: Catalog, store: Store, request: Request, emit: Emitter) -> tuple[Catalog, list[str]]:
    """The titles that are left to be looked at, and with `skip_done` the ids of those that are done."""
    done: list[str] = []
    if request.retry_failed:
        catalog = only_failed(catalog, store)
    if request.skip_done:
        catalog, done = without_done(catalog, store)
        for name in done:
            emit(told.TitleDone(name, f"{store}/{name}/final.mp4", "not opened"))
    return catalog, done


def usable(
    catalog: Catalog, store: Store, request: Request, emit: Emitter, found: FoundTree | None, *, weights: bool = True
) -> tuple[list[TitleInputs], list[Problem]]:
    """Titles whose inputs can be rendered, and what is wrong with others.

    `weights`: whether titles must fit those that were `found`. Raises ManifestError where a title is wrong, unless
    `skip_invalid` is on and others are left.
    """
    emit.leave_if_cancelled()
    seen, wrong = survey(catalog, store, emit.note, keep=True)
    problems = [*catalog.problems, *wrong]
    if weights:
        seen, impossible = without_impossible(catalog, seen, found)
        problems += impossible
    if not request.accept_crop:
        seen, blind = without_blind_crops(catalog, store, FAMILIES[catalog.family], seen, found)
        problems += blind
    if problems and not (request.skip_invalid and seen):
        raise ManifestError(problems)
    for problem in problems:
        emit(told.TitleSkipped(problem))
    return seen, problems
