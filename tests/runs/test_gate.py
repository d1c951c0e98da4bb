"""A GOP that is outside of the family's limits: found there, sampled again or begun anew, the same whoever makes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.chain import ChainWorker
from models.families import registry
from models.families.fake import Chain
from models.families.protocol import Family, Lane
from pipeline import api, status, verify
from pipeline.intake.survey import plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.scheduler.work import Job, Outcome, Work
from pipeline.store.local import LocalStore
from pipeline.store.record import seed_state_hash
from pipeline.titles.gate_choice import without_gate
from pipeline.titles.title_plan import TitlePlan, hashes_of
from tests.conftest import render_inline, write_manifest, write_portrait
from tests.models.parts.test_lanes import prepared

FAKE = registry.FAMILIES["fake"]
FRAMES = 5 * 48 - 20
FROM_PORTRAIT = 4  # the try of a new start
Spoil = Callable[[np.ndarray], np.ndarray]
FAULTS: dict[str, Spoil] = {
    "black": np.zeros_like,
    "frozen": lambda latents: latents[:1].repeat(len(latents), 0),
    "faded": lambda latents: latents // 8 + 30000,
    "noise": lambda latents: np.where(latents > 32767, 65535, 0).astype(latents.dtype),
}


def fault_at(
    patch: pytest.MonkeyPatch, tries: Mapping[int, int], spoil: Spoil = np.zeros_like, seeds: set[int] | None = None
) -> None:
    """From now on the first `tries[gop]` tries of a GOP come out spoilt, with its state, in titles of those seeds."""
    plain = Chain._clip

    def clip(self: Chain, lane: Lane) -> Any:
        latents, state = plain(self, lane)
        if lane.attempt < tries.get(lane.clip // 3, 0) and (seeds is None or lane.seed in seeds):
            return spoil(latents), {"motion": spoil(state["motion"])}
        return latents, state

    patch.setattr(Chain, "_clip", clip)


def records(output: Path, title: str = "title-0") -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(output.glob(f"{title}/chain/*/chain/0*.json"))]


def told(record: dict[str, Any]) -> tuple[Any, ...]:
    """What must be the same whoever makes it."""
    kept = ("first", "frames", "parent", "state", "uses", "numerics", "facts")
    return *(record[name] for name in kept), {name: one["sha256"] for name, one in record["objects"].items()}


def rendered(folder: Path, *more: str, **options: object) -> list[dict[str, Any]]:
    manifest = write_manifest(folder, [FRAMES], **options)
    assert render_inline(manifest, *more) == 0
    assert verify.run([str(manifest), "--planes"]) == 0
    return records(folder / "out")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_at_its_gop_and_sampled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plain = rendered(tmp_path / "plain")
    assert all("refused" not in one["facts"]["gate"] for one in plain)
    fault_at(monkeypatch, {2: 2}, FAULTS[kind])
    found = rendered(tmp_path / "faulty")
    assert [len(one["facts"]["gate"].get("refused", ())) for one in found] == [0, 0, 2, 0, 0]
    assert found[2]["parent"] == found[1]["state"]
    assert [told(one) for one in found[:2]] == [told(one) for one in plain[:2]]
    assert found[2]["objects"]["latents"]["sha256"] != plain[2]["objects"]["latents"]["sha256"]  # other noise
    assert all("outside" not in one["facts"]["gate"] and "new_start" not in one["facts"]["gate"] for one in found)
    gate = json.loads((tmp_path / "faulty/out/title-0/report.json").read_text())["stages"]["chain"]["gate"]
    assert (gate["looked"], gate["sampled_again"], gate["begun_anew"], gate["outside"]) == (5, 2, 0, 0)
    assert gate["seconds"] > 0


def test_what_no_try_mends_begins_anew_and_everything_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault_at(monkeypatch, {2: FROM_PORTRAIT})
    found = rendered(tmp_path)
    assert len(found[2]["facts"]["gate"]["refused"]) == FROM_PORTRAIT
    assert found[2]["facts"]["gate"]["new_start"] == found[1]["state"]
    seed = json.loads((tmp_path / "out/title-0/report.json").read_text())["seed"]
    assert found[2]["parent"] == seed_state_hash(found[2]["uses"]["conditioning"], seed) != found[1]["state"]
    assert found[2]["parent"] == found[0]["parent"]
    assert found[3]["parent"] == found[2]["state"]
    output = tmp_path / "out"
    gate = json.loads((output / "title-0/report.json").read_text())["stages"]["chain"]["gate"]
    assert (gate["sampled_again"], gate["begun_anew"], gate["begun_anew_at"]) == (4, 1, [96])
    assert json.loads((output / "title-0/page.json").read_text())["timeline"]["gate"]["begun_anew_at"] == [96]
    capsys.readouterr()
    assert verify.run([str(output)]) == 0  # without the manifest, too
    assert [(one.state, one.chained) for one in api.status(str(output)).titles] == [("done", 5)]
    before = contents(output)
    assert render_inline(tmp_path / "manifest.yaml") == 0
    assert contents(output) == before


def contents(output: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in output.glob("*/*/*/*/*.json")}


def test_a_new_start_after_another_gop_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault_at(monkeypatch, {2: FROM_PORTRAIT})
    rendered(tmp_path)
    (path,) = (tmp_path / "out").glob("title-0/chain/*/chain/00000096.0.json")
    record = json.loads(path.read_text())
    record["facts"]["gate"]["new_start"] = "0" * 64
    path.write_text(json.dumps(record))
    for name in (tmp_path / "out").glob("title-0/chain/*/chain/fold-*"):
        name.unlink()
    assert verify.run([str(tmp_path / "out")]) == 1


def test_what_nothing_helps_is_committed_and_costs_no_more_than_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GOPs 0 to 2 are outside whatever is tried; GOP 3 is as it should be; GOP 4 is spoilt once."""
    fault_at(monkeypatch, {0: 9, 1: 9, 2: 9, 4: 1})
    gates = [one["facts"]["gate"] for one in rendered(tmp_path)]
    assert [len(one.get("refused", ())) for one in gates] == [3, 0, 0, 0, 1]
    assert ["outside" in one for one in gates] == [True, True, True, False, False]
    assert not any("new_start" in one for one in gates)  # GOP 0 begins from the portrait as it is
    gate = json.loads((tmp_path / "out/title-0/report.json").read_text())["stages"]["chain"]["gate"]
    assert gate["outside_at"] == [0, 48, 96]


