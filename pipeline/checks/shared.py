"""Garbage among what the titles of an output share: copies of inputs and of weights, and prepared portraits.

An input counts as named where its sha256 stands in the inputs record of any title of the output, in a plan that was
begun there, or in a plan of the manifest, whoever asks: another manifest may write to the same output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial

from pipeline.checks.garbage import DAY, OLD, Garbage
from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.core.parallel import parallel_map
from pipeline.intake.input_cache import inputs_key
from pipeline.store.small_json import get_small
from pipeline.store.store import Store
from pipeline.store.suspect_inputs import END
from pipeline.titles.earlier import plan_key
from pipeline.titles.title_folders import title_ids
from pipeline.titles.title_plan import TitlePlan

INPUT, PORTRAIT = "inputs that no title names", "prepared portraits of long ago"
_SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def named_by(plan: TitlePlan) -> set[str]:
    """sha256 of the inputs of a plan, among others of it."""
    return set(_SHA256.findall(json.dumps(asdict(plan), default=str)))


def unnamed_inputs(
    store: Store, named: Collection[str], going: Collection[str], now: float, days: float
) -> Iterator[Garbage]:
    """Inputs that nothing names and that were copied so many days ago, with the marks of doubt beside them.

    `named`: by plans of the manifest. `going`: keys that are removed with them, plans that were begun among those.
    Nothing goes where an inputs record cannot be read.
    """
    old = [one for one in store.listed("_inputs") if now - one.modified > max(OLD, days * DAY)]
    if not old:
        return
    kept = set(named)
    try:
        for more in parallel_map(partial(_of_title, store, going), title_ids(store)):
            kept |= more
    except DamagedObject:
        return
    for one in old:
        if one.name.removesuffix(END) not in kept:
            yield Garbage("", one.key, one.size, INPUT)


def old_portraits(store: Store, now: float, days: float) -> Iterator[Garbage]:
    """Prepared portraits are kept for titles to come; every title has a copy of its own."""
    for one in store.listed("_portraits"):
        if now - one.modified > max(OLD, days * DAY):
            yield Garbage("", one.key, one.size, PORTRAIT)


def _of_title(store: Store, going: Collection[str], title: str) -> set[str]:
    """What a title names. Raises DamagedObject."""
    keys = [inputs_key(title), *(plan_key(title, name) for name in store.folders(f"{title}/stream"))]
    found = set[str]()
    for key in keys:
        if key not in going:
            with suppress(MissingObject):
                found |= set(_SHA256.findall(get_small(store, key).decode(errors="replace")))
    return found
