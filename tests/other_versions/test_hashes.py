"""Plans of commit eea74a0: today's code gives each of them the same hashes, so what was rendered under them counts.

A hash changes only where the output changes. Who raises a revision on purpose writes its former value into `RAISED`:
then all else of those plans stays compared.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from models.families.registry import FAMILIES
from pipeline.intake.survey import plan_title, survey
from pipeline.intake.weight_intake import Weights
from pipeline.manifest.catalog import load_manifest
from pipeline.media import encode, ffmpeg
from pipeline.provenance import watermark
from pipeline.store.opening import open_store
from pipeline.titles.title_plan import TitlePlan

HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = json.loads((HERE / "hashes.json").read_text())
RAISED: dict[str, dict[str, int]] = {}  # by family: {"mini": {"chain_revision": 5}} once it is 6


@pytest.fixture(autouse=True)
def same_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs enter hashes by their names; here they have those that the plans were made with."""
    monkeypatch.setattr(ffmpeg, "version", lambda: EXPECTED["builds"]["ffmpeg"])
    monkeypatch.setattr(encode, "_build", lambda codec: EXPECTED["builds"][codec])
    monkeypatch.delenv(watermark.KEY, raising=False)


ENCODED_OTHERWISE = {"part-1", "part-2"}
# Of several sound files without tags: each is a chapter now, named by its file, which the finished file says.
IN_CHAPTERS = {"joined", "film", "book-and-more", "from-table-too"}


def told(plan: TitlePlan, names: dict[str, Any]) -> dict[str, Any]:
    """What `names` has of a plan."""
    more = {
        "payload": plan.marks.payload,
        "hashes": asdict(plan.hashes),
        "places": {stage: plan.prefix(stage) for stage in names["places"]},
    }
    return {name: more[name] if name in more else getattr(plan, name) for name in names}


def planned(name: str, output: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """What today's code plans for the family's titles."""
    family = replace(FAMILIES[name], gate=None, **RAISED.get(name, {}))  # there were no gates then
    catalog = load_manifest(HERE / f"plans-{name}.yaml", families=FAMILIES, output=str(output))
    seen, problems = survey(catalog, open_store(str(output)))
    assert not problems
    assert [one.title.id for one in seen] == list(expected)
    plans = [plan_title(family, one, Weights(hash=EXPECTED["weights"][name])) for one in seen]
    return {plan.id: told(plan, expected[plan.id]) for plan in plans}


def changed(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, list[str]]:
    """What is no longer as it was, by title; but for the stream of HEVC at 64 pixels, which gave other bits at every
    render: it is encoded otherwise now; and for the file of titles that have chapters now."""
    for title in ENCODED_OTHERWISE & expected.keys():
        for name in ("stream", "file"):
            assert found[title]["hashes"].pop(name) != expected[title]["hashes"].pop(name)
        for stage in ("stream", "done"):
            found[title]["places"].pop(stage), expected[title]["places"].pop(stage)
    for title in IN_CHAPTERS & expected.keys():
        assert found[title]["hashes"].pop("file") != expected[title]["hashes"].pop("file")
    names = {title: [name for name in was if found[title][name] != was[name]] for title, was in expected.items()}
    return {title: differing for title, differing in names.items() if differing}


@pytest.mark.parametrize("name", EXPECTED["plans"])
def test_plans_have_the_hashes_that_they_had(tmp_path: Path, name: str) -> None:
    expected = EXPECTED["plans"][name]
    assert changed(planned(name, tmp_path, expected), deepcopy(expected)) == {}


def test_plans_with_a_key_of_the_operators_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(watermark.KEY, EXPECTED["own_key"])
    expected = EXPECTED["with_own_key"]
    assert changed(planned("fake", tmp_path, expected), deepcopy(expected)) == {}


def test_they_are_thirty_and_ask_for_different_things() -> None:
    """But for one, all of whose options change nothing: it has the hashes of another."""
    hashes = {
        (family, title): plan["hashes"]
        for family, all_of in EXPECTED["plans"].items()
        for title, plan in all_of.items()
    }
    assert hashes.pop(("fake", "nothing-changes")) == hashes["fake", "seeded"]
    assert len(hashes) >= 30
    assert len({one["file"] for one in hashes.values()}) == len(hashes)
