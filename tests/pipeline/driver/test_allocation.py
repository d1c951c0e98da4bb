"""How a cluster is divided between the roles, and that a chain's device goes to the upscalers only once it is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from models.families.registry import FAMILIES
from pipeline.core.errors import SetupError
from pipeline.driver.allocation import allocate, check_chain_devices
from pipeline.forecast.call_times import CallTimes
from pipeline.forecast.cluster_spec import read_cluster
from pipeline.forecast.forecast import limits_of
from pipeline.forecast.simulate import Title, simulate
from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Done, Finished, Job, Launch, Outcome, Progress, Scanned, WorkerReady

MINI = FAMILIES["mini"]


@pytest.mark.parametrize(
    ("cpus", "gpus", "chain", "upscale", "after"),
    [(1, 0, 1, 1, 1), (2, 0, 1, 2, 2), (4, 0, 1, 4, 4), (16, 0, 1, 15, 16), (8, 1, 1, 1, 1), (32, 4, 1, 3, 4)],
)
def test_workers_fit_the_cluster(cpus: int, gpus: int, chain: int, upscale: int, after: int) -> None:
    allocation = allocate(cpus, gpus, MINI, None, None)
    limits = allocation.limits
    assert (limits.chain, limits.upscale, limits.upscale_after) == (chain, upscale, after)
    for kind, total in (("cpus", cpus), ("gpus", gpus)):
        shares = {role: getattr(share, kind) for role, share in allocation.shares.items()}
        used = shares["prepare"] + shares["publish"] + chain * shares["chain"] + upscale * shares["upscale"]
        assert used <= total
        assert after * shares["upscale"] <= total


def test_what_is_asked_for_by_number_fits_the_cores() -> None:
    allocation = allocate(2, 0, MINI, None, 3)
    assert allocation.limits.upscale == 3
    assert allocation.shares["chain"].cpus + 3 * allocation.shares["upscale"].cpus <= 2


def test_the_chains_device_is_handed_on_when_the_chain_is_over() -> None:
    limits = Limits(upscale=1, upscale_after=2)
    schedule = Schedule([TitleWork("one", 0, gops=4, blocks=1, segment=10)], limits)
    scanned = Scanned("one", True, True, (0,), 0, (), False)

    def launched(*events: object) -> list[str]:
        for event in events:
            schedule.handle(event, 0.0)  # type: ignore[arg-type]
        commands = [*schedule.decide(0.0), *schedule.decide(0.0)]
        return [command.role for command in commands if isinstance(command, Launch)]

    schedule.decide(0.0)
    assert sorted(launched(scanned)) == ["chain", "publish", "upscale"]
    names = {worker.role: name for name, worker in schedule.workers.items()}
    ready = [WorkerReady(name) for name in names.values()]
    done = Progress(tuple(Done("one", "chain", gop) for gop in range(4)))
    assert "upscale" not in launched(*ready)
    assert launched(done) == []  # the chain worker has not answered yet
    outcome = Outcome(Job("one", "chain", 3))
    assert launched(Finished(names["chain"], (outcome,))) == ["upscale"]


@pytest.mark.parametrize(("gpus", "chain", "upscale"), [(3, 1, 1), (4, 1, 2), (8, 2, 4)])
def test_a_chain_worker_for_two_halves_has_two_devices(gpus: int, chain: int, upscale: int) -> None:
    allocation = allocate(32, gpus, FAMILIES["hallo2"], None, None, titles=8, halves=2)
    assert allocation.shares["chain"].gpus == 2
    assert (allocation.limits.chain, allocation.limits.upscale) == (chain, upscale)
    assert 2 * chain + upscale <= gpus
    assert allocation.limits.of("upscale", chains=chain - 1) == upscale + 2  # what it leaves
    assert allocate(32, gpus, FAMILIES["hallo2"], 100, None, titles=8, halves=2).limits.chain == (gpus - 1) // 2


def test_workers_ask_for_the_disk_of_the_largest_title() -> None:
    """Where machines say what they have; as many work at once as have room."""
    wide = allocate(0, 24, MINI, 4, 20, titles=100, plain=64, scratch=1440, largest=5 << 30)
    assert (wide.limits.prepare, wide.limits.publish, wide.shares["publish"].scratch) == (48, 16, 5)
    narrow = allocate(0, 24, MINI, 4, 20, titles=100, plain=64, scratch=1440, largest=(71 << 30) + 1)
    assert (narrow.limits.prepare, narrow.limits.publish, narrow.shares["prepare"].scratch) == (15, 5, 72)
    silent = allocate(0, 24, MINI, 4, 20, titles=100, plain=64, largest=72 << 30)
    assert (silent.limits.prepare, silent.shares["prepare"].scratch) == (48, 0)
    alone = allocate(8, 1, MINI, None, None, scratch=100, largest=72 << 30)
    assert alone.shares["prepare"].scratch == 0, "on a machine with an accelerator nothing is asked for"
    assert wide.shares["chain"].scratch == wide.shares["upscale"].scratch == 0


def test_devices_for_the_halves_that_are_not_there_are_named() -> None:
    check_chain_devices(1, gpus=0)
    check_chain_devices(2, gpus=3, machine=2)
    with pytest.raises(SetupError, match=r"guidance_devices: value 2: 1 accelerator here, expected 3 .*leave"):
        check_chain_devices(2, gpus=1)
    with pytest.raises(SetupError, match=r"value 2: the largest machine has 1 accelerator, expected 2 on one"):
        check_chain_devices(2, gpus=8, machine=1)


def test_the_shipped_cluster_begins_empty_and_has_workers_for_all_roles() -> None:
    """The simulator and a run divide the same cluster in the same way."""
    spec = read_cluster("cluster/spec.yaml")
    job = yaml.safe_load(Path("cluster/rayjob.yaml").read_text())["spec"]["entrypoint"].split()
    asked = {name: int(job[job.index(f"--{name}") + 1]) for name in ("gpus", "chains", "upscalers", "cores", "scratch")}
    rest = {"titles": 1000, "lanes": 1, "plain": asked["cores"], "scratch": asked["scratch"], "largest": 20 << 30}
    allocation = allocate(0, asked["gpus"], MINI, asked["chains"], asked["upscalers"], **rest)
    simulated = limits_of(spec, MINI, 1000, 1, 20 << 30)
    for role in ("prepare", "chain", "upscale", "publish"):
        assert getattr(allocation.limits, role) == getattr(simulated, role), role
    assert (allocation.limits.prepare, allocation.limits.publish) == (48, 16)
    assert allocation.shares["prepare"].cpus == allocation.shares["publish"].cpus == 1


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_titles_of_ten_hours_do_not_wait_for_preparing_or_publishing(count: int) -> None:
    """Chains, which are sequential inside a title, are busy from first to last."""
    times = CallTimes(seconds_per_clip=4.0, seconds_per_gop=2.0)
    work = TitleWork("t", 0, 18_750, 600, 10, block_of_gop=(1500, 48))
    titles = [Title(replace(work, id=f"t{number}"), 56_250, times) for number in range(count)]
    limits = limits_of(read_cluster("cluster/spec.yaml"), MINI, count, 1)
    run = simulate(titles, limits)
    assert not run.unfinished
    assert run.busy("chain") > 0.95 * limits.chain * run.makespan
