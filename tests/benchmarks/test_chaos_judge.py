"""What chaos made twice is counted by the attempts that put something, under the names that a store has for them."""

from __future__ import annotations

import pytest

from benchmarks.chaos.faults import Tally
from benchmarks.chaos.judge import redone
from pipeline.store.ledger import new_attempt


def put(stage: str, first: int, attempt: str) -> str:
    return f"chaos/r0-t0/{stage}/abc/{stage}/objects/{first:08d}-{attempt}-latents.arrays"


def test_attempts_that_do_not_count_are_counted() -> None:
    attempts = [new_attempt() for _ in range(4)]
    puts = [put("chain", 0, attempts[0]), put("chain", 0, attempts[1]), put("stream", 0, attempts[2])]
    puts += [put("stream", 48, attempts[3]), put("stream", 48, attempts[3]), "chaos/_runs/x.json"]
    tally = Tally(committed={"one": attempts[1], "two": attempts[2], "three": attempts[3]})
    assert redone(puts, tally) == 1


def test_names_that_are_not_known_are_no_good_news() -> None:
    with pytest.raises(RuntimeError, match="0 attempts were seen for 1 committed"):
        redone(["chaos/r0-t0/chain/abc/chain/objects/1-of-another-kind"], Tally(committed={"one": "x"}))
