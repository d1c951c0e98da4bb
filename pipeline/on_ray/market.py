"""Which machines a worker would rather have: chains on demand, upscalers spot, either of them anything.

A chain is sequential inside its title, so a machine that is taken away costs the most there; of an upscaler it costs a
GOP. Machines say what they are by Ray's own label for it, as the files in `cluster/` do. Where no machine has it, or
none such is free, the worker goes wherever there is room.
"""

from __future__ import annotations

from typing import Any

from pipeline.scheduler.work import Role

LABEL = "ray.io/market-type"
PREFERRED: dict[Role, str] = {"chain": "on-demand", "upscale": "spot"}


def preference(role: Role) -> dict[str, Any]:
    """Options of Ray for an actor of that role."""
    if role not in PREFERRED:
        return {}
    return {"label_selector": {LABEL: PREFERRED[role]}, "fallback_strategy": [{"label_selector": {}}]}
