"""What is found damaged is made again, with the same frames, and nothing that still fits is made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import scan, verify
from pipeline.store_local import LocalStore
from tests.conftest import Rendered
from tests.damage import edit_record, flip, only


def records(output: Path) -> dict[str, dict[str, Any]]:
    """Stage and first frame → the record that counts."""
    found = {}
    for path in sorted(output.glob("*/*/**/0*.json")):
        if path.parent.name != "objects" and not path.with_name(path.name + ".void").exists():
            record = json.loads(path.read_text())
            found[f"{record['stage']} {record['first']}"] = record
    return found


class Output:
    """A rendered title whose `done` record is gone, so that a render looks at all the rest."""

    def __init__(self, rendered: Rendered):
        self.rendered, self.folder = rendered, rendered.output
        self.path("done 0").unlink()
        self.before = records(self.folder)

    def path(self, name: str) -> Path:
        stage, first = name.split()
        pattern = f"*/sound/*/{int(first):08d}.*.json" if stage == "sound" else f"*/*/*/{stage}/{int(first):08d}.*.json"
        return only(self.folder, pattern)

    def object(self, name: str, of: str) -> Path:
        return self.folder / self.before[name]["objects"][of]["key"]

    def remade(self) -> set[str]:
        """Render, check everything, and say what was made anew."""
        assert self.rendered.render() == 0
        after = records(self.folder)
        assert after.keys() == self.before.keys() | {"done 0"}
        for name, record in self.before.items():
            if name.startswith("stream"):
                assert after[name]["facts"]["planes"] == record["facts"]["planes"], "the frames are the same"
            if name.startswith("chain"):
                assert after[name]["state"] == record["state"]
        assert verify.run([str(self.rendered.manifest)]) == 0
        return {name for name, record in self.before.items() if after[name]["attempt"] != record["attempt"]}


@pytest.fixture
def output(rendered: Rendered) -> Output:
    return Output(rendered)


def test_nothing_is_remade_without_damage(output: Output) -> None:
    assert output.remade() == set()


@pytest.mark.parametrize(
    "name",
    [
        "sound 0",
        "conditioning 0",
        "features 0",
        "chain 0",
        "chain 48",
        "chain 96",
        "stream 0",
        "stream 48",
        "stream 96",
    ],
)
@pytest.mark.parametrize("how", ["garbled", "void"])
def test_a_record_that_is_lost_costs_that_one_alone(output: Output, name: str, how: str) -> None:
    """What follows it was made of the very same bytes, so it stays."""
    path = output.path(name)
    if how == "garbled":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.with_name(path.name + ".void").write_bytes(b"{}")
    assert output.remade() == {name}


def damaged_latents(output: Output) -> None:
    flip(output.object("chain 48", "latents"))
    output.path("stream 48").unlink()


def lost_state(output: Output) -> None:
    output.object("chain 48", "state").unlink()
    output.path("chain 96").unlink()


def damaged_features(output: Output) -> None:
    flip(output.object("features 0", "features"))
    output.path("chain 96").unlink()


def damaged_conditioning(output: Output) -> None:
    flip(output.object("conditioning 0", "arrays"))
    output.path("chain 96").unlink()


def damaged_speech(output: Output) -> None:
    flip(output.object("sound 0", "speech.pcm" if "speech.pcm" in output.before["sound 0"]["objects"] else "speech"))
    output.path("features 0").unlink()


def damaged_fragment(output: Output) -> None:
    flip(output.object("stream 48", "fragment"))


def lost_track(output: Output) -> None:
    output.object("sound 0", "track").unlink()


@pytest.mark.parametrize(
    ("damage", "again"),
    [
        (damaged_latents, {"chain 48", "stream 48"}),
        (lost_state, {"chain 48", "chain 96"}),
        (damaged_features, {"features 0", "chain 96"}),
        (damaged_conditioning, {"conditioning 0", "chain 96"}),
        (damaged_speech, {"sound 0", "features 0"}),
        (damaged_fragment, {"stream 48"}),
        (lost_track, {"sound 0"}),
    ],
)
def test_a_damaged_object_is_found_when_it_is_used(
    output: Output, damage: Callable[[Output], None], again: set[str]
) -> None:
    damage(output)
    assert output.remade() == again


def test_a_chain_spliced_from_two_histories_is_cut(output: Output) -> None:
    """A GOP that names another parent does not count, nor does what was made of it."""
    edit_record(output.path("chain 48"), parent="0" * 64)
    seen = scan.scan(LocalStore(str(output.folder)), plan_of(output))
    assert (seen.chained, seen.streamed) == (1, (0,))
    assert output.remade() == {"chain 48"}


def test_fragments_of_other_latents_are_made_again(output: Output) -> None:
    record = output.before["stream 48"]
    edit_record(output.path("stream 48"), uses=record["uses"] | {"latents/48": "0" * 64})
    assert output.remade() == {"stream 48"}


def test_a_scan_writes_nothing_where_it_may_not(output: Output) -> None:
    files = {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")}
    scan.scan(LocalStore(str(output.folder)), plan_of(output), mend=False)
    assert {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")} == files


def plan_of(output: Output) -> Any:
    from models.families import FAMILIES
    from pipeline.intake import plan_title, survey
    from pipeline.manifest import load_manifest

    catalog = load_manifest(str(output.rendered.manifest), families=FAMILIES)
    (seen,), problems = survey(catalog, LocalStore(str(output.folder)))
    assert not problems
    return plan_title(FAMILIES[catalog.family], seen)
