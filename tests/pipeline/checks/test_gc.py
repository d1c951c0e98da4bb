"""`longtake gc` removes what nothing needs, shows it first, and never touches what a record vouches for."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline import gc, verify
from pipeline.checks import garbage, shared
from pipeline.core.errors import MissingObject, StoreError
from pipeline.store import ledger as ledgers
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.opening import open_store
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Names, Store
from pipeline.titles.title_folders import TitleFolders
from tests.conftest import Rendered, render_inline, write_portrait
from tests.support.crashes import leave_half
from tests.support.damage import snapshot
from tests.support.s3 import S3Server

FOUND = TitleFolders("t", chain="t/chain/c", stream="t/stream/s", frames=144)
LONG_AGO = 3 * garbage.OLD


class Clocked(Store):
    """Objects in a dict, with the time of a clock that a test turns."""

    def __init__(self) -> None:
        super().__init__("clocked")
        self.now, self.kept = 0.0, dict[str, tuple[bytes, float]]()

    def get(self, key: str) -> bytes:
        if key not in self.kept:
            raise MissingObject(key)
        return self.kept[key][0]

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return self.get(key)[start:stop]

    def put(self, key: str, data: bytes) -> None:
        self.kept[key] = data, self.now

    def create(self, key: str, data: bytes) -> bool:
        if key in self.kept:
            return False
        self.put(key, data)
        return True

    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def get_file(self, key: str, path: Path) -> None:
        path.write_bytes(self.get(key))

    def exists(self, key: str) -> bool:
        return key in self.kept

    def size(self, key: str) -> int:
        return len(self.get(key))

    def modified(self, key: str) -> float:
        self.get(key)
        return self.kept[key][1]

    def list(self, prefix: str) -> Names:
        return sorted(key for key in self.kept if key.rpartition("/")[0] == prefix)

    def folders(self, prefix: str) -> Names:
        start = f"{prefix}/" if prefix else ""
        rest = {key.removeprefix(start) for key in self.kept if key.startswith(start)}
        return sorted({name.partition("/")[0] for name in rest if "/" in name})

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


class Histories(RuleBasedStateMachine):
    """Writers of several drivers, held up for any time between any two steps, beside a collector that is as slow."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Clocked()
        self.plain_clock, ledgers.clock = ledgers.clock, lambda: self.store.now
        self.attempts: list[tuple[Ledger, Record]] = []
        self.to_remove: list[garbage.Garbage] = []

    def teardown(self) -> None:
        ledgers.clock = self.plain_clock

    def ledger(self, stage: str) -> Ledger:
        return Ledger(self.store, FOUND.prefix(stage))

    @rule(stage=st.sampled_from(["chain", "stream"]), gop=st.integers(0, 2))
    def put_objects(self, stage: str, gop: int) -> None:
        ledger, attempt = self.ledger(stage), new_attempt()
        objects = {name: ledger.stage_object(gop * 48, attempt, name, attempt.encode()) for name in ("a", "b")}
        record = Record(stage, "t", "p", gop * 48, 48, attempt, objects)
        self.attempts.append((ledger, record))

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        ledger, record = self.attempts.pop(data.draw(st.integers(0, len(self.attempts) - 1)))
        with suppress(StoreError):  # it was held up for too long
            ledger.commit(record)

    @rule(stage=st.sampled_from(["chain", "stream"]), gop=st.integers(0, 2))
    def void(self, stage: str, gop: int) -> None:
        if record := self.ledger(stage).read(gop * 48):
            self.ledger(stage).void(record, "a test says so")

    @rule(seconds=st.sampled_from([1.0, 600.0, ledgers.ATTEMPT_LIFE, garbage.OLD + 1]))
    def wait(self, seconds: float) -> None:
        self.store.now += seconds

    @rule()
    def look_for_garbage(self) -> None:
        self.to_remove += garbage.attempts(self.store, FOUND, self.store.now)

    @precondition(lambda self: self.to_remove)
    @rule(data=st.data())
    def remove_one(self, data: st.DataObject) -> None:
        garbage.remove(self.store, self.to_remove.pop(data.draw(st.integers(0, len(self.to_remove) - 1))))

    @invariant()
    def what_counts_is_there(self) -> None:
        for stage in ("chain", "stream"):
            for gop in range(3):
                record = self.ledger(stage).read(gop * 48)
                for name in record.objects if record else ():
                    assert self.ledger(stage).load(record, name) == record.attempt.encode()


