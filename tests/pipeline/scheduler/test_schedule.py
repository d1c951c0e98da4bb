"""The scheduler against a simulated cluster: whatever happens in whatever order, titles end and promises hold."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from pipeline.scheduler.pools import BAD_WORKER, STILLBORN
from pipeline.scheduler.schedule import PATIENCE, POISON, SCANS, Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import (
    Assign,
    Done,
    Failure,
    Finished,
    Job,
    Launch,
    Outcome,
    Retire,
    Scan,
    Scanned,
    StopAsked,
    Work,
    WorkerLost,
    WorkerReady,
)
from tests.support.clusters.simulated_cluster import Cluster, Faults, whole


def title(id: str = "a", gops: int = 5, **more: int) -> TitleWork:
    values = {"priority": 0, "blocks": 1, "segment": 2} | more
    return TitleWork(id=id, gops=gops, **values)  # type: ignore[arg-type]


def titles_of(random: Random) -> list[TitleWork]:
    return [
        TitleWork(
            id=f"t{number}",
            priority=random.choice((0, 0, 0, 5)),
            gops=random.randint(1, 14),
            blocks=random.randint(1, 4),
            segment=random.randint(1, 5),
            block_of_gop=(100, 48),
            reach=random.choice((0, 2)),
        )
        for number in range(random.randint(1, 5))
    ]


def limits_of(random: Random) -> Limits:
    return Limits(
        prepare=random.randint(1, 2),
        chain=random.randint(1, 2),
        upscale=random.randint(1, 4),
        publish=random.randint(1, 2),
        lanes=random.randint(1, 3),
    )


def assert_all_done(cluster: Cluster) -> None:
    for work in cluster.titles.values():
        state = cluster.schedule.titles[work.id]
        assert state.done, (work.id, state)
        mine = whole(work)
        assert mine <= cluster.store
        assert {unit: cluster.commits[unit] for unit in mine} == dict.fromkeys(mine, 1), "every unit committed once"


@pytest.mark.parametrize("seed", range(12))
def test_without_trouble_everything_is_made_once(seed: int) -> None:
    random = Random(seed)
    cluster = Cluster(titles_of(random), limits_of(random), random)
    cluster.run()
    assert_all_done(cluster)
    asked = [unit for _, _, work in cluster.assigned for job in work.jobs for unit in cluster_units(job)]
    assert len(asked) == len(set(asked)), "nothing is asked for twice where nothing fails"
    assert set(cluster.scans.values()) == {1}


def cluster_units(job: Job) -> list[tuple[str, str, int]]:
    if job.kind == "playlist":
        return []
    return [(job.title, job.kind, job.first + k) for k in range(1 if job.kind == "finish" else job.count)]


TROUBLE = {
    "deaths": Faults(crash=60, start=200),
    "preemption": Faults(preempted=150),
    "failures": Faults(failure=80, memory=80),
    "storage": Faults(infrastructure=200, per_unit=PATIENCE - 1),
    "damage": Faults(damaged=40),
    "lost news": Faults(lost_news=150),
    "stops": Faults(stopped=100),
    "all": Faults(300, 30, 30, 30, 30, 30, 10, 30, 30),
}


@pytest.mark.parametrize("kind", TROUBLE)
@pytest.mark.parametrize("seed", range(8))
def test_trouble_within_its_budgets_ends_with_every_gop_committed_once(kind: str, seed: int) -> None:
    random = Random(f"{kind} {seed}")
    cluster = Cluster(titles_of(random), limits_of(random), random, TROUBLE[kind])
    cluster.run()
    assert_all_done(cluster)
    if kind == "all" and seed == 0:
        assert cluster.troubles, "the test must make trouble"


@pytest.mark.slow
def test_very_many_orders() -> None:
    for seed in range(1000):
        random = Random(seed)
        faults = Faults(*(random.choice((0, 10, 50, 150)) for _ in range(9)))
        cluster = Cluster(titles_of(random), limits_of(random), random, faults)
        cluster.run()
        assert_all_done(cluster)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["conditioning", "features", "chain", "upscale", "finish"])
def test_a_poisonous_unit_fails_its_title_after_three_lone_deaths(kind: str, seed: int) -> None:
    random = Random(f"{kind} {seed}")
    titles = [title("good", 7), title("bad", 9, segment=4), title("fine", 3)]
    cluster = Cluster(titles, limits_of(random), random)
    poison = ("bad", kind, {"chain": 4, "upscale": 5}.get(kind, 0))
    cluster.poison = {poison}  # type: ignore[assignment]
    cluster.run()
    states = cluster.schedule.titles
    assert cluster.lone_deaths == {poison: POISON}
    assert states["bad"].failed
    assert states["bad"].failed.kind == "poison"
    assert "segmentation fault" in str(states["bad"].failed)
    assert kind in str(states["bad"].failed)
    assert not states["bad"].done
    assert states["good"].done
    assert states["fine"].done
    tries = [work for _, _, work in cluster.assigned for job in work.jobs if poison in cluster_units(job)]
    assert len(tries) <= POISON + 1, "one death in company at most, then alone"


def test_lanes_are_not_blamed_for_each_other() -> None:
    """A failure of a batch counts against nobody; alone, the guilty one is found and the others go on."""
    schedule = Schedule([title("a"), title("b")], Limits(lanes=2))
    world = Driven(schedule)
    work = together = world.until("chain", lanes=2)
    blamed = Failure("crash", "nan")
    for _ in range(POISON + 5):
        if schedule.titles["a"].over:
            break
        name, work = work
        outcomes = []
        for job in work.jobs:
            bad = any(one.title == "a" for one in work.jobs)
            outcomes.append(
                Outcome(job, () if bad else (Done(job.title, "chain", job.first),), blamed if bad else None)
            )
        world.give(Finished(name, tuple(outcomes)))
        work = world.until("chain", lanes=1)
    assert schedule.titles["a"].failed
    assert not schedule.titles["b"].over
    after = [work for work in world.works if work.kind == "chain" and work.number > together[1].number]
    assert sum([job.title for job in work.jobs] == ["a"] for work in after) == POISON


def test_deaths_of_a_unit_that_then_succeeds_are_forgotten() -> None:
    """Publishing writes playlists for hours: its deaths must not add up."""
    schedule = Schedule([title("a", gops=40, segment=1)], Limits())
    world = Driven(schedule, pace=1.0)
    for _ in range(POISON + 2):
        name, work = world.until("playlist")
        world.give(WorkerLost(name, Failure("crash", "killed")))
        name, work = world.until("playlist")
        world.finish(name, work)
    assert not schedule.titles["a"].over


@pytest.mark.parametrize("role", ["prepare", "chain", "upscale", "publish"])
def test_workers_that_never_start_pause_the_titles_with_the_reason(role: str) -> None:
    cluster = Cluster([title("a"), title("b")], Limits(upscale=3, lanes=2), Random(0))
    cluster.stillborn = {role}  # type: ignore[arg-type]
    cluster.run()
    for state in cluster.schedule.titles.values():
        assert state.paused
        assert "no such library" in str(state.paused)
        assert role in str(state.paused)
    assert cluster.launched[role] == STILLBORN  # type: ignore[index]


def test_a_worker_that_starts_gives_the_others_new_chances() -> None:
    schedule = Schedule([title("a", gops=30)], Limits(upscale=2))
    world = Driven(schedule, answers=False)
    for _ in range(3):
        for _ in range(STILLBORN - 1):
            world.give(WorkerLost(world.launched("chain"), Failure("crash", "flaky")))
        name = world.launched("chain")
        world.give(WorkerReady(name))
        world.give(WorkerLost(name, Failure("preempted", "taken")))
    assert not schedule.titles["a"].over


def test_titles_that_need_no_worker_of_a_role_go_on_without_it() -> None:
    """What is chained already is upscaled, though no chain worker starts."""
    schedule = Schedule([title("chained", 2), title("fresh", 2)], Limits())
    world = Driven(schedule, stillborn={"chain"}, found={"chained": ([0], 2, [])})
    world.run()
    assert schedule.titles["chained"].done
    assert schedule.titles["fresh"].paused


def test_trouble_with_the_store_backs_off_and_then_pauses() -> None:
    schedule = Schedule([title("a"), title("b")], Limits())
    world = Driven(schedule)
    at = []
    while not schedule.titles["a"].over:
        name, work = world.until("conditioning", title="a")
        at.append(world.now)
        world.give(Finished(name, (Outcome(work.jobs[0], (), Failure("infrastructure", "503 slow down")),)))
    waits = [after - before for before, after in pairwise(at)]
    assert len(at) == PATIENCE
    assert all(wait >= 2**number for number, wait in enumerate(waits)), "each wait is twice the one before"
    assert str(schedule.titles["a"].paused) == "503 slow down"
    world.run()
    assert schedule.titles["b"].done


def test_backing_off_does_not_hold_up_others() -> None:
    schedule = Schedule([title("a"), title("b")], Limits())
    world = Driven(schedule)
    name, work = world.until("conditioning", title="a")
    world.give(Finished(name, (Outcome(work.jobs[0], (), Failure("infrastructure", "503")),)))
    before = world.now
    world.until("conditioning", title="b")
    assert world.now - before < 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("upscalers", [1, 3])
def test_a_title_that_no_worker_suits_pauses(seed: int, upscalers: int) -> None:
    random = Random(seed)
    cluster = Cluster([title("a", 9), title("other", 9)], Limits(upscale=upscalers, lanes=2), random)
    cluster.unsuited = {("other", f"upscale-{number}") for number in range(1000)}
    cluster.run()
    assert cluster.schedule.titles["a"].done
    assert str(cluster.schedule.titles["other"].paused) == "begun on another class of machine"


@pytest.mark.parametrize("seed", range(8))
def test_a_title_waits_for_the_worker_that_suits_it(seed: int) -> None:
    """Workers of two classes, some of which die: those that do not suit must not keep out one that does."""
    random = Random(seed)
    faults = Faults(crash=50, preempted=50)
    cluster = Cluster([title("a", 9), title("b", 9)], Limits(upscale=2, chain=2), random, faults)
    every_third = [f"{role}-{number}" for role in ("upscale", "chain") for number in range(1000) if number % 3 == 0]
    cluster.unsuited = {("b", name) for name in every_third}
    cluster.run()
    assert cluster.schedule.titles["a"].done
    state = cluster.schedule.titles["b"]
    assert state.done or str(state.paused) == "begun on another class of machine"


def test_the_only_worker_that_suits_dies() -> None:
    schedule = Schedule([title("a", gops=3, segment=1)], Limits(upscale=2))
    world = Driven(schedule, answers=True)
    first, work = world.until("upscale")
    world.give(Finished(first, (Outcome(work.jobs[0], (), Failure("numerics", "another class")),)))
    second, work = world.until("upscale")
    assert second != first, "another is launched though one is idle"
    world.give(WorkerLost(second, Failure("preempted", "taken")))
    third, work = world.until("upscale")
    assert third not in (first, second)
    world.finish(third, work)
    world.run()
    assert schedule.titles["a"].done


@pytest.mark.parametrize("seed", range(12))
def test_after_a_stop_no_work_is_handed_out(seed: int) -> None:
    random = Random(seed)
    cluster = Cluster(titles_of(random), limits_of(random), random, TROUBLE["all"])
    for _ in range(random.randint(0, 60)):
        cluster.decide()
        if cluster.schedule.finished:
            return
        cluster.step()
    cluster.stop()
    assert cluster.schedule.decide(cluster.now) == []
    cluster.run(most=2000)
    assert not [worker for worker in cluster.workers.values() if worker.work]


def test_a_stop_keeps_its_first_reason() -> None:
    schedule = Schedule([title()], Limits())
    schedule.handle(StopAsked("first"), 0)
    schedule.handle(StopAsked("second"), 1)
    assert schedule.stopping == "first"
    assert schedule.finished


def test_damage_sends_a_title_back_to_a_scan_a_few_times() -> None:
    schedule = Schedule([title("a"), title("b")], Limits())
    world = Driven(schedule)
    visits = []
    while not schedule.titles["a"].over:
        name, work = world.until("conditioning", title="a")
        visits.append(work.jobs[0].visit)
        world.give(Finished(name, (Outcome(work.jobs[0], (), Failure("damaged", "the portrait's copy")),)))
    assert visits == list(range(SCANS + 1)), "workers are told that what they remember may be stale"
    assert str(schedule.titles["a"].failed) == "the portrait's copy"
    assert world.scanned.count("a") == SCANS + 1
    world.run()
    assert schedule.titles["b"].done
    assert world.scanned.count("b") == 1


@pytest.mark.parametrize("progress", [True, False])
def test_damage_that_is_found_here_and_there_is_mended_in_one_run(progress: bool) -> None:
    """Thirty fragments hold other bytes: each is met by the finishing worker alone, and is a unit of its own."""
    schedule = Schedule([title("a", gops=2)], Limits())
    world = Driven(schedule, found={"a": ([0], 2, [0, 1])})
    found = 0
    while found < 30 and not schedule.titles["a"].over:
        name, work = world.until("finish", title="a")
        world.give(Finished(name, (Outcome(work.jobs[0], (), Failure("damaged", "a fragment")),)))
        found += 1
        schedule.titles["a"].note_progress(remade=found if progress else 1)
    assert found == (30 if progress else SCANS + 2)
    assert (schedule.titles["a"].failed is None) == progress


def test_a_scan_waits_for_what_is_in_hand() -> None:
    schedule = Schedule([title("a", gops=8, segment=1)], Limits(upscale=2))
    world = Driven(schedule, found={"a": ([0], 8, [])})
    first, second = world.until("upscale", keep=True), world.until("upscale", keep=True)
    world.give(Finished(first[0], (Outcome(first[1].jobs[0], (), Failure("damaged", "latents")),)))
    assert schedule.decide(world.now) == []
    world.finish(*second)
    assert Scan("a") in schedule.decide(world.now)


def test_a_mistake_of_the_user_is_not_tried_again() -> None:
    schedule = Schedule([title("a"), title("b")], Limits())
    world = Driven(schedule)
    name, work = world.until("sound", title="a")
    world.give(Finished(name, (Outcome(work.jobs[0], (), Failure("user", "not an audio file")),)))
    world.run()
    assert str(schedule.titles["a"].failed) == "not an audio file"
    assert schedule.titles["b"].done
    assert len([work for work in world.works if work.jobs[0] == Job("a", "sound")]) == 1


def test_a_worker_that_fails_different_units_is_replaced() -> None:
    schedule = Schedule([title(f"t{number}", 2) for number in range(6)], Limits())
    world = Driven(schedule)
    bad = None
    for number in range(BAD_WORKER):
        name, work = world.until("chain", title=f"t{number}")
        assert bad in (None, name)
        bad = name
        world.give(Finished(name, (Outcome(work.jobs[0], (), Failure("crash", "bad memory")),)))
    name, work = world.until("chain")
    assert name != bad
    assert Retire(bad, kill=True) in world.commands
    world.finish(name, work)
    world.run()
    assert all(state.done for state in schedule.titles.values())


def test_a_worker_that_was_stopped_by_others_is_replaced() -> None:
    """Else it would be given the same work again and again, and stop each time."""
    schedule = Schedule([title()], Limits())
    world = Driven(schedule)
    name, work = world.until("chain")
    world.give(Finished(name, (Outcome(work.jobs[0], (), Failure("stopped", "node is drained")),)))
    after, _ = world.until("chain")
    assert after != name
    assert Retire(name) in world.commands


def test_a_memory_failure_splits_the_segment() -> None:
    schedule = Schedule([title("a", gops=6, segment=6)], Limits())
    world = Driven(schedule, found={"a": ([0], 6, [])})
    name, work = world.until("upscale")
    assert (work.jobs[0].first, work.jobs[0].count) == (0, 6)
    world.give(WorkerLost(name, Failure("memory", "killed by the kernel")))
    world.run()
    again = [work.jobs[0] for work in world.works if work.kind == "upscale"][1:]
    assert [(job.first, job.count) for job in again] == [(gop, 1) for gop in range(6)]
    assert schedule.titles["a"].done


def upscalers(commands: list) -> list[Launch]:
    return [command for command in commands if isinstance(command, Launch) and command.role == "upscale"]


def test_starts_that_fail_are_tried_one_at_a_time() -> None:
    schedule = Schedule([title("a", gops=40, segment=10)], Limits(upscale=8, upscale_floor=4))
    world = Driven(schedule, found={"a": ([0], 40, [])}, answers=False)
    launches = upscalers(world.decide())
    assert len(launches) == 4
    schedule.handle(WorkerLost(launches[0].worker, Failure("crash", "no such device")), 0)
    assert not upscalers(world.decide()), "three are still starting, and a start has failed"
    for launch in launches[1:]:
        schedule.handle(WorkerLost(launch.worker, Failure("crash", "no such device")), 0)
    assert len(upscalers(world.decide())) == 1, "while starts fail they are tried one at a time"


def test_a_preview_makes_its_gops_only() -> None:
    """The whole title has 20 blocks of features; two GOPs of it need one."""
    work = TitleWork("a", 0, gops=2, blocks=20, segment=10, block_of_gop=(1500, 48), reach=2)
    cluster = Cluster([work], Limits(), Random(1))
    cluster.run()
    assert_all_done(cluster)
    assert {unit for unit in cluster.store if unit[1] in ("chain", "upscale")} == {
        ("a", kind, gop) for kind in ("chain", "upscale") for gop in range(2)
    }
    assert [unit for unit in cluster.store if unit[1] == "features"] == [("a", "features", 0)]


def test_a_preview_of_a_longer_rendered_title_is_only_published() -> None:
    schedule = Schedule([title("a", gops=2)], Limits())
    world = Driven(schedule, found={"a": ([0], 7, list(range(6)))})
    world.run()
    assert [work.kind for work in world.works] == ["finish"]
    assert world.works[0].jobs[0].count == 2


def test_what_is_done_is_left_alone() -> None:
    schedule = Schedule([title("a"), title("b")], Limits())
    world = Driven(schedule, done={"a"})
    world.run()
    assert {job.title for work in world.works for job in work.jobs} == {"b"}
    schedule = Schedule([title("a")], Limits())
    world = Driven(schedule, done={"a"})
    world.run()
    assert world.commands == [Scan("a")], "no worker is launched for a title that is done"


def test_a_resumed_title_goes_on_where_its_records_end() -> None:
    schedule = Schedule([title("a", gops=8, segment=4)], Limits())
    world = Driven(schedule, found={"a": ([0], 5, [0, 1, 3])})
    world.run()
    asked = [job for work in world.works for job in work.jobs]
    assert [job.first for job in asked if job.kind == "chain"] == [5, 6, 7]
    upscaled = sorted(job.first + k for job in asked if job.kind == "upscale" for k in range(job.count))
    assert upscaled == [2, 4, 5, 6, 7]


def test_blocks_of_features_that_a_gop_hears() -> None:
    work = TitleWork("a", 0, gops=100, blocks=4, segment=1, block_of_gop=(1500, 48), reach=2)
    assert [work.blocks_for(gop) for gop in (0, 30, 31, 61, 62, 92, 93, 99)] == [1, 1, 2, 2, 3, 3, 4, 4]
    # GOP 30 ends with frame 1487 and hears up to 1489; GOP 93 with 4511, its last clip hears 4513.
    assert TitleWork("a", 0, 100, 4, 1, (1488, 48), 0).blocks_for(30) == 1
    assert TitleWork("a", 0, 100, 4, 1, (1488, 48), 1).blocks_for(30) == 2


def test_higher_priority_first() -> None:
    schedule = Schedule([title("low", 9), title("high", 3, priority=7)], Limits())
    world = Driven(schedule)
    for kind in ("sound", "chain", "upscale"):
        name, work = world.until(kind)
        assert work.jobs[0].title == "high"
        world.finish(name, work)


class Driven:
    """A schedule whose workers do at once, and rightly, what they are asked, except where a test answers itself."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        answers: bool = True,
        done: set[str] | None = None,
        found: dict[str, tuple[list[int], int, list[int]]] | None = None,
        stillborn: set[str] | None = None,
        pace: float = 0.0,
    ):
        self.schedule, self.now, self.pace = schedule, 0.0, pace  # seconds that a piece of work takes
        self.answers, self.done, self.found, self.stillborn = answers, done or set(), found or {}, stillborn or set()
        self.commands: list = []
        self.works: list = []
        self.scanned: list[str] = []
        self._open: list[tuple[str, object]] = []
        self._launches: list[Launch] = []

    def give(self, event: object) -> None:
        self.schedule.handle(event, self.now)  # type: ignore[arg-type]

    def decide(self) -> list:
        commands = self.schedule.decide(self.now)
        self.commands += commands
        for command in commands:
            match command:
                case Scan(name):
                    self.scanned.append(name)
                    blocks, chained, streamed = self.found.get(name, ([], 0, []))
                    known = name in self.found or name in self.done
                    self.give(Scanned(name, known, known, tuple(blocks), chained, tuple(streamed), name in self.done))
                case Launch(name, role):
                    self._launches.append(command)
                    if self.answers and role in self.stillborn:
                        self.give(WorkerLost(name, Failure("crash", "no such device")))
                    elif self.answers:
                        self.give(WorkerReady(name))
                case Assign(name, work):
                    self.works.append(work)
                    self._open.append((name, work))
        if commands and all(isinstance(command, Scan) for command in commands):
            return commands + self.decide()
        return commands

    def launched(self, role: str) -> str:
        """The next worker of a role that is launched."""
        for _ in range(50):
            for launch in self._launches:
                if launch.role == role:
                    self._launches.remove(launch)
                    return launch.worker
            self.decide()
        raise AssertionError(f"no {role} worker was launched")

    def until(self, kind: str, *, title: str | None = None, lanes: int = 1, keep: bool = False) -> tuple:
        """Go on until work of a kind is handed out, which stays open for the test to answer."""
        for _ in range(2000):
            idle = not self.decide()
            for name, work in self._open:
                if work.kind == kind and title in (None, *(job.title for job in work.jobs)) and len(work.jobs) >= lanes:
                    self._open.remove((name, work))
                    return name, work
            self._answer(idle, leave=kind if keep else None)
        raise AssertionError(f"no {kind} was handed out")

    def finish(self, name: str, work: Work) -> None:
        self.now += self.pace
        self.give(Finished(name, tuple(Outcome(job, tuple(done_of(job))) for job in work.jobs)))

    def run(self) -> None:
        for _ in range(1000):
            idle = not self.decide()
            if self.schedule.finished:
                return
            self._answer(idle)
        raise AssertionError(f"not finished: {self.schedule.titles}")

    def _answer(self, idle: bool, leave: str | None = None) -> None:
        """One worker finishes, or time passes."""
        for name, work in self._open:
            if work.kind != leave:
                self._open.remove((name, work))
                self.finish(name, work)
                return
        if idle:
            self.now += 0.25


def done_of(job: Job) -> list[Done]:
    return [Done(*unit) for unit in cluster_units(job)]  # type: ignore[arg-type]
