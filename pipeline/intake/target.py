"""What `status` and `verify` look at: a manifest's titles, or whatever an output holds. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.families.registry import FAMILIES
from pipeline.core.errors import UserError
from pipeline.core.redact import redact
from pipeline.core.side_by_side import side_by_side
from pipeline.intake.recall import recall
from pipeline.intake.selection import select_titles
from pipeline.manifest.catalog import Catalog, Title, load_manifest
from pipeline.sources import urls
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from pipeline.titles import found
from pipeline.titles.earlier import earlier
from pipeline.titles.found import Found
from pipeline.titles.title_plan import TitlePlan

_MANIFESTS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Target:
    """An output, and the manifest whose titles are asked for, if one was named."""

    store: Store
    catalog: Catalog | None
    only: tuple[str, ...]

    def titles(self) -> Iterator[tuple[Found, tuple[str, ...]]]:
        """Titles and notes on their inputs; of a manifest one each, of an output one for each stream or chain."""
        if self.catalog is None:
            names = (name for name in found.titles_in(self.store) if not self.only or name in self.only)
            for streams in side_by_side(partial(found.in_output, self.store), names):
                yield from ((one, ()) for one in streams)
            return
        yield from side_by_side(partial(_of, self.catalog, self.store), self.catalog.titles)


def _of(catalog: Catalog, store: Store, title: Title) -> tuple[Found, tuple[str, ...]]:
    """What the title's plan made, and notes."""
    known = recall(catalog, store, title)
    one, more = _made(store, known.plan) if known.plan else (Found(title.id), ())
    return one, (*known.notes, *more)


def _made(store: Store, plan: TitlePlan) -> tuple[Found, tuple[str, ...]]:
    """What a plan made; where another version has made or begun the same, that."""
    before = earlier(store, plan)
    if before is None:
        return found.of_plan(plan), ()
    if before.own is not None:
        return found.of_plan(before.own), ("begun by an earlier version; it goes on as that planned it",)
    if before.kept is not None:
        return before.kept, (f"of an earlier version: kept; `render --renew {plan.id}` renders it",)
    text = f"made by an earlier version, which this one cannot go on with: {before.why}; `render --renew {plan.id}`"
    return found.of_plan(plan), (text,)


def open_target(target: str, output: str | None, only: Sequence[str], *, allow_empty: bool = False) -> Target:
    """The target named on a command line. Raises UserError where it is neither a manifest nor an output."""
    if fault := urls.check_address(target):
        raise UserError(f"{redact(target)}: {fault}")
    local = urls.is_local(target)
    path = Path(urls.local_path(target))
    if path.is_file() if local else urls.local_path(target).split("?")[0].lower().endswith(_MANIFESTS):
        catalog = select_titles(load_manifest(target, families=FAMILIES, output=output), only)
        return Target(open_store(catalog.output), catalog, tuple(only))
    if output is not None:
        raise UserError(
            f"--output {redact(output)}: {redact(target)} is an output itself; --output goes with a manifest"
        )
    if local and not path.is_dir():
        raise UserError(f"{target}: no such file or folder; give a manifest, or the folder or URL of an output")
    store = open_store(target)
    titles = found.titles_in(store)
    if not titles and not allow_empty:
        raise UserError(
            f"{store} holds no titles: expected a folder ID with inputs.json for each title, as `render` leaves them; "
            "give the output of a manifest, or the manifest itself"
        )
    if unknown := [name for name in only if name not in titles]:
        raise UserError(f"--only {unknown[0]}: {store} holds no such title")
    return Target(store, None, tuple(only))
