"""Lanes of a class of device: found by trying, once, and kept in the store for all that follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.parts.lanes import calibrate
from pipeline.core.errors import DamagedObject, MissingObject, StoreError
from pipeline.store.small_json import get_json
from pipeline.store.store import Store
from pipeline.store.transfer import create_json
from pipeline.titles.title_hashes import digest
from pipeline.titles.title_plan import TitlePlan


def calibrated(store: Store, plan: TitlePlan, part: Any) -> int:
    """Lanes for this device and these options. Whoever measures first decides: all workers of a class agree."""
    # Every number of lanes would be compiled for anew, and what is best does not hang on it.
    options, facts = replace(plan.clip_options, compiled=False), part.numerics()
    guided = options.devices if options.guidance_scale > 1 else 0
    kind = digest([plan.family, plan.weights_hash, options.base_size, guided, facts])[:16]
    key = f"_lanes/{kind}.json"
    try:
        return lanes_in(get_json(store, key))
    except (MissingObject, ValueError, DamagedObject):
        found = {"lanes": calibrate(part, replace(options, steps=min(options.steps, 2))), "numerics": facts}
        part.release()
    try:
        return lanes_in(create_json(store, key, found))
    except (StoreError, ValueError):  # damaged: go by what was found here, which the title's own record fixes
        return lanes_in(found)


def lanes_in(found: Any) -> int:
    """Raises ValueError for anything that no calibration has written."""
    lanes = found.get("lanes") if isinstance(found, dict) else None
    if type(lanes) is not int or lanes < 1:
        raise ValueError(f"lanes {lanes!r}: expected a number above 0")
    return lanes
