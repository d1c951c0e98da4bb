"""Who gets the workers: priority, deadlines, shares, the longest first. On a virtual clock, figures printed."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scheduler.fair_queue import FairShares, TitleQueue
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Ready, Scanned
from tests.support.clusters.timed_cluster import TimedCluster


def title(name: str, gops: int, owner: str = "", **more: object) -> TitleWork:
    values = {"priority": 0, "blocks": 1, "segment": 10, "block_of_gop": (1_000_000, 48)} | more
    return TitleWork(id=name, gops=gops, owner=owner, **values)  # type: ignore[arg-type]


def chained_by(cluster: TimedCluster, owner: str, when: float) -> int:
    return sum(sum(at <= when for at in cluster.chained[title.id]) for title in cluster.titles if title.owner == owner)


@pytest.mark.parametrize(("share", "part"), [(1.0, 0.5), (3.0, 0.25), (0.25, 0.8)])
def test_owners_get_lanes_in_proportion_to_their_shares(share: float, part: float) -> None:
    """One has a hundred titles and came first, the other has four. `share` is that of the first."""
    many = [title(f"a{n:03}", 100, "many", share=share) for n in range(100)]
    few = [title(f"b{n}", 200, "few") for n in range(4)]
    cluster = TimedCluster([*many, *few], Limits(chain=2, lanes=2, upscale=4))
    cluster.run(until=100)
    mine, all_of_it = chained_by(cluster, "few", 100), sum(map(len, cluster.chained.values()))
    print(f"shares {share:g} : 1 over 100 s: {all_of_it - mine} and {mine} GOPs, {mine / all_of_it:.0%} for {part:.0%}")
    assert mine / all_of_it == pytest.approx(part, abs=0.06)


def test_nobody_starves_though_the_others_titles_are_longer() -> None:
    titles = [title(f"long{n}", 500, "big") for n in range(20)] + [title("short", 5, "small")]
    cluster = TimedCluster(titles, Limits(chain=1, lanes=1, upscale=2))
    cluster.run(until=60)
    print(f"the only title of the small owner: done after {cluster.done['short']:.0f} s of some 6000")
    assert cluster.done["short"] < 30


def test_who_was_away_has_no_claim_on_what_was_done_meanwhile() -> None:
    fair = FairShares({"a": 1.0, "b": 1.0})
    fair.come("a")
    fair.charge("a", 1000)
    fair.come("b")
    assert fair.had("b") == 1000
    fair.charge("b", 10)
    fair.go("b")
    fair.come("b")
    assert fair.had("b") == 1010, "nor does leaving wipe out what one had"


def test_an_urgent_title_is_done_in_time_and_costs_the_others_little() -> None:
    others = [title(f"t{n}", 60) for n in range(12)]

    def run(due: float | None) -> TimedCluster:
        cluster = TimedCluster([*others, title("news", 40, due=due)], Limits(chain=1, lanes=2, upscale=3))
        cluster.run()
        return cluster

    without, hurried = run(None), run(150.0)
    print(
        f"due at 150 s: done at {hurried.done['news']:.0f} s instead of {without.done['news']:.0f} s, "
        f"the catalog at {max(hurried.done.values()):.0f} s instead of {max(without.done.values()):.0f} s"
    )
    assert without.done["news"] > 150 >= hurried.done["news"]
    assert max(hurried.done.values()) < max(without.done.values()) * 1.03
    first = hurried.chained["news"][0]
    assert first > 10, "a deadline that is far away changes nothing"
    steps = {round(after - before, 6) for before, after in pairwise(hurried.chained["news"])}
    assert steps == {0.6}, "once it is urgent nothing displaces it"


def test_deadlines_of_several_titles_are_met_in_their_order() -> None:
    titles = [title(f"t{n}", 30, due=130.0 + 20 * n) for n in (2, 0, 3, 1)]
    cluster = TimedCluster([*titles, title("x", 400)], Limits(chain=1, lanes=1, upscale=2))
    cluster.run()
    for work in titles:
        print(f"{work.id}: due {work.due:.0f} s, done {cluster.done[work.id]:.0f} s")
        assert work.due is not None
        assert cluster.done[work.id] <= work.due


def test_priority_goes_before_everything() -> None:
    titles = [title(f"t{n}", 200, "a", due=100.0) for n in range(4)] + [title("first", 20, "b", priority=1)]
    cluster = TimedCluster(titles, Limits(chain=1, lanes=2, upscale=4))
    cluster.run()
    print(
        f"higher priority: done at {cluster.done['first']:.0f} s, the next at {sorted(cluster.done.values())[1]:.0f} s"
    )
    assert cluster.chained["first"][0] == pytest.approx(5.6)
    assert cluster.chained["first"][-1] == pytest.approx(5 + 20 * 0.6)


def test_a_title_that_comes_late_displaces_at_the_edge_of_a_gop() -> None:
    """Its inputs took long to prepare; what it displaces goes on later, nothing of it is made twice."""
    found = {"late": Scanned("late", True, True, (), 0, (), False)}
    titles = [title("early0", 60), title("early1", 70), title("late", 50, priority=5)]
    cluster = TimedCluster(titles, Limits(chain=1, lanes=2, upscale=4), found=found)
    cluster.run()
    assert all(len(times) == work.gops for work, times in zip(titles, cluster.chained.values(), strict=True))
    assert cluster.chained["late"][-1] < cluster.chained["early0"][-1]
    gaps = [after - before for before, after in pairwise(cluster.chained["early0"])]
    assert max(gaps) > 25, "it made room for all of the late one"


def test_titles_stay_in_their_lanes() -> None:
    """Equal titles would otherwise take turns, and every turn reads a state from the store."""
    titles = [title(f"t{n}", 50) for n in range(6)]
    cluster = TimedCluster(titles, Limits(chain=2, lanes=1, upscale=4))
    cluster.run()
    seats = [(work.jobs[0].title, worker) for _, _, worker, work in cluster.calls if work.kind == "chain"]
    switches = sum(
        before != after
        for name in {worker for _, worker in seats}
        for before, after in pairwise(title for title, worker in seats if worker == name)
    )
    print(f"six equal titles on two workers: {switches} changes of 300 GOPs")
    assert switches <= 12, "a title makes room for one of which twice as much is left"


def test_the_longest_decides_when_all_is_done() -> None:
    """Lengths as catalogs have them: within 3 % of the bound, which no order can beat."""
    for seed in range(3):
        random = Random(seed)
        titles = [title(f"t{n}", max(1, round(random.lognormvariate(2.9, 1.0)))) for n in range(40)]
        cluster = TimedCluster(titles, Limits(chain=2, lanes=2, upscale=6, upscale_floor=6), start=0.0)
        spent = cluster.run()
        chain = sum(work.gops for work in titles) * 0.6 / 4
        bound = max(chain, max(work.gops for work in titles) * 0.6) + 0.3
        print(f"seed {seed}: {spent:.1f} s, bound {bound:.1f} s, {spent / bound - 1:.1%} above")
        assert spent <= bound * 1.03


def test_upscaling_drains_so_that_the_nearest_to_its_end_is_published_first() -> None:
    found = {
        f"t{n}": Scanned(f"t{n}", True, True, (0,), 40, tuple(range(done)), False) for n, done in enumerate((0, 30, 20))
    }
    cluster = TimedCluster([title(f"t{n}", 40) for n in range(3)], Limits(upscale=2, upscale_floor=2), found=found)
    cluster.run()
    assert sorted(cluster.done, key=lambda name: cluster.done[name]) == ["t1", "t2", "t0"]


def test_upscalers_are_shared_between_owners_too() -> None:
    """After a restart all is chained: the many nearly finished titles of one must not keep the other waiting."""
    titles = [title(f"a{n:02}", 20, "many") for n in range(30)] + [title("b", 100, "few")]
    found = {
        work.id: Scanned(work.id, True, True, (0,), work.gops, tuple(range(work.gops // 2)), False) for work in titles
    }
    cluster = TimedCluster(titles, Limits(upscale=2, upscale_floor=2), found=found)
    cluster.run()
    print(f"of {max(cluster.done.values()):.0f} s: few done at {cluster.done['b']:.0f} s")
    assert cluster.done["b"] < max(cluster.done.values()) * 0.65


def test_a_title_keeps_the_shape_of_batch_that_it_was_begun_in() -> None:
    """Two titles were begun in batches of four; the worker's own are of two. They never share a call."""
    found = {f"old{n}": Scanned(f"old{n}", True, True, (0,), 5, (), False, lanes=4) for n in range(2)}
    titles = [title(f"old{n}", 20) for n in range(2)] + [title(f"new{n}", 30) for n in range(3)]
    cluster = TimedCluster(titles, Limits(lanes=2, upscale=2), found=found, device=lambda name: Ready("gpu", 2))
    cluster.run()
    for _, _, _, work in cluster.calls:
        if work.kind == "chain":
            assert work.lanes == (4 if work.jobs[0].title.startswith("old") else 2)
            assert len({job.title.startswith("old") for job in work.jobs}) == 1
    assert len(cluster.done) == 5


