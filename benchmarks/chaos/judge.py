"""How the chaos benchmark judges: what was committed stays, and all is as in an undisturbed render."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos.faults import Tally
from pipeline import verify
from pipeline.core.timeline import GOP
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.conftest import render_inline
from tests.support.crashes import keys_under

BEYOND = 0.05  # of the committed GOPs that may have been made again though no fault hit them
_RECORD = re.compile(r"/(chain|stream)/(\d{8})\.(\d+)\.json$")
_COUNTED = re.compile(r"/(chain|stream|done)/\d{8}\.\d+\.json$")
_OBJECT = re.compile(r"/(chain|stream)/objects/(\d{8})-([0-9a-f]{16,32})-")


@dataclass(frozen=True)
class Verdict:
    seed: int
    faults: dict[str, int]
    driver_ends: dict[int, int]
    rounds: int
    seconds: float
    frames: int
    committed: int
    redone: int
    in_hand: int
    time_lost: float
    lost: tuple[str, ...]
    compared: int
    different: tuple[str, ...]
    verified: bool

    @property
    def beyond(self) -> float:
        """GOPs made again that no fault had hit, as a share of the committed."""
        return max(0, self.redone - self.in_hand) / max(1, self.committed)

    @property
    def good(self) -> bool:
        return not self.different and not self.lost and self.verified and self.beyond <= BEYOND

    def __str__(self) -> str:
        ends = ", ".join(f"{count} with {code}" for code, count in sorted(self.driver_ends.items()))
        rows = [
            f"{'fault':32}{'times':>8}",
            *(f"{kind:32}{count:8}" for kind, count in sorted(self.faults.items())),
            f"{f'in all, of {len(self.faults)} kinds':32}{sum(self.faults.values()):8}",
            f"drivers ended: {ends}",
            f"rounds: {self.rounds}, frames under faults: {self.frames:,} in {self.seconds:.0f} s",
            f"GOPs made again: {self.redone} of {self.committed} ({self.redone / max(1, self.committed):.2%}), "
            f"{self.redone * GOP:,} frames; faults hit workers with up to {self.in_hand} in hand; "
            f"beyond these {self.beyond:.2%}",
            f"time lost: {self.time_lost:.0f} s",
            f"committed GOPs lost: {len(self.lost)}",
            f"different from the undisturbed render: {len(self.different)} of {self.compared} records",
            *(f"  {name}" for name in self.different[:10]),
            f"verify: {'no faults' if self.verified else 'FAULTS'}",
            "identical" if self.good else "NOT IDENTICAL",
        ]
        return "\n".join(rows)


def look_at_records(store: Store, tally: Tally, *, all_of_them: bool = False) -> None:
    """What was committed must stay; and, when all are read again, must be what it was."""
    keys = {key for key in keys_under(store) if _RECORD.search(key)}
    tally.lost += [key for key in tally.committed if key not in keys]
    for key in sorted(keys if all_of_them else keys - tally.committed.keys()):
        attempt = json.loads(store.get(key))["attempt"]
        if tally.committed.setdefault(key, attempt) != attempt:
            tally.lost.append(key)


def picture(store: Store) -> dict[str, Any]:
    """Of every title: states of the chain, planes and fragments of each GOP, and the finished file."""
    found: dict[str, Any] = {}
    keys = set(keys_under(store))
    for key in sorted(keys):
        if not _COUNTED.search(key) or f"{key}.void" in keys:
            continue
        record = json.loads(store.get(key))
        objects = {name: one["sha256"] for name, one in record["objects"].items()}
        name = f"{record['title']} {record['stage']} {record['first']}"
        found[name] = [record["frames"], record["state"], record["facts"].get("planes"), objects]
    return found


def frames_of(store: Store) -> int:
    return sum(value[0] for name, value in picture(store).items() if " stream " in name)


def redone(puts: Iterable[str], tally: Tally) -> int:
    """Attempts at a GOP that put something and were not the one that counts."""
    attempts = {match.groups() for key in puts if (match := _OBJECT.search(key))}
    if len(attempts) < len(tally.committed):
        raise RuntimeError(
            f"{len(attempts)} attempts were seen for {len(tally.committed)} committed GOPs: keys are read wrongly"
        )
    return len(attempts) - len(tally.committed)


def compare(folder: Path, output: str, store: Store, manifests: list[Path]) -> tuple[int, list[str], bool]:
    """Records that were compared with those of an undisturbed render, those that differ, and whether all verifies."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for manifest in manifests:
            if render_inline(manifest, "--output", str(folder / "plain")):
                raise RuntimeError(f"the undisturbed render failed: {said.getvalue()[-3000:]}")
        verified = verify.run([output]) == 0
    mine, plain = picture(store), picture(open_store(str(folder / "plain")))
    different = sorted(name for name in mine.keys() | plain.keys() if mine.get(name) != plain.get(name))
    if not verified:
        print(said.getvalue()[-3000:])
    return len(plain), [f"{name}: {mine.get(name)} instead of {plain.get(name)}" for name in different], verified
