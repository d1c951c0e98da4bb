"""Whether a title's chain has a gate: what was begun without one goes on without it.

A gate enters the hash of the chain, so a plan with one has other hashes than the same plan had before there were gates.
What an output holds under the hashes of then would be rendered anew; it is gone on with instead.
"""

from __future__ import annotations

from dataclasses import replace

from models.families.protocol import Family
from pipeline.manifest.options import Options
from pipeline.store.store import Store
from pipeline.titles.title_folders import read_json
from pipeline.titles.title_plan import TitlePlan, with_hashes


def gate_of(family: Family, options: Options, shipped: bool) -> str:
    """The identity of a new plan's gate; empty where its limits would say nothing: they were measured with the weights
    that ship, of most families at one base size."""
    gate = family.gate
    if gate is None or options.gate == "off" or not shipped or (gate.sizes and options.base_size not in gate.sizes):
        return ""
    return gate.identity()


def as_begun(store: Store, plan: TitlePlan) -> TitlePlan:
    """The plan, or the one without a gate where the output holds something of that and nothing of the plan itself.

    A title in scenes, of which any may be there whatever became of the others, goes on as all was begun that it has.
    """
    if not plan.gate:
        return plan
    plain = without_gate(plan)
    for stage in ("chain", "stream"):
        there = set(store.folders(f"{plan.id}/{stage}"))
        if there & _folders(plan, stage):
            return plan
        if there & _folders(plain, stage):
            return plain
    notes = [read_json(store, f"{plan.id}/stream/{name}/plan.json") for name in there] if plan.in_scenes else []
    return plain if notes and not any(note and note.get("gate") for note in notes) else plan


def without_gate(plan: TitlePlan) -> TitlePlan:
    """The same wishes, carried out without a look at what is made."""
    return with_hashes(replace(plan, gate=""))


def _folders(plan: TitlePlan, stage: str) -> set[str]:
    """Folders of a stage, of the title as it is and as it is without its retakes."""
    return {getattr(hashes, stage)[:16] for hashes in (plan.hashes, plan.untaken) if hashes}
