"""What somebody asked for of a title, apart from the version of Longtake that makes it.

A plan's hashes hold both: what was asked for (manifest, contents of inputs, the user's own weights) and how it is
carried out (revisions, programs, shipped weights). Where hashes differ and what was asked for does not, another version
was at work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.families.registry import FAMILIES
from models.weights.shipped import EARLIER
from pipeline.manifest.option_fields import options_entering
from pipeline.manifest.options import complete
from pipeline.titles.report import ingredients
from pipeline.titles.title_plan import TitlePlan

Requested = dict[str, object]
_SHOWN = ("chain", "picture", "stream")  # hashes of pictures and sound; options of others change what is written around
_AROUND = ("title", "chapters", "around", "signer")


def requested_of(plan: TitlePlan) -> Requested:
    """Of a plan, as plain data. Options at their default are left out: a default is no wish."""
    made_of = ingredients(plan)
    return plain(
        {
            "family": plan.family,
            "weights": plan.weights_hash if plan.own_weights else "",
            "seed": plan.seed,
            "prompts": made_of["prompts"],
            "retakes": [one.identity() for one in plan.retakes],
            "inputs": made_of["inputs"],
            "key": plan.mark_key if plan.marks.payload else "",
            "signer": plan.signer if plan.marks.wanted else "",
            **_options(plan.family, plan.plain_options),
            "title": plan.given_title,
            "chapters": [list(one) for one in plan.given_chapters],
        }
    )


def pictures_of(requested: Requested) -> Requested:
    """Without what is only written around pictures and sound."""
    return {name: value for name, value in requested.items() if name not in _AROUND}


def reported(plan: TitlePlan, report: Mapping[str, Any], sidecar: Mapping[str, Any]) -> Requested | None:
    """What was asked for when a finished title was made; None where its report does not tell.

    Reports of versions that did not keep them tell all but which words were given and which came from the sound file:
    where `plan` gives none, theirs count as not given either.
    """
    if isinstance(kept := report.get("wishes"), dict):
        return kept
    try:
        told, weights = report["publishing"], sidecar["weights"]
        chapters = [[one["start"], one["title"]] for one in told["chapters"]]
        shipped = weights in (plan.weights_hash, *EARLIER.get(plan.family, ())) or not FAMILIES[plan.family].tree
        return plain(
            {
                "family": sidecar["family"],
                "weights": "" if shipped and not plan.own_weights else weights,
                "seed": sidecar["seed"],
                "prompts": sidecar["prompts"],
                "inputs": sidecar["inputs"],
                "key": (report["watermark"] or {}).get("key", ""),
                **_options(plan.family, sidecar["options"]),
                "title": None if plan.given_title is None else told["title"],
                "chapters": chapters if plan.given_chapters else [],
            }
        )
    except (KeyError, TypeError, AttributeError):
        return None


def plain(facts: Any) -> Any:
    """As JSON would give it back: tuples are lists."""
    return json.loads(json.dumps(facts))


def _options(family: str, values: Mapping[str, object]) -> dict[str, object]:
    usual = complete({}, FAMILIES[family]).values()

    def wished(*levels: str) -> dict[str, object]:
        names = [name for level in levels for name in options_entering(level) if name in values]
        return {name: values[name] for name in names if plain(values[name]) != plain(usual[name])}

    return {"options": wished(*_SHOWN), "around": wished("file")}


def same(one: Requested, other: Requested) -> bool:
    """Whether both wish the same; of what only one of them knows, an empty value is no wish."""
    return all(
        one.get(name) == other.get(name) for name in one.keys() | other.keys() if one.get(name) or other.get(name)
    )
