"""Lanes of a class of device: found by trying, once, and kept in the store for all that follow."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from models.parts.lanes import calibrate
from pipeline.store.store import Store
from pipeline.store.transfer import create_json
from pipeline.titles.title_plan import TitlePlan, digest


def calibrated(store: Store, plan: TitlePlan, part: Any) -> int:
    """Lanes for this device and these options. Whoever measures first decides: all workers of a class agree."""
    # Every number of lanes would be compiled for anew, and what is best does not hang on it.
    options, facts = replace(plan.clip_options, compiled=False), part.numerics()
    guided = options.devices if options.guidance_scale > 1 else 0
    kind = digest([plan.family, plan.weights_hash, options.base_size, guided, facts])[:16]
    key = f"_lanes/{kind}.json"
    if store.exists(key):
        return int(json.loads(store.get(key))["lanes"])
    found = {"lanes": calibrate(part, replace(options, steps=min(options.steps, 2))), "numerics": facts}
    part.release()
    return int(create_json(store, key, found)["lanes"])
