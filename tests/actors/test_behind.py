"""Making and finishing beside each other: order, bounds, errors on either side, and nothing left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from actors.write_behind import AHEAD, Abandoned, Behind


class Trouble(Exception):
    pass


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def summed(items: Iterator[int]) -> int:
    return sum(items)


def test_units_are_finished_in_order() -> None:
    found: list[list[int]] = []
    with Behind[int, list[int]]() as behind:
        for number in range(5):
            unit = behind.begin(list)
            for item in range(number * 3):
                unit.put(item)
                found += behind.finished()
            unit.end()
        found += behind.rest()
    assert found == [list(range(number * 3)) for number in range(5)]


def test_the_next_unit_is_made_while_one_is_finished() -> None:
    begun = threading.Event()

    def slowly(items: Iterator[int]) -> int:
        total = sum(items)
        assert begun.wait(10)  # comes only once the maker has gone on
        return total

    with Behind[int, int]() as behind:
        one = behind.begin(slowly)
        one.put(1)
        one.end()
        two = behind.begin(summed)
        two.put(2)
        begun.set()
        two.end()
        assert list(behind.rest()) == [1, 2]


def test_the_maker_waits_for_a_finisher_that_is_behind() -> None:
    go, put = threading.Event(), list[int]()

    def held(items: Iterator[int]) -> int:
        assert go.wait(10)
        return sum(items)

    def make(behind: Behind[int, int]) -> None:
        unit = behind.begin(held)
        for item in range(AHEAD + 3):
            unit.put(item)
            put.append(item)
        unit.end()

    with Behind[int, int]() as behind:
        maker = threading.Thread(target=make, args=(behind,))
        maker.start()
        time.sleep(0.5)
        assert len(put) == AHEAD
        go.set()
        maker.join(10)
        assert list(behind.rest()) == [sum(range(AHEAD + 3))]


def fails_at_once(items: Iterator[int]) -> int:
    raise Trouble


def fails_at_the_end(items: Iterator[int]) -> int:
    sum(items)
    raise Trouble


@pytest.mark.parametrize("finish", [fails_at_once, fails_at_the_end])
def test_a_finisher_s_error_is_the_maker_s(finish: Callable[[Iterator[int]], int]) -> None:
    def make() -> None:
        with Behind[int, int]() as behind:
            for _ in range(3):
                unit = behind.begin(finish)
                for item in range(10 * AHEAD):
                    unit.put(item)
                    list(behind.finished())
                unit.end()
            list(behind.rest())

    with pytest.raises(Trouble):
        make()


def test_an_abandoned_unit_ends_its_finisher_and_the_one_before_is_kept() -> None:
    seen: list[str] = []

    def watched(items: Iterator[int]) -> int:
        try:
            return sum(items)
        except Abandoned:
            seen.append("abandoned")
            raise

    with Behind[int, int]() as behind:
        one = behind.begin(watched)
        one.put(4)
        one.end()
        two = behind.begin(watched)
        two.put(5)
        behind.abandon(two)
        assert list(behind.rest()) == [4]
        three = behind.begin(watched)
        three.put(6)
        three.end()
        assert list(behind.rest()) == [6]
    assert seen == ["abandoned"]


def test_whoever_leaves_in_the_middle_leaves_nothing_running() -> None:
    def make() -> None:
        with Behind[int, int]() as behind:
            behind.begin(summed).put(1)
            raise Trouble

    with pytest.raises(Trouble):
        make()
