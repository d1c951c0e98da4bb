"""Portraits that were prepared already: titles that show the same one, in the same way, share the work.

What is kept is by content, beside the inputs. Every title commits a copy of its own, so that nothing depends on what
lies here: it may be removed at any time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.store.digests import is_sha256, sha256
from pipeline.store.small_json import get_json
from pipeline.store.store import Store
from pipeline.titles.title_hashes import digest
from pipeline.titles.title_plan import TitlePlan


@dataclass(frozen=True)
class Prepared:
    """`arrays` as they are stored; width and height of the portrait."""

    arrays: bytes
    notes: tuple[str, ...]
    size: tuple[int, int]


def portrait_key(plan: TitlePlan, numerics: dict[str, Any]) -> str:
    """Names all that the prepared portrait depends on."""
    options = plan.options
    hints = [options.face_box, options.lip_box, plan.face_embedding.sha256 if plan.face_embedding else None]
    family = [plan.family, plan.constants.chain_revision, plan.weights_hash]
    facts = [*family, plan.portrait.sha256, options.base_size, options.compat, hints, numerics]
    if plan.portrait_reading:  # as it was before there was any
        facts.append(plan.portrait_reading)
    return f"_portraits/{digest(facts)[:32]}"


def recall_portrait(store: Store, key: str) -> Prepared | None:
    """What another title has left; None where there is nothing, or it is damaged."""
    try:
        facts = get_json(store, f"{key}.json")
        digest_of_it, notes, (width, height) = facts["sha256"], facts["notes"], facts["size"]
        texts = isinstance(notes, list) and all(isinstance(note, str) for note in notes)
        if not (is_sha256(digest_of_it) and texts and type(width) is type(height) is int):
            return None
        arrays = store.get(f"{key}.{digest_of_it[:16]}")
    except (MissingObject, DamagedObject, ValueError, KeyError, TypeError):
        return None
    return Prepared(arrays, tuple(notes), (width, height)) if sha256(arrays) == digest_of_it else None


def keep_portrait(store: Store, key: str, prepared: Prepared) -> None:
    """First the arrays, under a name of their own, then what names them."""
    digest_of_it = sha256(prepared.arrays)
    store.put(f"{key}.{digest_of_it[:16]}", prepared.arrays)
    facts = {"sha256": digest_of_it, "notes": prepared.notes, "size": prepared.size}
    store.put(f"{key}.json", (json.dumps(facts) + "\n").encode())
