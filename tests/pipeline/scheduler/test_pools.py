"""How many workers there are: as many as the work needs, as it was measured, and not for every lull."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scheduler.pools import HOLD, Limits, upscalers_wanted
from pipeline.scheduler.speeds import Speeds
from pipeline.scheduler.work import Ready, Scanned
from tests.pipeline.scheduler.test_shares import title
from tests.support.clusters.timed_cluster import TimedCluster


def test_upscalers_grow_by_one_until_they_are_measured_and_then_as_needed() -> None:
    """Two lanes make a GOP each in 0.6 s, upscaling one takes 3 s: ten keep up."""
    cluster = TimedCluster([title(f"t{n}", 400) for n in range(2)], Limits(lanes=2, upscale=32), upscale=3.0)
    cluster.run(until=120)
    growth = [(when, count) for when, role, count in cluster.workers if role == "upscale"]
    print("upscalers:", ", ".join(f"{count} at {when:.1f} s" for when, count in growth))
    assert [count for when, count in growth if when < 8.6] == [1, 2], "one more, until they have been measured"
    assert 10 <= growth[-1][1] <= 14
    assert cluster.of("upscale") >= 10


def test_no_more_than_the_ceiling_and_no_fewer_than_the_floor() -> None:
    limits = Limits(lanes=2, upscale=4, upscale_floor=3)
    cluster = TimedCluster([title(f"t{n}", 100) for n in range(2)], limits, upscale=3.0)
    cluster.run()
    counts = [count for _, role, count in cluster.workers if role == "upscale"]
    assert counts[:3] == [1, 2, 3]
    assert max(counts) == 4
    first = [when for when, role, _ in cluster.workers if role == "upscale"][:3]
    assert first == [0.0, 0.0, 0.0]


def test_upscalers_stay_through_a_lull_and_leave_when_it_lasts() -> None:
    """At first there is a backlog, then a slow chain that needs one of them."""
    found = {"old": Scanned("old", True, True, (0,), 200, (), False)}
    cluster = TimedCluster(
        [title("old", 200), title("new", 60)], Limits(upscale=8), chain=5.0, upscale=2.0, found=found
    )
    cluster.run(until=60)
    most = cluster.of("upscale")
    assert most >= 4
    last = max(end for _, end, _, work in cluster.calls if work.jobs[0].title == "old" and work.kind == "upscale")
    cluster.run(until=last + HOLD - 2)
    assert cluster.of("upscale") >= most, "a lull"
    cluster.run(until=last + 2 * HOLD + 10)
    assert cluster.of("upscale") == 1


def test_chain_workers_follow_the_titles_that_need_lanes() -> None:
    """Five titles in lanes of two: three workers; as titles end they go, and upscalers get their devices."""
    titles = [title(f"t{n}", 40 * (n + 1)) for n in range(5)]
    cluster = TimedCluster(titles, Limits(chain=8, lanes=2, upscale=1, upscale_after=9), upscale=1.0)
    cluster.run(until=20)
    assert cluster.of("chain") == 3
    assert cluster.of("upscale") <= 1 + 8 - 3
    cluster.run(until=110)
    assert cluster.of("chain") == 1
    cluster.run()
    assert len(cluster.done) == 5


def test_nothing_is_launched_for_a_catalog_that_is_done() -> None:
    found = {"a": Scanned("a", True, True, (0,), 5, tuple(range(5)), True)}
    cluster = TimedCluster([title("a", 5)], Limits(upscale_floor=4, chain_floor=2, upscale=4), found=found)
    cluster.run()
    assert cluster.workers == []


def test_the_fastest_of_idle_workers_gets_what_comes_first() -> None:
    """Two classes of device in one cluster: the long title ends up where it is done soonest."""

    def slower(name: str) -> float:
        return 3.0 if name == "chain-1" else 1.0

    titles = [title("long", 200), *(title(f"t{n}", 20) for n in range(4))]
    cluster = TimedCluster(
        titles,
        Limits(chain=2, upscale=4),
        device=lambda name: Ready("old card" if name == "chain-1" else "new card"),
        slower=slower,
    )
    cluster.run()
    speeds = cluster.schedule.speeds
    assert speeds.seconds("chain", "old card") == pytest.approx(1.8)
    assert speeds.seconds("chain", "new card") == pytest.approx(0.6)


def test_speeds_are_kept_by_class_and_follow_the_newest() -> None:
    speeds = Speeds()
    assert speeds.seconds("chain") is None
    speeds.note("chain", "a", 10.0, 5)
    speeds.note("chain", "b", 10.0, 1)
    assert speeds.seconds("chain", "a") == 2.0
    assert speeds.seconds("chain", "new") == speeds.seconds("chain") == 6.0
    assert speeds.seconds("upscale", "a") is None
    for _ in range(50):
        speeds.note("chain", "a", 1.0, 1)
    assert speeds.seconds("chain", "a") == pytest.approx(1.0, abs=0.01)
    speeds.note("chain", "a", 1.0, 0)


@given(st.integers(0, 50), st.integers(0, 5000), st.floats(0, 100), st.none() | st.floats(0.01, 100), st.booleans())
def test_upscalers_wanted(have: int, backlog: int, arriving: float, seconds: float | None, busy: bool) -> None:
    wanted = upscalers_wanted(have, 0 if busy else 1, 0, backlog, arriving, seconds)
    if seconds is None:
        assert wanted in (have, have + 1)
        assert wanted == have or busy
        return
    assert wanted >= min(arriving * seconds, backlog + arriving * seconds) - 1e-6, "they keep up"
    assert wanted <= arriving * seconds + backlog + 1, "never more than there is to do"
    assert wanted <= upscalers_wanted(have, 0, 0, backlog + 1, arriving, seconds)
    assert wanted <= upscalers_wanted(have, 0, 0, backlog, arriving + 1, seconds)
