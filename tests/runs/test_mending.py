"""What is found damaged is made again, with the same frames, and nothing that still fits is made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.chain import ChainWorker
from actors.upscale import UpscaleWorker
from pipeline import verify
from pipeline.scheduler.work import Job, Work
from pipeline.store.arrays import pack, unpack
from pipeline.store.digests import sha256
from pipeline.store.local import LocalStore
from pipeline.titles import scan
from tests.conftest import Rendered
from tests.support.damage import edit_record, flip, only, replace_object


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


RECORDS = ("sound 0", "conditioning 0", "features 0", "chain 0", "chain 48", "chain 96", "stream 0", "stream 96")


@pytest.mark.parametrize(
    ("name", "how"),
    [*((name, "garbled") for name in RECORDS), ("conditioning 0", "void"), ("chain 0", "void"), ("stream 48", "void")],
)
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


def another(output: Output, name: str, of: str) -> str:
    """Put other arrays in the place of an object, as if it had been made again with another result; their sha256."""
    record = output.path(name)
    arrays = unpack(output.object(name, of).read_bytes(), name)
    data = pack({key: array + 1 for key, array in arrays.items()})
    replace_object(output.folder, record, of, data)
    if of == "state":
        edit_record(record, state=sha256(data))
    return sha256(data)


def test_a_chain_worker_forgets_its_state_when_the_store_was_looked_at_anew(output: Output) -> None:
    """Else the GOP that another worker made again would be followed by one that starts from the old."""
    for name in ("chain 48", "chain 96"):
        output.path(name).unlink()
    worker, plan = ChainWorker(str(output.folder)), plan_of(output)
    worker.run(Work(1, "chain", (Job("reading", "chain", 1),)), {"reading": plan})
    output.before["chain 48"] = json.loads(output.path("chain 48").read_text())
    state = another(output, "chain 48", "state")
    worker.run(Work(2, "chain", (Job("reading", "chain", 2, visit=1),)), {"reading": plan})
    assert json.loads(output.path("chain 96").read_text())["parent"] == state


def test_an_upscaler_forgets_latents_when_the_store_was_looked_at_anew(output: Output) -> None:
    output.path("stream 0").unlink()
    output.path("stream 48").unlink()
    worker, plan = UpscaleWorker(str(output.folder)), plan_of(output)
    worker.run(Work(1, "upscale", (Job("reading", "upscale", 0),)), {"reading": plan})
    latents = another(output, "chain 0", "latents")
    worker.run(Work(2, "upscale", (Job("reading", "upscale", 1, visit=1),)), {"reading": plan})
    record = json.loads(output.path("stream 48").read_text())
    assert record["uses"]["latents/0"] == latents
    assert record["facts"]["planes"] != output.before["stream 48"]["facts"]["planes"], "base frames were kept"


def plan_of(output: Output) -> Any:
    from models.families.registry import FAMILIES
    from pipeline.intake.survey import plan_title, survey
    from pipeline.manifest.catalog import load_manifest

    catalog = load_manifest(str(output.rendered.manifest), families=FAMILIES)
    (seen,), problems = survey(catalog, LocalStore(str(output.folder)))
    assert not problems
    return plan_title(FAMILIES[catalog.family], seen)
