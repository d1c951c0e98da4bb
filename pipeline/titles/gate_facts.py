"""What records of a chain say of its gate: what was measured, refused and begun anew; and how GOPs follow each other.

Facts of a record, under `gate`:

    looked      the measures of what was committed
    refused     of each try that was refused what was outside of its limits, in order; absent where none was
    new_start   where the GOP begins anew from the portrait: sha256 of the state that the GOP before it left
    outside     what is outside of its limits and was committed all the same, because nothing helped
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.families.gate import Trial
from pipeline.store.record import Record

MOST = 100  # GOPs that a list names, the first ones


def facts_of(trial: Trial, before: str) -> dict[str, Any]:
    """Facts of a GOP that is committed; `before`: sha256 of the state that the GOP before it left."""
    return {
        "looked": trial.looked,
        **({"refused": trial.refused} if trial.refused else {}),
        **({"new_start": before} if trial.new_start else {}),
        **({"outside": trial.outside} if trial.outside else {}),
    }


def _said(record: Record) -> Mapping[str, Any]:
    said = record.facts.get("gate")
    return said if isinstance(said, dict) else {}


def is_helpless(record: Record) -> bool:
    """Whether its GOP was committed outside of the limits."""
    return bool(_said(record).get("outside"))


def new_start(record: Record) -> bool:
    """Whether its GOP begins anew from the portrait."""
    return "new_start" in _said(record)


def follows(record: Record, before: str | None, seed: str | None) -> bool:
    """Whether a GOP goes on from the state `before`, or begins anew from the state `seed` after it. None: unknown."""
    said = _said(record)
    if "new_start" not in said:
        return before is None or record.parent == before
    return before in (None, said["new_start"]) and seed in (None, record.parent)


class GateCount:
    """What the gate did in a title, for report and page: counts, seconds, and the first frames of GOPs."""

    def __init__(self) -> None:
        self.looked = self.again = 0
        self.seconds = 0.0
        self.starts: list[int] = []
        self.outside: list[int] = []

    def add(self, record: Record, first: int) -> None:
        """`first`: where the GOP lies in the film."""
        if not (said := _said(record)):
            return
        self.looked += 1
        refused = said.get("refused")
        self.again += len(refused) if isinstance(refused, list) else 0
        took = record.made.get("gate_seconds")
        self.seconds += took if isinstance(took, int | float) else 0.0
        if new_start(record):
            self.starts.append(first)
        if is_helpless(record):
            self.outside.append(first)

    def told(self) -> dict[str, Any]:
        """Empty where there is no gate."""
        if not self.looked:
            return {}
        return {
            "looked": self.looked,
            "sampled_again": self.again,
            "begun_anew": len(self.starts),
            "outside": len(self.outside),
            "seconds": round(self.seconds, 3),
            "begun_anew_at": self.starts[:MOST],
            "outside_at": self.outside[:MOST],
        }
