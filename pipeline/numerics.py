"""Numerics classes: what must be equal for two workers to compute the same bits."""

from __future__ import annotations

import json
from typing import Any

from pipeline.errors import LongtakeError
from pipeline.records import create_json
from pipeline.store import Store
from pipeline.titles import TitlePlan


class NumericsDiffer(LongtakeError):
    pass


def claim(store: Store, plan: TitlePlan, stage: str, mine: dict[str, Any]) -> dict[str, Any]:
    """Make `mine` the numerics class of the title's stage, or compare it with the one that is.

    Returns what commit records keep. Raises NumericsDiffer where the classes differ and the title does not allow
    mixing them.
    """
    mine = json.loads(json.dumps(mine))
    key = f"{plan.prefix(stage).rsplit('/', 1)[0]}/numerics-{stage}.json"
    theirs = create_json(store, key, mine)
    if theirs == mine:
        return mine
    if plan.options.allow_mixed:
        return {**mine, "mixed": True}
    parts = [
        f"{name} {mine.get(name)!r} instead of {theirs.get(name)!r}"
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    ]
    raise NumericsDiffer(
        f"title {plan.id}: {stage} was begun on another class of machine ({', '.join(parts)}); continue it on that "
        "class, or set allow_mixed: true"
    )
