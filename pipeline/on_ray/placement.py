"""Which machines a worker would rather have: chains on demand, upscalers spot, preparing and publishing plain ones.

A chain is sequential inside its title, so a machine that is taken away costs the most there; of an upscaler it costs a
GOP. Preparing and publishing need cores and a disk, and would only keep an accelerator waiting. Machines say what they
are by labels, as the files in `cluster/` do. Where no machine has it, or
none such is free, the worker goes wherever there is room.
"""

from __future__ import annotations

from pipeline.scheduler.work import Role

LABEL = "ray.io/market-type"
PREFERRED: dict[Role, tuple[str, str]] = {
    "chain": (LABEL, "on-demand"),
    "upscale": (LABEL, "spot"),
    "prepare": ("longtake/machine", "plain"),
    "publish": ("longtake/machine", "plain"),
}


def placement_options(role: Role) -> dict[str, object]:
    """Options of Ray for an actor of that role."""
    if role not in PREFERRED:
        return {}
    label, wanted = PREFERRED[role]
    return {"label_selector": {label: wanted}, "fallback_strategy": [{"label_selector": {}}]}
