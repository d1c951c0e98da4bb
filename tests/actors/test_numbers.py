"""Workers whose networks give what is no number, or whose device is gone."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.chain import ChainWorker
from actors.upscale_faults import made_somehow
from actors.worker import DEAD_DEVICE, Worker, failure_of
from models.families import registry as families
from models.families.finite import NotFinite
from models.parts.chain import Chain
from pipeline.scheduler.work import Job, Outcome, Work
from tests.models.parts.test_lanes import NARROW, prepared


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(families.FAMILIES, "narrow", NARROW)


def broken(monkeypatch: pytest.MonkeyPatch, seat: int, value: float) -> None:
    """From now on the lane of a seat comes out with a number that is none."""
    plain = Chain.next_clip

    def next_clip(self: Chain, lanes: list[Any]) -> list[Any]:
        results = plain(self, lanes)
        if lanes[seat] is not None and lanes[seat].seed > 1000:  # a title's, not one of the self-test of lanes
            results[seat][0][3, 0, 1, 1] = value
        return results

    monkeypatch.setattr(Chain, "next_clip", next_clip)


def chained(tmp_path: Path, titles: dict[str, int]) -> dict[str, Outcome]:
    _, plans = prepared(tmp_path, NARROW, titles)
    jobs = tuple(Job(title, "chain", 0) for title in plans)
    return {one.job.title: one for one in ChainWorker(str(tmp_path / "out")).run(Work(0, "chain", jobs, 2), plans)}


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_title_with_numbers_that_are_none_fails_there_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    broken(monkeypatch, 0, value)
    outcomes = chained(tmp_path, {"a": 33, "b": 33})
    failure = outcomes["a"].failure
    assert failure is not None
    assert failure.cause == "user"  # no further try mends it
    assert "title a: GOP 0, frames 0 to 15: the chain's networks gave NaN or infinite numbers, expected finite" in (
        failure.message
    )
    assert not list((tmp_path / "out/a").glob("chain/*/chain/0*.json"))
    assert outcomes["b"].failure is None
    assert outcomes["b"].done


def test_a_clip_that_was_made_again_stands_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Chain.next_clip

    def next_clip(self: Chain, lanes: list[Any]) -> list[Any]:
        results = plain(self, lanes)
        self.remade = frozenset({0} if lanes[0] is not None and lanes[0].clip == 1 else ())
        return results

    monkeypatch.setattr(Chain, "next_clip", next_clip)
    assert chained(tmp_path, {"a": 33})["a"].done
    (record,) = (tmp_path / "out/a").glob("chain/*/chain/0*.json")
    assert json.loads(record.read_text())["facts"] == {"remade": {"1": "bfloat16"}}


class Narrower:
    """An upscale part whose pictures are not finite, as are those of the wider one, if there is one."""

    def __init__(self, wider: Narrower | None = None, fails: bool = True) -> None:
        self._wider, self.fails = wider, fails

    def wider(self) -> Narrower | None:
        return self._wider


@pytest.mark.parametrize("kind", ["again", "in vain", "nothing wider"])
def test_a_gop_whose_pictures_are_not_finite_is_made_again(tmp_path: Path, kind: str) -> None:
    _, plans = prepared(tmp_path, NARROW, {"a": 33})
    made: list[dict[str, Any]] = []

    def gop(part: Narrower, facts: dict[str, Any]) -> Any:
        if part.fails:
            raise NotFinite("a picture holds NaN or infinite numbers")
        made.append(facts)
        yield from ()

    part = Narrower({"again": Narrower(fails=False), "in vain": Narrower(), "nothing wider": None}[kind])
    if kind == "again":
        list(made_somehow(plans["a"], 0, part, gop, lambda: None))
        assert made == [{"remade": "bfloat16"}]
        return
    with pytest.raises(Exception, match="title a: GOP 0, frames 0 to 32: a picture holds NaN") as raised:
        list(made_somehow(plans["a"], 0, part, gop, lambda: None))
    assert ("in bfloat16 either" in str(raised.value)) is (kind == "in vain")
    assert failure_of(raised.value, Job("a", "upscale")).cause == "user"


class AcceleratorError(RuntimeError):
    pass


class Dying(Worker):
    role = "upscale"

    def work_on(self, job: Job, plan: Any) -> Any:
        raise AcceleratorError("CUDA error: an illegal memory access was encountered")
        yield


@pytest.mark.parametrize(("device", "leaves"), [("cuda", True), ("cpu", False)])
def test_a_worker_without_its_device_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, leaves: bool
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    worker = Dying(str(tmp_path / "out"), device)
    (outcome,) = worker.run(Work(0, "upscale", (Job("a", "upscale"),)), {"a": None})  # type: ignore[dict-item]
    assert codes == ([DEAD_DEVICE] if leaves else [])
    assert outcome.failure is not None  # where the process has not gone


def test_a_long_task_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.worker.BEAT", 0.01)
    worker = Worker(str(tmp_path / "out"))
    with worker.long_task():
        time.sleep(0.2)
        assert worker.news()[0] < 0.15
    silent = worker.news()[0]
    time.sleep(0.1)
    assert worker.news()[0] > silent  # none once it is over


def test_finite_numbers_are_no_fault(tmp_path: Path) -> None:
    from models.families.finite import finite

    assert finite([np.ones(3), np.zeros(2, np.uint16)])
    assert not finite([np.ones(3), np.array([1, np.nan], np.float16)])
