"""The gate: what a GOP must look like before it is committed, and what follows where it does not.

Example: the GOP at frame 480 comes out with the face fading away. Its `contrast` is 0.3 where the family's limit is at
least 0.6, so it is sampled again, from the same state with other noise; where that gives no better one, up to three
times. Then it begins anew, from the portrait, as the first GOP of a title does. What comes of that is committed.

A decision follows from what was measured and from the record of the GOP before, so whoever makes the GOP decides the
same. Plain data and functions, importable without torch or numpy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

NOT_FINITE = "finite"
"""What stands among the measures of a try whose numbers are not all finite: nothing else can be said of it."""

Verdict = Literal["commit", "again", "new start"]


@dataclass(frozen=True)
class Limit:
    """Bounds of a measure, both of which are inside."""

    name: str
    least: float | None = None
    most: float | None = None

    def allows(self, value: float | None) -> bool:
        """None stands for what is no number."""
        if value is None:
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Gate:
    """The limits of a family. `revision` is raised when a change alters what its part's `look` gives for the same GOP;
    `tries`: how often a GOP is sampled again before it begins anew; `sizes`: base sizes that its limits are for, all of
    them where none is named."""

    revision: int
    limits: tuple[Limit, ...]
    tries: int = 3
    sizes: tuple[int, ...] = ()

    def identity(self) -> str:
        """Of all that decides, 16 digits: it enters the hash of plans with a gate."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def outside(self, looked: Mapping[str, float | None]) -> dict[str, float | None]:
        """The measures that are outside of their limits. What was not measured is inside."""
        refused = {one.name for one in self.limits if one.name in looked and not one.allows(looked[one.name])}
        return {name: value for name, value in looked.items() if name in refused or name == NOT_FINITE}


def rounded(looked: Mapping[str, float]) -> dict[str, float | None]:
    """Measures as they are kept in records and held against limits; None for what is no number."""
    return {name: round(float(value), 4) if math.isfinite(value) else None for name, value in looked.items()}


@dataclass
class Trial:
    """One GOP on its way through a gate.

    `first`: of a title, which begins from the portrait as it is. `helpless`: the GOP before it was committed outside of
    the limits, because a new start did not help: until one is inside again, GOPs are committed as they come, so that a
    face that the limits do not fit costs no more than to look at it.
    """

    gate: Gate
    first: bool = False
    helpless: bool = False
    attempt: int = 0
    new_start: bool = False
    looked: dict[str, float | None] = field(default_factory=dict)  # of the last try
    refused: list[dict[str, float | None]] = field(default_factory=list)  # what was outside of each refused try

    def judge(self, looked: Mapping[str, float]) -> Verdict:
        """What becomes of a try that looked so; `not_finite()` for one whose numbers are not finite."""
        self.looked = rounded(looked)
        outside = self.gate.outside(self.looked)
        broken = NOT_FINITE in outside  # cannot be committed, so it is worth any try
        if not outside or self.new_start or (self.helpless and not broken):
            return "commit"
        if self.attempt >= self.gate.tries and self.first:
            return "commit"
        self.refused.append(outside)
        self.attempt += 1
        if self.attempt <= self.gate.tries:
            return "again"
        self.new_start = True
        return "new start"

    @property
    def outside(self) -> dict[str, float | None]:
        """What is outside of the last try."""
        return self.gate.outside(self.looked)


def not_finite() -> dict[str, float]:
    return {NOT_FINITE: 0.0}
