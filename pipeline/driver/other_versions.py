"""Before a run: titles that another version has finished or begun stay as they are, unless `--renew` asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.core.errors import UserError
from pipeline.store.store import Store
from pipeline.titles.earlier import Change, earlier
from pipeline.titles.gate_choice import as_begun
from pipeline.titles.title_plan import TitlePlan

EVERY = "*"  # what `--renew` stands for where it names no title


def check_renew(renew: Sequence[str], plans: dict[str, TitlePlan]) -> None:
    """Raises UserError for a title that is none of these."""
    for name in renew:
        if name != EVERY and name not in plans:
            raise UserError(f"--renew {name}: no such title; name one of the manifest, or none to renew all")


def by_version(
    store: Store, plans: dict[str, TitlePlan], renew: Sequence[str], tell: Callable[[str], None]
) -> tuple[dict[str, TitlePlan], list[str]]:
    """The plans to go by, those that earlier versions began among them; and the ids of titles that wait for `--renew`.

    Titles that are kept as an earlier version finished them are in neither.
    """
    check_renew(renew, plans)
    chosen: dict[str, TitlePlan] = {}
    kept, waiting = 0, []
    for name, plan in plans.items():
        anew = EVERY in renew or name in renew
        plan = plan if anew else as_begun(store, plan)
        found = None if anew else earlier(store, plan)
        if found is None:
            chosen[name] = plan
        elif found.kept is not None:
            kept += 1
            tell(f"{name}: done by an earlier version ({_what(found.changed)}), {store}/{name}/final.mp4")
        elif found.own is not None:
            tell(f"{name}: goes on under the plan that an earlier version began ({_what(found.changed)})")
            chosen[name] = found.own
        else:
            waiting.append(name)
            tell(
                f"{name}: made by an earlier version, and this one cannot go on with it: {found.why}. Rendering it "
                f"from its beginning costs {plan.gops} GOPs ({plan.frames / 25:,.1f} s of video) anew: "
                f"--renew {name}; or use the version that made it"
            )
    if kept:
        titles = "1 title is" if kept == 1 else f"{kept} titles are"
        them = "it" if kept == 1 else "them"
        tell(f"{titles} of an earlier version: kept; --renew renders {them}")
    return chosen, waiting


def _what(changed: Sequence[Change]) -> str:
    return "; ".join(map(str, changed)) or "other revisions, programs or weights"
