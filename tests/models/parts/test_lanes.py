"""Lanes: a title's bytes do not depend on who sits beside it, in families of hashes and of networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.chain import ChainWorker
from models.families import registry as families
from models.families.config import TextConfig
from models.families.protocol import ClipOptions, Family, Lane
from models.families.registry import FAKE, MINI_FAMILY, load_part
from models.parts.lanes import calibrate, independent
from pipeline.intake.survey import copy_inputs, plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.scheduler.work import Job, Outcome, Work
from pipeline.store.local import LocalStore
from pipeline.titles import scan
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest
from tests.support.tiny_hallo2 import TINY, TINY_FAMILY

# Without a text model, whose vocabulary is a file.
NARROW = replace(
    TINY_FAMILY,
    name="narrow",
    base_sizes=(64,),
    needs_weights=False,
    tree=(),
    networks=replace(TINY, text=TextConfig(embedding_width=12, hidden_width=16)),
)
OPTIONS = ClipOptions(1, 2.0, 64)


@pytest.mark.parametrize("lanes", [2])
def test_networks_do_not_see_their_neighbours(lanes: int) -> None:
    assert independent(load_part(NARROW, "chain", None, "cpu"), OPTIONS, lanes)


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [2, 4])
def test_networks_of_mini_do_not_see_their_neighbours(lanes: int) -> None:
    assert independent(load_part(MINI_FAMILY, "chain", None, "cpu"), ClipOptions(1, 1.0, 128), lanes)


class Leaking:
    """A part in which one lane sees another, or its own place, or nobody, beside a clock that says how fast it is."""

    def __init__(self, leak: str, seconds: dict[int, float] | None = None, memory: int = 99):
        self.part, self.leak, self.seconds, self.memory = load_part(FAKE, "chain", None, "cpu"), leak, seconds, memory
        self.now = 0.0

    def sample(self, seed: int, options: ClipOptions) -> Lane:
        return self.part.sample(seed, options)

    def arithmetic(self, options: ClipOptions, lanes: int) -> dict[str, Any]:
        return {}

    def next_clip(self, lanes: list[Lane | None]) -> list[Any]:
        if len(lanes) > self.memory:
            raise MemoryError
        self.now += (self.seconds or {}).get(len(lanes), 0.0)
        results = self.part.next_clip(lanes)
        if self.leak == "neighbour" and lanes[0] is not None and sum(one is not None for one in lanes) > 1:
            results[0][0][-1] += 1
        if self.leak == "place" and results[-1] is not None:
            results[-1][1]["motion"][0] += 1
        return results


@pytest.mark.parametrize(("leak", "expected"), [("", True), ("neighbour", False), ("place", False)])
def test_the_self_test_finds_a_lane_that_depends_on_others(leak: str, expected: bool) -> None:
    assert independent(Leaking(leak), OPTIONS, 3) is expected


@pytest.mark.parametrize(
    ("seconds", "leak", "memory", "expected"),
    [
        ({1: 1.0, 2: 1.1, 4: 1.5, 8: 3.1}, "", 99, 4),
        ({1: 1.0, 2: 2.0, 4: 2.0}, "", 99, 1),
        ({1: 1.0, 2: 1.1, 4: 1.2, 8: 1.4}, "", 99, 8),
        ({1: 1.0, 2: 1.1, 4: 1.5, 8: 1.6}, "", 5, 4),
        ({1: 1.0, 2: 1.1, 4: 1.5}, "place", 99, 1),
    ],
)
def test_as_many_lanes_as_are_worth_it(seconds: dict[int, float], leak: str, memory: int, expected: int) -> None:
    part = Leaking(leak, seconds, memory)
    assert calibrate(part, OPTIONS, clock=lambda: part.now) == expected


# -- the chain worker ---------------------------------------------------------------------------------------------

LENGTHS = {"a": 100, "b": 50, "c": 17, "d": 200, "e": 145}  # frames: GOPs of 1, 2 and 3 clips at the end


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(families.FAMILIES, "narrow", NARROW)


def prepared(folder: Path, family: Family, lengths: dict[str, int]) -> tuple[LocalStore, dict[str, TitlePlan]]:
    """Titles with conditioning and features in the store, nothing chained."""
    from actors.prepare import PrepareWorker

    manifest = write_manifest(
        folder,
        [{"id": name, "frames": frames} for name, frames in lengths.items()],
        family=family.name,
        steps=1,
        base_size=min(family.base_sizes),
        resolution=512 if family.name == "mini" else 64,
    )
    catalog = load_manifest(manifest, families=families.FAMILIES)
    store = LocalStore(catalog.output)
    seen, problems = survey(catalog, store)
    assert not problems
    worker, plans = PrepareWorker(catalog.output), {}
    for one in seen:
        copy_inputs(store, [one])
        plan = plans[one.title.id] = plan_title(family, one)
        for kind in ("sound", "conditioning", "features"):
            (outcome,) = worker.run(Work(0, kind, (Job(plan.id, kind),)), plans)
            assert outcome.failure is None, outcome
    return store, plans


def bytes_of(folder: Path, title: str) -> dict[str, tuple[str, str]]:
    found = {}
    for path in sorted(folder.glob(f"out/{title}/chain/*/chain/0*.json")):
        record = json.loads(path.read_text())
        found[path.name] = record["objects"]["latents"]["sha256"], record["state"]
    return found


def chain(output: Path, plans: dict[str, TitlePlan], calls: list[list[tuple[str, int]]], lanes: int) -> list[Outcome]:
    worker, outcomes = ChainWorker(str(output)), []
    for number, jobs in enumerate(calls):
        work = Work(number, "chain", tuple(Job(title, "chain", gop) for title, gop in jobs), lanes)
        outcomes += worker.run(work, plans)
    return outcomes


@pytest.mark.parametrize("family", ["fake", pytest.param("narrow", marks=pytest.mark.slow)])
def test_alone_and_with_neighbours_that_come_and_go(tmp_path: Path, narrow: None, family: str) -> None:
    """Lanes of two; the short GOP of one title lets a spare one in, in the middle of a call, two clips out of step."""
    lengths = LENGTHS if family == "fake" else {"a": 64, "b": 17, "c": 33}
    for where in ("alone", "together"):
        (tmp_path / where).mkdir()
    store, plans = prepared(tmp_path / "alone", families.FAMILIES[family], lengths)
    for name, plan in plans.items():
        calls = [[(name, gop)] for gop in range(plan.gops)]
        assert all(one.done for one in chain(tmp_path / "alone" / "out", plans, calls, 2))
    store, plans = prepared(tmp_path / "together", families.FAMILIES[family], lengths)
    calls = (
        [
            [("a", 0), ("c", 0), ("b", 0)],  # c ends after two clips, b begins
            [("b", 0), ("d", 0)],  # a makes room; b goes on with its next GOP in the same call
            [("d", 1), ("b", 1), ("e", 0)],
            [("e", 0), ("a", 1)],
            [("a", 2), ("e", 1), ("d", 2)],
            [("d", 2), ("e", 2)],
            [("d", 3), ("e", 3)],
            [("d", 4)],
        ]
        if family == "fake"
        else [[("a", 0), ("b", 0), ("c", 0)], [("c", 0), ("a", 1)]]
    )
    outcomes = chain(tmp_path / "together" / "out", plans, calls, 2)
    assert not [one for one in outcomes if one.failure]
    assert [one for one in outcomes if not one.done and one.ahead], "a spare title was begun and not finished"
    if family == "fake":
        assert [one for one in outcomes if one.done and one.ahead], "one went on with its next GOP"
    for name, plan in plans.items():
        alone = bytes_of(tmp_path / "alone", name)
        assert len(alone) == plan.gops
        assert bytes_of(tmp_path / "together", name) == alone, name
        assert scan.scan(store, plan).chained == plan.gops
        assert scan.scan(store, plan).lanes == 2


@pytest.mark.slow
def test_mini_alone_and_with_neighbours(tmp_path: Path) -> None:
    lengths = {"a": 64, "b": 17}
    for where in ("alone", "together"):
        (tmp_path / where).mkdir()
    _, plans = prepared(tmp_path / "alone", MINI_FAMILY, lengths)
    alone = [[(name, gop)] for name, plan in plans.items() for gop in range(plan.gops)]
    assert all(one.done for one in chain(tmp_path / "alone" / "out", plans, alone, 2))
    _, plans = prepared(tmp_path / "together", MINI_FAMILY, lengths)
    assert all(one.done for one in chain(tmp_path / "together" / "out", plans, [[("b", 0), ("a", 0)], [("a", 1)]], 2))
    for name in plans:
        assert bytes_of(tmp_path / "together", name) == bytes_of(tmp_path / "alone", name)


def test_a_title_that_another_driver_began_in_other_lanes_is_looked_at_anew(tmp_path: Path) -> None:
    _, plans = prepared(tmp_path, FAKE, {"a": 100})
    output = tmp_path / "out"
    assert chain(output, plans, [[("a", 0)]], 4)[0].done
    (outcome,) = chain(output, plans, [[("a", 1)]], 2)
    assert outcome.failure is not None
    assert outcome.failure.cause == "damaged"
    assert "batches of 4 lanes" in outcome.failure.message
    assert chain(output, plans, [[("a", 1)]], 4)[0].done


def test_a_worker_that_fails_the_test_of_lanes_takes_one_title_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plans = prepared(tmp_path, FAKE, {"a": 100})
    worker = ChainWorker(str(tmp_path / "out"))
    monkeypatch.setattr(worker, "part", lambda plan, part: LeakingNumerics("neighbour"))
    assert worker.ready(plans["a"], 2).lanes == 1
    (outcome,) = worker.run(Work(1, "chain", (Job("a", "chain"),), 2), plans)
    assert outcome.failure is not None
    assert outcome.failure.cause == "numerics"
    assert "not independent" in outcome.failure.message


class LeakingNumerics(Leaking):
    def numerics(self) -> dict[str, Any]:
        return {"device": "a card"}


def test_lanes_are_pinned_or_calibrated_and_stay_with_the_title(tmp_path: Path) -> None:
    """And every worker of the class takes what the first one found."""
    manifest = write_manifest(tmp_path, [60, 70, 80])
    assert render_inline(manifest, "--lanes", "4") == 0
    numerics = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/chain/*/numerics-chain.json")]
    assert numerics == [{"arithmetic": "integer", "lanes": 4, "lane_test": "passed"}] * 3
    record = json.loads(next((tmp_path / "out").glob("title-0/chain/*/chain/0*.json")).read_text())
    assert record["numerics"] == numerics[0]
    for path in (tmp_path / "out").glob("*/chain/*/chain/00000048*.json"):
        path.with_name(path.name + ".void").write_bytes(b"{}")
    for path in (tmp_path / "out").glob("*/stream/*/done/0*.json"):
        path.unlink()
    assert render_inline(manifest, "--lanes", "auto") == 0, "titles that were begun go on in their four lanes"
    assert len(list((tmp_path / "out" / "_lanes").glob("*.json"))) == 1
