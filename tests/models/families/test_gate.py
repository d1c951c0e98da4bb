"""The decision about a GOP: from what was measured, and from nothing else."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from models.families.gate import NOT_FINITE, Gate, Limit, Trial, not_finite, rounded

GATE = Gate(1, (Limit("sharp", least=0.5, most=2.0), Limit("like", least=0.7)))
LOOKS = st.dictionaries(st.sampled_from(["sharp", "like", "other"]), st.floats(allow_nan=True), max_size=3)


def sound(looked: dict[str, float]) -> bool:
    """By the limits as they are meant, not as they are written."""
    sharp, like = looked.get("sharp", 1.0), looked.get("like", 1.0)
    return 0.49995 <= sharp <= 2.00005 and 0.69995 <= like < math.inf and NOT_FINITE not in looked


@given(st.lists(LOOKS, min_size=5, max_size=5), st.booleans(), st.booleans())
def test_a_gop_is_sampled_again_at_most_three_times_and_begun_anew_once(
    looks: list[dict[str, float]], first: bool, helpless: bool
) -> None:
    trial, attempts, verdicts = Trial(GATE, first, helpless), [], []
    for looked in looks:
        attempts.append(trial.attempt)
        verdicts.append(trial.judge(looked))
        if verdicts[-1] == "commit":
            break
    assert verdicts[-1] == "commit"
    assert attempts == list(range(len(attempts)))  # noise of its own for each
    tries = next((n for n, looked in enumerate(looks) if sound(looked)), 5)
    most = 0 if helpless else 3 if first else 4
    assert len(verdicts) == min(tries, most) + 1
    assert verdicts[:-1] == [*["again"] * 3, "new start"][: len(verdicts) - 1]
    assert trial.new_start is ("new start" in verdicts)
    assert len(trial.refused) == len(verdicts) - 1
    assert all(trial.refused)
    assert bool(trial.outside) is (tries > most)
    again = Trial(GATE, first, helpless)
    assert [again.judge(looked) for looked in looks[: len(verdicts)]] == verdicts
    assert (again.refused, again.looked) == (trial.refused, trial.looked)


def test_what_is_not_finite_is_tried_again_even_where_all_else_is_given_up() -> None:
    trial = Trial(GATE, helpless=True)
    assert [trial.judge(not_finite()) for _ in range(4)] == ["again", "again", "again", "new start"]
    assert trial.judge({"like": 1.0}) == "commit"
    assert trial.refused == [{NOT_FINITE: 0.0}] * 4
    assert trial.outside == {}


def test_what_was_not_measured_is_inside_and_what_is_no_number_outside() -> None:
    assert GATE.outside({}) == GATE.outside(rounded({"other": float("nan")})) == {}
    assert GATE.outside(rounded({"sharp": float("nan"), "like": 0.7})) == {"sharp": None}
    assert GATE.outside(rounded({"sharp": 2.00004})) == {}  # as it stands in the record, so it counts


def test_the_identity_is_of_all_that_decides() -> None:
    others = (Gate(2, GATE.limits), Gate(1, GATE.limits, 2), Gate(1, GATE.limits[:1]))
    others += (Gate(1, (Limit("sharp", least=0.5, most=2.1), GATE.limits[1])),)
    assert len({one.identity() for one in (GATE, *others)}) == 5
    assert GATE.identity() == Gate(1, (Limit("sharp", 0.5, 2.0), Limit("like", 0.7))).identity()