# -- workers ------------------------------------------------------------------------------------------------------


def chained(
    output: Path, plans: dict[str, TitlePlan], lanes: int, new_worker_after: int = 99, calls: int = 60
) -> list[Outcome]:
    """GOP after GOP of all titles, by a worker that another one replaces every so many calls."""
    outcomes: list[Outcome] = []
    done = dict.fromkeys(plans, 0)
    worker = ChainWorker(str(output))
    for call in range(calls):
        jobs = tuple(Job(name, "chain", done[name]) for name, plan in plans.items() if done[name] < plan.gops)
        if not jobs:
            return outcomes
        if call % new_worker_after == 0:
            worker = ChainWorker(str(output))
        for outcome in worker.run(Work(0, "chain", jobs[:lanes], lanes), plans):
            assert outcome.failure is None, outcome.failure
            done[outcome.job.title] += len(outcome.done)
            outcomes.append(outcome)
    raise AssertionError(f"not done in {calls} calls: {done}")


TITLES = {"a": 220, "b": 130, "c": 145}


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> None:
    fault_at(monkeypatch, {1: 2, 2: FROM_PORTRAIT})


@pytest.mark.parametrize(("lanes", "new_worker_after"), [(2, 99), (3, 99), (2, 5), (1, 7)])
def test_decisions_are_the_same_whoever_makes_them(
    tmp_path: Path, spoilt: None, lanes: int, new_worker_after: int
) -> None:
    """In other lanes, with other neighbours, by workers that follow each other in the middle of a GOP's tries."""
    found = []
    for name, places in (("one", (2, 99)), ("other", (lanes, new_worker_after))):
        _, plans = prepared(tmp_path / name, FAKE, TITLES)
        chained(tmp_path / name / "out", plans, *places)
        found.append([[told(one) for one in records(tmp_path / name / "out", title)] for title in TITLES])
    if lanes == 2:
        assert found[0] == found[1]
    else:  # lanes are part of the numerics class
        without = [[[(*one[:5], *one[6:]) for one in title] for title in side] for side in found]
        assert without[0] == without[1]
    assert [len(one["facts"]["gate"].get("refused", ())) for one in records(tmp_path / "one/out", "a")] == [
        0, 2, 4, 0, 0,
    ]  # fmt: skip


