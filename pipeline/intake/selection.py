"""Which titles a command is about: of a manifest, or whatever an output holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from models.families.registry import FAMILIES
from pipeline.core.errors import ManifestError, Problem, UserError
from pipeline.core.parallel import parallel_map
from pipeline.core.safe_text import redact
from pipeline.intake.cached_plan import cached_plan
from pipeline.manifest.catalog import Catalog, Title, load_manifest
from pipeline.sources import urls
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from pipeline.titles import scan, title_folders
from pipeline.titles.catalog_report import CSV, failed_titles
from pipeline.titles.earlier import earlier
from pipeline.titles.title_folders import TitleFolders
from pipeline.titles.title_plan import TitlePlan

_SHOWN = 20  # ids that a message lists


def select_titles(catalog: Catalog, only: Sequence[str]) -> Catalog:
    """The catalog with the titles named by `only`; all of them where it is empty. Raises ManifestError."""
    if not only:
        return catalog
    ids = sorted(title.id for title in catalog.titles)
    has = ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
    unknown = [name for name in only if name not in ids]
    if unknown:
        place = redact(catalog.source)
        raise ManifestError(
            [
                Problem(place, f"--only {name}: no such title; it has {has}", kind="selection", title=name)
                for name in unknown
            ]
        )
    return replace(catalog, titles=tuple(title for title in catalog.titles if title.id in only))


def without_done(catalog: Catalog, store: Store) -> tuple[Catalog, list[str]]:
    """The catalog without titles that are done as they stand in the manifest, and those titles.

    Their inputs are not opened: it is enough that they have not changed since, or are gone.
    """
    done = []
    for title, over in zip(
        catalog.titles, parallel_map(partial(_is_over, catalog, store), catalog.titles), strict=True
    ):
        if over:
            done.append(title.id)
    return replace(catalog, titles=tuple(title for title in catalog.titles if title.id not in done)), done


def _is_over(catalog: Catalog, store: Store, title: Title) -> bool:
    found = cached_plan(catalog, store, title)
    return found.plan is not None and not found.changed and scan.is_done(store, found.plan, mend=False)


def only_failed(catalog: Catalog, store: Store) -> Catalog:
    """The catalog's titles that failed when they were last tried, as the catalog report has it."""
    failed = failed_titles(store)
    if failed is None:
        place, text = f"{redact(str(store))}/{CSV}", "--retry-failed: no report of an earlier run"
        raise ManifestError([Problem(place, text, "leave the option out", kind="selection")])
    return replace(catalog, titles=tuple(title for title in catalog.titles if title.id in failed))


_MANIFESTS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Selection:
    """An output, and the manifest whose titles are asked for, if one was named."""

    store: Store
    catalog: Catalog | None
    only: tuple[str, ...]

    def titles(self) -> Iterator[tuple[TitleFolders, tuple[str, ...]]]:
        """Titles and notes on their inputs; of a manifest one each, of an output one for each stream or chain."""
        if self.catalog is None:
            names = (name for name in title_folders.title_ids(self.store) if not self.only or name in self.only)
            for streams in parallel_map(partial(title_folders.folders_in_output, self.store), names):
                yield from ((one, ()) for one in streams)
            return
        yield from parallel_map(partial(_of, self.catalog, self.store), self.catalog.titles)


def _of(catalog: Catalog, store: Store, title: Title) -> tuple[TitleFolders, tuple[str, ...]]:
    """What the title's plan made, and notes."""
    known = cached_plan(catalog, store, title)
    one, more = _made(store, known.plan) if known.plan else (TitleFolders(title.id), ())
    return one, (*known.notes, *more)


def _made(store: Store, plan: TitlePlan) -> tuple[TitleFolders, tuple[str, ...]]:
    """What a plan made; where another version has made or begun the same, that."""
    before = earlier(store, plan)
    if before is None:
        return title_folders.folders_of_plan(store, plan), ()
    if before.own is not None:
        return title_folders.folders_of_plan(store, before.own), (
            "begun by an earlier version; it goes on as that planned it",
        )
    if before.kept is not None:
        return before.kept, (f"of an earlier version: kept; `render --renew {plan.id}` renders it",)
    text = f"made by an earlier version, which this one cannot go on with: {before.why}; `render --renew {plan.id}`"
    return title_folders.folders_of_plan(store, plan), (text,)


def open_selection(target: str, output: str | None, only: Sequence[str], *, allow_empty: bool = False) -> Selection:
    """The target named on a command line. Raises UserError where it is neither a manifest nor an output."""
    if fault := urls.check_address(target):
        raise UserError(f"{redact(target)}: {fault}")
    local = urls.is_local(target)
    path = Path(urls.local_path(target))
    if path.is_file() if local else urls.local_path(target).split("?")[0].lower().endswith(_MANIFESTS):
        catalog = select_titles(load_manifest(target, families=FAMILIES, output=output), only)
        return Selection(open_store(catalog.output), catalog, tuple(only))
    if output is not None:
        raise UserError(
            f"--output {redact(output)}: {redact(target)} is an output itself; --output goes with a manifest"
        )
    if local and not path.is_dir():
        raise UserError(f"{target}: no such file or folder; give a manifest, or the folder or URL of an output")
    store = open_store(target)
    titles = title_folders.title_ids(store)
    if not titles and not allow_empty:
        raise UserError(
            f"{store} holds no titles: expected a folder ID with inputs.json for each title, as `render` leaves them; "
            "give the output of a manifest, or the manifest itself"
        )
    if unknown := [name for name in only if name not in titles]:
        raise UserError(f"--only {unknown[0]}: {store} holds no such title")
    return Selection(store, None, tuple(only))