def test_an_attempt_that_was_held_up_for_long_does_not_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Clocked()
    monkeypatch.setattr(ledgers, "clock", lambda: store.now)
    ledger, attempt = Ledger(store, FOUND.prefix("chain")), new_attempt()
    objects = {"a": ledger.stage_object(0, attempt, "a", b"x")}
    store.now += ledgers.ATTEMPT_LIFE + 1
    with pytest.raises(StoreError, match=r"chain at frame 0 was held up for over 1 h .*made again"):
        ledger.commit(Record("chain", "t", "p", 0, 48, attempt, objects))
    assert ledger.read(0) is None


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase


def age(folder: Path) -> None:
    """Everything in a folder was written long ago."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - LONG_AGO,) * 2)


def orphan(output: Path, stage: str = "stream") -> Path:
    """An object of an attempt that never committed."""
    (folder,) = output.glob(f"*/*/*/{stage}/objects")
    path = folder / f"{48:08d}-{new_attempt()}-fragment.m4s"
    path.write_bytes(b"never committed")
    return path


def test_shows_first_then_removes(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = orphan(rendered.output), str(rendered.output)
    (half := path.with_name("." + "0" * 32)).write_bytes(b"half")
    age(rendered.output)
    before = snapshot(rendered.output)
    assert gc.run([output]) == 0
    said = capsys.readouterr().out
    assert "reading: 1 objects, 15 bytes: attempts that no record names" in said
    assert "2 objects, 19 bytes could be removed; nothing was" in said
    assert snapshot(rendered.output) == before
    assert gc.run([str(rendered.manifest), "--delete", "--list"]) == 0
    assert path.name in capsys.readouterr().out
    assert not path.exists()
    assert not half.exists()
    assert before.keys() - snapshot(rendered.output).keys() == {
        str(one.relative_to(rendered.output)) for one in (path, half)
    }
    assert verify.run([output]) == 0
    assert gc.run([output]) == 0
    assert "Nothing to remove." in capsys.readouterr().out


def test_young_attempts_stay(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    """They may be of a driver that is about to commit them."""
    path = orphan(rendered.output)
    assert gc.run([str(rendered.output), "--delete"]) == 0
    assert "Nothing to remove." in capsys.readouterr().out
    assert path.exists()


def test_what_was_voided_goes(rendered: Rendered) -> None:
    (record,) = rendered.output.glob("*/stream/*/stream/00000048.0.json")
    old = Path(json.loads(record.read_text())["objects"]["fragment"]["key"])
    record.with_name(record.name + ".void").write_bytes(b"{}")
    (done,) = rendered.output.glob("*/stream/*/done/*.json")
    done.with_name(done.name + ".void").write_bytes(b"{}")
    assert rendered.render() == 0
    age(rendered.output)
    assert (rendered.output / old).exists()
    assert gc.run([str(rendered.output), "--delete"]) == 0
    assert not (rendered.output / old).exists()
    assert verify.run([str(rendered.output)]) == 0


@pytest.mark.parametrize("keep", ["final+hls", "final"])
def test_keep_changed_afterwards(rendered: Rendered, keep: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = rendered.manifest.read_text()
    rendered.manifest.write_text(text.replace("defaults:\n", f"defaults:\n  keep: {keep}\n"))
    final = (rendered.output / "reading/final.mp4").read_bytes()
    assert gc.run([str(rendered.manifest)]) == 0
    assert "what keep lets go" in capsys.readouterr().out
    assert list(rendered.output.glob("*/chain/*/chain/objects/*"))
    assert gc.run([str(rendered.manifest), "--delete"]) == 0
    assert not list(rendered.output.glob("*/chain/*/chain/objects/*"))
    assert bool(list(rendered.output.glob("*/stream/*/stream/objects/*"))) == (keep == "final+hls")
    assert (rendered.output / "reading/hls/index.m3u8").exists() == (keep == "final+hls")
    assert (rendered.output / "reading/final.mp4").read_bytes() == final
    capsys.readouterr()
    assert verify.run([str(rendered.manifest)]) == 0, capsys.readouterr()
    assert rendered.render() == 0
    assert gc.run([str(rendered.output)]) == 0
    assert "Nothing to remove." in capsys.readouterr().out


def test_a_chain_that_another_stream_still_needs_stays(rendered: Rendered) -> None:
    """The same chain, upscaled to another size as well: begun, and not finished."""
    text = rendered.manifest.read_text()
    rendered.manifest.write_text(text.replace("resolution: 64", "resolution: 128"))
    assert rendered.render("--preview", "2") == 0
    rendered.manifest.write_text(text.replace("defaults:\n", "defaults:\n  keep: final\n"))
    assert gc.run([str(rendered.manifest), "--delete"]) == 0
    assert list(rendered.output.glob("*/chain/*/chain/objects/*"))
    rendered.manifest.write_text(text.replace("resolution: 64", "resolution: 128"))
    assert rendered.render() == 0


@pytest.mark.slow
def test_on_s3(rendered: Rendered, s3: S3Server, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    output = s3.url()
    assert render_inline(rendered.manifest, "--output", output) == 0
    store = open_store(output)
    (stream,) = store.folders("reading/stream")
    key = f"reading/stream/{stream}/stream/objects/{48:08d}-{new_attempt()}-fragment.m4s"
    store.put(key, b"never committed")
    leave_half(store, f"reading/stream/{stream}/stream/objects/half")
    assert gc.run([output, "--delete"]) == 0
    assert "Nothing to remove" in capsys.readouterr().out
    monkeypatch.setattr(garbage, "OLD", -10.0)
    assert gc.run([output, "--delete"]) == 0
    assert "2 objects, 15 bytes removed" in capsys.readouterr().out
    assert not store.exists(key)
    assert not list(store.unfinished())
    assert verify.run([output]) == 0


def test_the_loud_track_and_every_playlist_go_with_the_sound(rendered: Rendered) -> None:
    text = rendered.manifest.read_text()
    rendered.manifest.write_text(text.replace("defaults:\n", "defaults:\n  loudness: -16\n"))
    assert rendered.render() == 0
    (lists,) = rendered.output.glob("reading/hls/*/video.m3u8")
    for name in ("video-64", "captions"):  # as of a rendition, and of a title with captions
        lists.with_name(f"{name}.m3u8").write_bytes(lists.read_bytes())
    rendered.manifest.write_text(text.replace("defaults:\n", "defaults:\n  keep: final\n  loudness: -16\n"))
    assert gc.run([str(rendered.manifest), "--delete"]) == 0
    assert not list(rendered.output.glob("reading/loudness/*/objects/*"))
    assert not list(rendered.output.glob("reading/sound/*/objects/*"))
    assert not list(rendered.output.glob("reading/hls/**/*.m3u8"))
    assert rendered.render() == 0


def plans(output: Path) -> dict[str, int]:
    return {kind: len(list(output.glob(f"reading/{kind}/*"))) for kind in ("sound", "chain", "stream")}


def test_plans_that_the_manifest_names_no_more(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    text = rendered.manifest.read_text()
    rendered.manifest.write_text(text.replace("- ", "- seed: 5\n  ", 1))
    age(rendered.output)
    manifest, output = str(rendered.manifest), rendered.output
    assert rendered.render("--preview", "2") == 0
    both = {"sound": 1, "chain": 2, "stream": 2}
    assert gc.run([manifest, "--delete", "--abandoned", "0.1"]) == 0
    assert plans(output) == both, "people still see the former stream"
    assert rendered.render() == 0
    assert gc.run([manifest, "--delete"]) == 0
    assert plans(output) == both
    assert gc.run([manifest, "--delete", "--abandoned", "7"]) == 0
    assert plans(output) == both, "it may be of a run a few hours ago"
    capsys.readouterr()
    assert gc.run([manifest, "--delete", "--abandoned", "0.1"]) == 0
    assert garbage.ABANDONED in capsys.readouterr().out
    assert len({path.parent for path in output.glob("reading/chain/*/chain/*.json")}) == 1
    assert len({path.parent for path in output.glob("reading/stream/*/stream/objects/*")}) == 1
    assert verify.run([manifest]) == 0
    assert rendered.render() == 0
    rendered.manifest.write_text(text)
    assert rendered.render() == 0, "what was removed is rendered again when it is named again"


def inputs(output: Path) -> set[str]:
    return {path.name for path in output.glob("_inputs/*")}


def test_inputs_that_no_title_names_any_more(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, output = str(rendered.manifest), rendered.output
    before = inputs(output)
    (output / "_inputs" / f"{'0' * 64}.doubt").write_text("host")
    (output / "_inputs" / ("1" * 64)).write_text("of a title that was removed by hand")
    (output / "another").mkdir()
    (output / "another" / "inputs.json").write_text(json.dumps({"files": [{"sha256": "2" * 64}]}))
    (output / "_inputs" / ("2" * 64)).write_text("of another manifest's title")
    (portrait,) = rendered.manifest.parent.glob("*.png")
    write_portrait(portrait, seed=9)
    assert rendered.render() == 0
    new = inputs(output) - before - {"0" * 64 + ".doubt", "1" * 64, "2" * 64}
    assert gc.run([manifest, "--delete", "--abandoned", "0"]) == 0
    assert before <= inputs(output), "young"
    age(output)
    assert gc.run([manifest, "--delete", "--abandoned", "7"]) == 0
    assert before <= inputs(output), "copied a day ago"
    capsys.readouterr()
    assert gc.run([manifest, "--abandoned", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "output: 3 objects" in said
    assert shared.INPUT in said
    assert gc.run([manifest, "--delete", "--abandoned", "0.1"]) == 0
    kept = inputs(output)
    assert len(before - kept) == 1, "the former portrait"
    assert kept == (before & kept) | new | {"2" * 64}
    assert not list(output.glob("_portraits/*"))
    assert rendered.render() == 0
    assert verify.run([manifest]) == 0


def test_no_input_goes_where_an_inputs_record_cannot_be_read(rendered: Rendered) -> None:
    stray = rendered.output / "_inputs" / ("1" * 64)
    stray.write_text("of nobody")
    other = rendered.output / "another" / "inputs.json"
    other.parent.mkdir()
    other.write_bytes(b" " * ((16 << 20) + 1))
    age(rendered.output)
    assert gc.run([str(rendered.manifest), "--delete", "--abandoned", "0.1"]) == 0
    assert stray.exists()
    other.unlink()
    assert gc.run([str(rendered.manifest), "--delete", "--abandoned", "0.1", "--only", "reading"]) == 0
    assert stray.exists(), "one title was asked for, and others share it"
    assert gc.run([str(rendered.manifest), "--delete", "--abandoned", "0.1"]) == 0
    assert not stray.exists()


def test_abandoned_plans_are_known_by_a_manifest_only(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    assert gc.run([str(rendered.output), "--abandoned", "1"]) == 2
    assert "give a manifest" in capsys.readouterr().err


def test_reports_of_runs_long_ago(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MOST_RUNS", 3)
    runs = rendered.output / "_runs"
    for day in range(1, 8):
        (runs / f"2026010{day}T000000Z-aaaaaaaa.json").write_text('{"titles": {}}')
    assert gc.run([str(rendered.output), "--delete"]) == 0
    assert len(list(runs.glob("2026*.json"))) >= 7, "they are young"
    age(runs)
    assert gc.run([str(rendered.output), "--delete"]) == 0
    assert len(list(runs.glob("*.json"))) == 3


def test_checkpoints_out_of_date_go_and_current_ones_stay() -> None:
    store = Clocked()
    ledger = Ledger(store, FOUND.prefix("chain"))
    for gop in range(256):
        objects = {"latents": ledger.stage_object(gop * 48, attempt := new_attempt(), "latents", b"x")}
        ledger.commit(Record("chain", "t", "p", gop * 48, 48, attempt, objects))
    assert len(list(StageView(store, ledger.prefix, checkpoint=True).records())) == 256
    record = ledger.read(48)
    assert record is not None
    ledger.void(record, "for this test")
    attempt = new_attempt()
    objects = {"latents": ledger.stage_object(48, attempt, "latents", b"y")}
    ledger.commit(Record("chain", "t", "p", 48, 48, attempt, objects))
    assert len(list(StageView(store, ledger.prefix, checkpoint=True).records())) == 256
    folds = sorted(key for key in store.list(ledger.prefix) if "/fold-" in key)
    assert len(folds) == 2
    store.now = LONG_AGO
    found = {one.key: one.why for one in garbage.attempts(store, FOUND, store.now)}
    assert list(found.values()).count(garbage.CHECKPOINT) == 1
    assert list(found.values()).count(garbage.ATTEMPT) == 1
    for key in found:
        store.delete(key)
    assert len(list(StageView(store, ledger.prefix).records())) == 256