def test_the_other_lanes_do_not_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, plans = prepared(tmp_path / "plain", FAKE, TITLES)
    chained(tmp_path / "plain/out", plans, 2)
    seed = plans["b"].seed
    fault_at(monkeypatch, {1: 2, 2: FROM_PORTRAIT}, seeds={seed})
    _, plans = prepared(tmp_path / "faulty", FAKE, TITLES)
    chained(tmp_path / "faulty/out", plans, 2)
    for title in ("a", "c"):
        plain, faulty = (records(tmp_path / name / "out", title) for name in ("plain", "faulty"))
        assert [told(one) for one in faulty] == [told(one) for one in plain]


def test_numbers_that_are_none_are_sampled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault_at(monkeypatch, {1: 2}, lambda latents: np.full(latents.shape, np.nan, np.float32))
    _, plans = prepared(tmp_path, FAKE, {"a": 220})
    chained(tmp_path / "out", plans, 1)
    gate = records(tmp_path / "out", "a")[1]["facts"]["gate"]
    assert gate["refused"] == [{"finite": 0.0}] * 2


# -- hashes, and what was there before ----------------------------------------------------------------------------


def planned(folder: Path, title: dict[str, Any] | int = FRAMES, **options: object) -> TitlePlan:
    catalog = load_manifest(write_manifest(folder, [title], **options), families=registry.FAMILIES)
    seen, problems = survey(catalog, LocalStore(catalog.output))
    assert not problems
    return plan_title(registry.FAMILIES[catalog.family], seen[0])


def gateless(patch: pytest.MonkeyPatch) -> None:
    """As it was before there were gates: no family has one."""
    patch.setitem(registry.FAMILIES, "fake", replace(FAKE, gate=None))


@pytest.mark.parametrize("options", [{}, {"crf": 30, "scenes": 1, "burn_captions": True}])
def test_off_gives_the_hashes_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    on, off = planned(tmp_path / "on", **options), planned(tmp_path / "off", gate="off", **options)
    assert hashes_of(on) == on.hashes
    assert on.gate == FAKE.gate.identity() if FAKE.gate else False
    assert off.gate == ""
    assert off.hashes == without_gate(on).hashes
    assert on.hashes.sound == off.hashes.sound
    names = ("chain", "picture", "stream", "file")
    assert all(getattr(on.hashes, name) != getattr(off.hashes, name) for name in names)
    gateless(monkeypatch)
    assert planned(tmp_path / "before", **options).hashes == off.hashes


def test_other_limits_are_another_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(tmp_path / "before")
    assert FAKE.gate
    other: Family = replace(FAKE, gate=replace(FAKE.gate, limits=FAKE.gate.limits[:1]))
    monkeypatch.setitem(registry.FAMILIES, "fake", other)
    after = planned(tmp_path / "after")
    assert before.hashes.chain != after.hashes.chain
    assert without_gate(before).hashes == without_gate(after).hashes


