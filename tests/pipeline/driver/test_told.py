"""Units that are committed: each is told once, in whichever order news and the ends of calls come."""

from __future__ import annotations

from pipeline.driver import progress
from pipeline.driver.progress import Told
from pipeline.scheduler.work import Done

ONE, TWO = Done("a", "chain", 0), Done("a", "chain", 1)


def test_news_and_then_the_end_of_the_call() -> None:
    told = Told()
    assert list(told.first([ONE], last=False)) == [ONE]
    assert list(told.first([ONE, TWO], last=True)) == [TWO]
    assert len(told) == 0


def test_news_that_the_end_of_the_call_has_overtaken() -> None:
    told = Told()
    assert list(told.first([ONE, TWO], last=True)) == [ONE, TWO]
    assert list(told.first([TWO], last=False)) == []
    assert len(told) == 0


def test_what_is_made_again_is_told_again() -> None:
    told = Told()
    assert list(told.first([ONE], last=True)) == [ONE]
    again = [*told.first([ONE], last=False), *told.first([ONE], last=True)]
    assert again == [ONE]


def test_what_is_remembered_is_bounded() -> None:
    told, many = Told(), [Done("a", "chain", unit) for unit in range(3 * progress.LATE_NEWS)]
    assert list(told.first(many, last=True)) == many
    assert len(told._ended) == progress.LATE_NEWS
