"""Scenes of a title in the scheduler: who is chained first, joins, and that a title ends as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Assign,
    Command,
    Done,
    Failure,
    Finished,
    Job,
    Launch,
    Outcome,
    Progress,
    Scan,
    Scanned,
    WorkerReady,
)


def scene(number: int, first: int, gops: int) -> tuple[TitleWork, Scanned]:
    name = f"book@{number}"
    work = TitleWork(name, 0, gops, 1, 10, (gops * 48, 48), film="book", first=first)
    return work, Scanned(name, True, True, (0,), 0, (), False)


class Run:
    """A schedule of one title with scenes of such sizes, whose workers are ready at once."""

    def __init__(self, sizes: list[int], chains: int = 1, joined: bool = True):
        work = TitleWork("book", 0, sum(sizes), 1, 10, in_scenes=True, joined=joined)
        self.schedule = Schedule([work], Limits(chain=chains, upscale=1, upscale_after=1))
        firsts = [sum(sizes[:number]) for number in range(len(sizes))]
        self.scenes = tuple(
            scene(number, first, gops) for number, (first, gops) in enumerate(zip(firsts, sizes, strict=True))
        )
        self.assigned: list[tuple[str, Job]] = []
        self.sound = False
        self.turn()

    def turn(self) -> None:
        """Decide until nothing new comes of it; workers are ready when they are launched."""
        while commands := self.schedule.decide(0.0):
            for command in commands:
                self.do(command)

    def do(self, command: Command) -> None:
        match command:
            case Launch(name):
                self.schedule.handle(WorkerReady(name), 0.0)
            case Scan(name):
                scenes = self.scenes if self.sound else ()
                found = Scanned(name, self.sound, self.sound, (), 0, (), False, scenes=scenes)
                self.schedule.handle(found, 0.0)
            case Assign(name, work):
                self.assigned += [(name, job) for job in work.jobs]

    def finish(self, *kinds: str, count: int = 1) -> list[Job]:
        """End the first jobs of these kinds that are in hand, as their workers would."""
        done = []
        for name, job in [one for one in self.assigned if one[1].kind in kinds][:count]:
            self.assigned.remove((name, job))
            units = tuple(Done(job.title, job.kind, job.first + number) for number in range(job.count))
            self.sound = self.sound or job.kind == "sound"
            self.schedule.handle(Finished(name, (Outcome(job, units),)), 0.0)
            done.append(job)
        self.turn()
        return done

    def begin(self) -> Run:
        self.finish("sound")
        assert set(self.schedule.scenes) == {work.id for work, _ in self.scenes}
        return self

    def in_hand(self, kind: str) -> list[str]:
        return [job.title for _, job in self.assigned if job.kind == kind]


def test_scenes_are_known_once_the_sound_is_there() -> None:
    run = Run([11, 11])
    assert run.in_hand("sound") == ["book"]
    assert not run.in_hand("chain")
    run.begin()
    assert run.in_hand("chain") == ["book@0"]


def test_the_earliest_first_where_that_costs_nothing() -> None:
    run = Run([11, 30, 12], chains=1).begin()
    order = []
    while jobs := run.finish("chain"):
        order += [job.title for job in jobs]
    assert list(dict.fromkeys(order)) == ["book@0", "book@1", "book@2"]


def test_the_longest_first_where_it_would_be_the_last_to_end() -> None:
    run = Run([11, 11, 20, 60], chains=2).begin()
    assert sorted(run.in_hand("chain")) == ["book@2", "book@3"]
    many = Run([11, 12] * 10, chains=2).begin()
    assert sorted(many.in_hand("chain")) == ["book@0", "book@1"]


def test_a_join_waits_for_both_of_its_scenes() -> None:
    run = Run([2, 2]).begin()
    run.finish("chain", count=1)
    run.finish("chain", count=1)
    while run.finish("upscale"):
        pass
    book = run.schedule.titles["book"]
    assert (book.streamed, book.joinable) == (1, set())  # GOP 1 becomes the next scene
    run.finish("chain", count=1)
    assert book.joinable == {1}
    jobs = []
    while done := run.finish("chain", "upscale"):
        jobs += done
    assert Job("book", "upscale", 1, visit=book.visit) in jobs
    assert book.streamed == 4
    run.finish("playlist")
    assert [job.title for job in run.finish("finish")] == ["book"]
    assert run.schedule.finished
    assert book.done


def test_with_cuts_a_scene_s_last_gop_is_the_film_s() -> None:
    run = Run([2, 2], joined=False).begin()
    while run.finish("chain", "upscale"):
        pass
    assert run.schedule.titles["book"].streamed == 4


@pytest.mark.parametrize("cause", ["user", "damaged"])
def test_what_befalls_a_scene_befalls_its_title(cause: str) -> None:
    run = Run([11, 11], chains=2).begin()
    name, job = next(one for one in run.assigned if one[1].title == "book@1")
    run.assigned.remove((name, job))
    outcome = Outcome(job, (), Failure(cause, "no such luck"))  # type: ignore[arg-type]
    run.schedule.handle(Finished(name, (outcome,)), 0.0)
    book = run.schedule.titles["book"]
    if cause == "user":
        assert (str(book.failed), book.failed.place) == ("scene 1: no such luck", "scene 1")  # type: ignore[union-attr]
        run.finish("chain", "conditioning", count=9)
        assert not run.in_hand("chain")
        assert run.schedule.finished
    else:
        assert not book.scanned
        run.finish("chain", "conditioning", "features", count=9)  # what is in hand ends, and nothing begins
        assert book.scanned
        assert book.visit == 2
        assert sorted(run.in_hand("chain")) == ["book@0", "book@1"]


def test_units_are_told_once_and_count_once() -> None:
    run = Run([11, 11]).begin()
    done = Done("book@0", "chain", 0)
    for _ in range(3):
        run.schedule.handle(Progress((done,)), 0.0)
    assert run.schedule.titles["book"].chained == 1


def test_scenes_in_order_are_not_displaced_by_longer_ones() -> None:
    run = Run([12, 40, 40, 40, 40, 40], chains=1).begin()
    order = [job.title for _ in range(60) for job in run.finish("chain")]
    assert list(dict.fromkeys(order)) == ["book@0", "book@1", "book@2"]
    assert order == sorted(order)


def test_of_a_scene_that_is_partly_taken_anew_only_the_rest_is_upscaled() -> None:
    """GOPs 2 and 3 of 6 are shown of a retake; the scene that they stand in is chained to its end for what follows."""
    run = Run([6], joined=True)
    run.scenes = (
        (replace(scene(0, 0, 6)[0], shown=((0, 2), (4, 6))), scene(0, 0, 6)[1]),
        scene(1, 2, 2),
    )
    run.begin()
    jobs = []
    while done := run.finish("chain", "upscale", "finish"):
        jobs += done
    upscaled = {(job.title, job.first + number) for job in jobs if job.kind == "upscale" for number in range(job.count)}
    assert upscaled == {
        *(("book@0", gop) for gop in (0, 1, 4, 5)),
        ("book@1", 0),
        ("book@1", 1),
        ("book", 1),
        ("book", 3),
    }
    assert sum(job.title == "book@0" for job in jobs if job.kind == "chain") == 6
    assert run.schedule.titles["book"].streamed == 6
    assert run.schedule.titles["book"].chained == 6