@pytest.mark.parametrize("left", ["a preview", "all", "no note"])
def test_what_was_begun_without_a_gate_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    manifest, output = write_manifest(tmp_path, [FRAMES]), tmp_path / "out"
    with monkeypatch.context() as patch:
        gateless(patch)
        assert render_inline(manifest, *([] if left == "all" else ["--preview", "3"])) == 0
    if left == "no note":
        for path in output.glob("title-0/stream/*/plan.json"):
            path.unlink()
    before = {path: path.read_bytes() for path in output.glob("title-0/*/*/*/0*.json")}
    assert render_inline(manifest) == 0
    after = {path: path.read_bytes() for path in output.glob("title-0/*/*/*/0*.json")}
    assert {path: after[path] for path in before} == before
    assert all("gate" not in one["facts"] for one in records(output))
    assert len(list(output.glob("title-0/chain/*"))) == len(list(output.glob("title-0/stream/*"))) == 1
    assert verify.run([str(manifest)]) == 0
    capsys.readouterr()
    assert status.run([str(manifest), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["titles"]
    assert (one["state"], one["file"]) == ("done", "current")
    if left == "all":
        assert after == before
        assert render_inline(manifest, "--renew") == 0  # asked for anew it has a gate
        assert len(list(output.glob("title-0/chain/*"))) == 2
        assert verify.run([str(manifest)]) == 0


def test_a_changed_wish_about_pictures_keeps_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a gate as before: latents that are there are used."""
    with monkeypatch.context() as patch:
        gateless(patch)
        assert render_inline(write_manifest(tmp_path, [FRAMES])) == 0
    assert render_inline(write_manifest(tmp_path, [FRAMES], crf=33)) == 0
    assert len(list((tmp_path / "out").glob("title-0/chain/*"))) == 1
    assert len(list((tmp_path / "out").glob("title-0/stream/*"))) == 2


RETAKE = {"from": "0:00:20", "to": "0:00:23", "seed": 7}


def test_hashes_follow_from_a_plan_with_all_that_a_title_can_say(tmp_path: Path) -> None:
    """What plans gain later must be handed on here, too: else what was begun would be taken for something else."""
    write_portrait(tmp_path / "other.png", seed=4)
    chapters = [{"at": 0, "title": "x"}, {"at": 32, "title": "y", "portrait": "other.png"}]
    more = {"chapters": chapters, "retakes": [RETAKE], "seed": 3, "prompts": [{"at": 2, "text": "smiling"}]}
    plan = planned(tmp_path, {"id": "a", "frames": 1700, **more}, scenes="chapters", marks="on")
    assert plan.retakes
    assert plan.speakers
    assert hashes_of(plan) == plan.hashes
    assert hashes_of(replace(plan, retakes=())) == plan.untaken
    assert (
        without_gate(without_gate(plan))
        == without_gate(plan)
        == replace(
            planned(tmp_path, {"id": "a", "frames": 1700, **more}, scenes="chapters", marks="on", gate="off"),
            options=plan.options,
        )
    )


@pytest.mark.parametrize("scenes", ["one", 1])
def test_a_retake_of_what_was_made_without_a_gate_is_made_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenes: object
) -> None:
    title: dict[str, Any] = {"id": "title-0", "frames": 1205}
    with monkeypatch.context() as patch:
        gateless(patch)
        assert render_inline(write_manifest(tmp_path, [title], scenes=scenes)) == 0
    before = set((tmp_path / "out").glob("title-0/chain/*/chain/0*.json"))
    manifest = write_manifest(tmp_path, [title | {"retakes": [RETAKE]}], scenes=scenes)
    assert render_inline(manifest) == 0
    assert verify.run([str(manifest)]) == 0
    after = set((tmp_path / "out").glob("title-0/chain/*/chain/0*.json"))
    assert before < after
    assert len(after - before) <= 8  # the retake's
    assert all("gate" not in one["facts"] for one in records(tmp_path / "out"))


def test_a_family_without_a_gate_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateless(monkeypatch)
    assert render_inline(write_manifest(tmp_path, [20], gate="off")) == 0
    assert render_inline(write_manifest(tmp_path, [20], gate="on")) == 2


def test_the_film_is_the_same_after_a_crash_in_the_middle_of_the_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_at(monkeypatch, {1: 2, 3: FROM_PORTRAIT})
    plain = [told(one) for one in rendered(tmp_path / "plain")]
    manifest, output = write_manifest(tmp_path / "cut", [FRAMES]), tmp_path / "cut/out"
    for clip, attempt in ((4, 1), (10, 2), (11, 4)):
        with monkeypatch.context() as patch:
            spoilt = Chain._clip

            def clip_of(self: Chain, lane: Lane, at: Any = (clip, attempt), spoilt: Any = spoilt) -> Any:
                if (lane.clip, lane.attempt) == at:
                    raise KeyboardInterrupt  # ends the inline driver as a signal does
                return spoilt(self, lane)

            patch.setattr(Chain, "_clip", clip_of)
            with suppress(KeyboardInterrupt):
                render_inline(manifest)
    assert 0 < len(records(output)) < 5
    assert render_inline(manifest) == 0
    assert [told(one) for one in records(output)] == plain
