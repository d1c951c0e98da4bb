"""Records that come with the news of their commit: who is given them, how many are kept, when they are forgotten."""

from __future__ import annotations

from pipeline.driver.record_cache import RecordCache, WithRecords
from pipeline.scheduler.work import Assign, Command, Done, Event, Finished, Job, Kind, Known, Outcome, Progress, Work

RECORD = b"x" * 100


class Noting:
    """An executor that keeps what it was told, and has news when asked."""

    def __init__(self) -> None:
        self.given: list[Command] = []
        self.news: list[Event] = []

    def do(self, command: Command) -> None:
        self.given.append(command)

    def events(self, timeout: float) -> list[Event]:
        return self.news

    def drain(self) -> None: ...

    def close(self) -> None: ...


def made(kind: Kind, *units: int) -> Progress:
    return Progress(tuple(Done("a", kind, unit, record=RECORD) for unit in units))


def told(executor: WithRecords, noting: Noting, job: Job, worker: str = "w") -> list[tuple[Kind, int]]:
    executor.do(Assign(worker, Work(1, job.kind, (job,))))
    assigned = noting.given[-1]
    assert isinstance(assigned, Assign)
    return [(one.kind, one.unit) for one in assigned.work.known]


def test_an_upscaler_is_given_the_latents_that_it_reads() -> None:
    noting, recent = Noting(), RecordCache()
    executor = WithRecords(noting, recent)
    noting.news = [made("chain", 0, 1, 2), Finished("c", (Outcome(Job("a", "chain"), made("chain", 3).done),))]
    assert executor.events(0) is noting.news
    assert told(executor, noting, Job("a", "upscale", 2, 1)) == [("chain", 1), ("chain", 2)]
    assert told(executor, noting, Job("a", "upscale", 0, 9)) == [("chain", unit) for unit in range(4)]
    assert told(executor, noting, Job("a", "chain", 4)) == []
    assert told(executor, noting, Job("b", "upscale", 0, 9)) == []


def test_a_publisher_is_given_what_is_new_to_it() -> None:
    noting, recent = Noting(), RecordCache()
    executor = WithRecords(noting, recent)
    recent.hear([made("upscale", *range(5)), made("chain", *range(5))])
    assert told(executor, noting, Job("a", "playlist", 0, 3)) == [("upscale", unit) for unit in range(3)]
    assert told(executor, noting, Job("a", "playlist", 0, 5)) == [("upscale", 3), ("upscale", 4)]
    assert told(executor, noting, Job("a", "playlist", 0, 5), "another") == [("upscale", unit) for unit in range(5)]
    whole = told(executor, noting, Job("a", "finish", 0, 5))
    assert whole == [(kind, unit) for kind in ("chain", "upscale") for unit in range(5)]


def test_what_is_finished_is_given_without_what_lies_in_checkpoints() -> None:
    noting, recent = Noting(), RecordCache()
    recent.hear([made("upscale", *range(600))])
    assert [unit for _, unit in told(WithRecords(noting, recent), noting, Job("a", "finish", 0, 600))] == [
        *range(512, 600)
    ]


def test_a_title_that_is_looked_at_anew_is_forgotten() -> None:
    noting, recent = Noting(), RecordCache()
    executor = WithRecords(noting, recent)
    recent.hear([made("chain", 0, 1)])
    assert recent.of("a", "chain", range(2), visit=0)
    assert told(executor, noting, Job("a", "upscale", 0, 2, visit=1)) == []
    assert recent.of("a", "chain", range(2), visit=1) == ()
    recent.hear([made("chain", 1)])
    assert recent.of("a", "chain", range(2), visit=1) == (Known("a", "chain", 1, RECORD),)
    assert recent.of("a", "chain", range(2), visit=0) == ()


def test_the_oldest_go_first() -> None:
    recent = RecordCache(most=10 * len(RECORD))
    recent.hear([made("chain", *range(100))])
    recent.hear([made("chain", 99)])
    assert [one.unit for one in recent.of("a", "chain", range(100), visit=0)] == [*range(90, 100)]


def test_what_others_won_is_not_kept() -> None:
    recent = RecordCache()
    recent.hear([Progress((Done("a", "chain", 0, won=False), Done("a", "features", 0, record=RECORD)))])
    assert recent.of("a", "chain", range(1), 0) == recent.of("a", "features", range(1), 0) == ()