def test_a_spare_title_rides_along_where_another_ends_in_the_middle_of_a_call() -> None:
    titles = [title("a", 10, last_clips=1), title("b", 30), title("c", 8)]
    cluster = TimedCluster(titles, Limits(lanes=2, upscale=2))
    cluster.run()
    with_spare = [work for _, _, _, work in cluster.calls if work.kind == "chain" and len(work.jobs) > work.lanes]
    assert [[job.title for job in work.jobs] for work in with_spare] == [["b", "a", "c"]]
    assert with_spare[0].jobs[1].first == 9
    assert all(len(cluster.chained[work.id]) == work.gops for work in titles)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("xyz"), st.integers(0, 5)), min_size=1, max_size=12),
    st.data(),
)
def test_a_line_is_in_order_whatever_comes_and_goes(places: list[tuple[int, str, int]], data: st.DataObject) -> None:
    line, fair = TitleQueue(), FairShares(dict.fromkeys("xyz", 1.0))
    for owner in "xyz":
        fair.charge(owner, data.draw(st.integers(0, 3)))
    for number, (rank, owner, key) in enumerate(places):
        line.put(str(number), (9,), owner, (key,))
        line.put(str(number), (rank,), owner, (key,))
    gone = data.draw(st.sets(st.integers(0, len(places) - 1)))
    for number in gone:
        line.remove(str(number))
        line.remove(str(number))
    left = [number for number in range(len(places)) if number not in gone]
    expected = sorted(left, key=lambda n: (places[n][0], fair.had(places[n][1]), places[n][1], places[n][2], str(n)))
    assert list(line.best(fair)) == [str(number) for number in expected]
    assert len(line) == len(left)
