"""Numerics classes: what must be equal for two workers to compute the same bits."""

from __future__ import annotations

import json
from typing import TypeGuard

from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject
from pipeline.store.small_json import get_json
from pipeline.store.store import Store
from pipeline.store.transfer import create_json
from pipeline.titles.title_plan import TitlePlan


class NumericsDiffer(LongtakeError):
    pass


class LanesDiffer(LongtakeError):
    """Another driver has begun the title in batches of another shape: it is looked at anew, and goes on in that."""


def key_of(plan: TitlePlan, stage: str) -> str:
    return f"{plan.prefix(stage).rsplit('/', 1)[0]}/numerics-{stage}.json"


def in_lanes(lanes: int) -> dict[str, object]:
    """What the shape of the chain's batch adds to its class. A batch of one has no neighbours to be tested against."""
    return {"lanes": lanes} | ({"lane_test": "passed"} if lanes > 1 else {})


def begun(store: Store, plan: TitlePlan, stage: str) -> dict[str, object] | None:
    """The class that the title's stage was begun in; None where it was not."""
    try:
        found = get_json(store, key_of(plan, stage))
    except (MissingObject, DamagedObject):
        return None
    return found if isinstance(found, dict) else None


def lanes_of(store: Store, plan: TitlePlan) -> int | None:
    """Lanes that a title's chain was begun with; None where it was not."""
    found = (begun(store, plan, "chain") or {}).get("lanes")
    return found if _is_lanes(found) else None


def _is_lanes(found: object) -> TypeGuard[int]:
    return type(found) is int and found > 0


def claim(store: Store, plan: TitlePlan, stage: str, mine: dict[str, object]) -> dict[str, object]:
    """Make `mine` the numerics class of the title's stage, or compare it with the one that is.

    Returns what commit records keep. Raises NumericsDiffer where the classes differ and the title does not allow
    mixing them.
    """
    mine = json.loads(json.dumps(mine))
    theirs = create_json(store, key_of(plan, stage), mine)
    if theirs == mine:
        return mine
    if plan.options.allow_mixed:
        return {**mine, "mixed": True}
    if _is_lanes(lanes := theirs.get("lanes")) and mine | in_lanes(lanes) == theirs | in_lanes(lanes):
        raise LanesDiffer(f"title {plan.id}: {stage} was begun in batches of {theirs['lanes']} lanes")
    parts = [
        f"{name} {mine.get(name)!r} instead of {theirs.get(name)!r}"
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    ]
    raise NumericsDiffer(
        f"title {plan.id}: {stage} was begun on another class of machine ({', '.join(parts)}); continue it on that "
        "class, or set allow_mixed: true"
    )
