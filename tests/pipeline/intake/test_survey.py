"""Inputs are read once, many at a time, remembered by their whole address, and copied in the same pass."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models.families.registry import FAMILIES
from pipeline import plan, render, status
from pipeline.core import parallel
from pipeline.intake import survey as survey_module
from pipeline.intake import title_inputs as seen_module
from pipeline.intake.cached_plan import cached_plan
from pipeline.intake.survey import survey
from pipeline.manifest.catalog import Catalog, load_manifest
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.conftest import write_portrait, write_wav
from tests.support.slow_web import slow_web


def manifest_of(folder: Path, titles: list[tuple[str, list[str]]], portrait: str = "p.png") -> Path:
    write_portrait(folder / "p.png")
    entries = "".join(
        f"  - id: {name}\n    portrait: {json.dumps(portrait)}\n    audio: {json.dumps(audio)}\n"
        for name, audio in titles
    )
    path = folder / "m.yaml"
    path.write_text(
        "version: 1\noutput: out\nfamily: fake\n"
        f'defaults: {{resolution: 64, base_size: 64, marks: "off"}}\ntitles:\n{entries}'
    )
    return path


def opened(manifest: Path) -> tuple[Catalog, Store]:
    catalog = load_manifest(str(manifest), families=FAMILIES)
    return catalog, open_store(catalog.output)


def parts(folder: Path, count: int, frames: int = 48) -> dict[str, bytes]:
    """Files of equal size under addresses that differ in their query alone."""
    return {f"/get?id={n}": write_wav(folder / f"{n}.wav", frames, seed=n).read_bytes() for n in range(count)}


def render_it(manifest: Path, *more: str) -> int:
    return render.run([str(manifest), "--executor", "inline", *more])


def test_addresses_that_look_the_same_are_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second run must not take part 2 for part 1, though size and ETag are equal."""
    with slow_web(parts(tmp_path, 2)) as web:
        manifest = manifest_of(tmp_path, [("one", [f"{web.url}/get?id=0", f"{web.url}/get?id=1"])])
        assert render_it(manifest) == 0
        catalog, store = opened(manifest)
        ((seen,), _) = survey(catalog, store)
        assert seen.audio[0].sha256 != seen.audio[1].sha256
        assert render_it(manifest) == 0
        assert len(store.folders("one/chain")) == 1
        assert web.asked == {"/get?id=0": 1, "/get?id=1": 1}, "each is read once, in both runs together"
        recalled = cached_plan(catalog, store, catalog.titles[0]).plan
        assert recalled is not None
        assert [one.sha256 for one in recalled.audio] == [one.sha256 for one in seen.audio]
        capsys.readouterr()
        assert status.run([str(manifest), "--json"]) == 0
        assert "id=" not in store.get("one/inputs.json").decode().replace("id=***", "")


def test_another_part_under_the_same_name_is_another_plan(tmp_path: Path) -> None:
    with slow_web(parts(tmp_path, 2)) as web:
        assert render_it(manifest_of(tmp_path, [("one", [f"{web.url}/get?id=0"])])) == 0
        manifest = manifest_of(tmp_path, [("one", [f"{web.url}/get?id=1"])])
        catalog, store = opened(manifest)
        assert cached_plan(catalog, store, catalog.titles[0]).plan is None
        assert render_it(manifest) == 0
        assert len(store.folders("one/chain")) == 2


def test_entries_of_earlier_versions(tmp_path: Path) -> None:
    """They kept the shown address alone: good where it hides nothing, and else the file is read again."""
    with slow_web(parts(tmp_path, 2) | {"/plain.wav": (tmp_path / "0.wav").read_bytes()}) as web:
        manifest = manifest_of(tmp_path, [("one", [f"{web.url}/plain.wav", f"{web.url}/get?id=1"])])
        _, store = opened(manifest)
        assert render_it(manifest) == 0
        record = json.loads(store.get("one/inputs.json"))
        for entry in record["files"]:
            del entry["address"], entry["place"]
        record["files"][2]["sha256"] = record["files"][1]["sha256"]  # as the last one that looked the same had it
        store.put("one/inputs.json", json.dumps(record).encode())
        before = store.folders("one/chain")
        assert render_it(manifest) == 0
        assert web.asked == {"/plain.wav": 1, "/get?id=1": 2}
        assert store.folders("one/chain") == before


AMAZON = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k&X-Amz-Date={0}&X-Amz-Expires=9&X-Amz-Signature={0}"


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        ("/a.wav?" + AMAZON.format(1), "/a.wav?" + AMAZON.format(2), False),
        ("/a.wav?v=1&" + AMAZON.format(1), "/a.wav?v=2&" + AMAZON.format(1), True),
        ("/a.wav?X-Amz-Signature=1", "/a.wav?X-Amz-Signature=2", True),  # alone it is no signature
        ("/a.wav?sv=1&se=1&sr=b&sig=1", "/a.wav?sv=1&se=2&sr=b&sig=2", False),
        ("/a.wav?Expires=1&Signature=1&Key-Pair-Id=K", "/a.wav?Expires=2&Signature=2&Key-Pair-Id=K", False),
        ("/a.wav?token=1", "/a.wav?token=2", True),
        ("/a.wav?ID=1", "/a.wav?id=1", True),
    ],
)
def test_a_new_signature_is_the_same_address(tmp_path: Path, first: str, second: str, again: bool) -> None:
    sound = write_wav(tmp_path / "a.wav", 48).read_bytes()
    with slow_web({first: sound, second: sound}) as web:
        assert render_it(manifest_of(tmp_path, [("one", [web.url + first])])) == 0
        assert render_it(manifest_of(tmp_path, [("one", [web.url + second])])) == 0
        assert web.asked == ({first: 1, second: 1} if again else {first: 1})


def test_a_file_that_many_titles_share_is_read_once(tmp_path: Path) -> None:
    files = parts(tmp_path, 4) | {"/face.png": write_portrait(tmp_path / "face.png").read_bytes()}
    with slow_web(files) as web:
        titles = [(f"t{n}", [f"{web.url}/get?id={n}"]) for n in range(4)]
        catalog, store = opened(manifest_of(tmp_path, titles, portrait=f"{web.url}/face.png"))
        seen, problems = survey(catalog, store)
        assert not problems
        assert [one.title.id for one in seen] == ["t0", "t1", "t2", "t3"]
        assert set(web.asked.values()) == {1}


def test_an_interrupted_survey_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decoded is kept, and what was fetched is copied: neither is done again."""
    with slow_web(parts(tmp_path, 6)) as web:
        manifest = manifest_of(tmp_path, [(f"t{n}", [f"{web.url}/get?id={n}"]) for n in range(6)])
        monkeypatch.setattr(parallel, "THREADS", 1)
        probe, probed = seen_module.probe, []

        def interrupted(path: Path, **more: bool) -> Any:
            probed.append(path)
            if len(probed) == 4:
                raise KeyboardInterrupt
            return probe(path, **more)

        monkeypatch.setattr(seen_module, "probe", interrupted)
        assert render_it(manifest) == 75
        _, store = opened(manifest)
        kept = [json.loads(store.get(f"t{n}/inputs.json"))["files"] for n in range(6)]
        assert [len(files) for files in kept] == [2, 2, 2, 1, 1, 1], "the portrait is everybody's"
        monkeypatch.setattr(seen_module, "probe", probe)
        assert render_it(manifest) == 0
        asked = [web.asked[f"/get?id={n}"] for n in range(6)]
        assert asked[:4] == [1, 1, 1, 2], "what was found before is not asked for again"
        assert sum(asked) <= 8, "at most the next one had been begun"


def test_a_long_plan_and_a_long_dry_run_are_shared_with_render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "WRITE_EVERY", 0.0)
    with slow_web(parts(tmp_path, 2)) as web:
        manifest = manifest_of(tmp_path, [("one", [f"{web.url}/get?id=0"]), ("two", [f"{web.url}/get?id=1"])])
        assert plan.run([str(manifest)]) == 0
        assert render_it(manifest, "--dry-run") == 0
        assert render_it(manifest) == 0
        assert set(web.asked.values()) == {1}


def test_a_plan_of_an_output_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "WRITE_EVERY", 0.0)
    with slow_web(parts(tmp_path, 1)) as web:
        manifest = manifest_of(tmp_path, [("one", [f"{web.url}/get?id=0"])])
        (tmp_path / "out").write_text("in the way of any folder")
        assert plan.run([str(manifest)]) == 0


KILLED = """
import sys
from pipeline import plan
from pipeline.intake import survey
survey.WRITE_EVERY = 0.1
plan.run([sys.argv[1]])
"""


@pytest.mark.slow
def test_two_hundred_files_over_a_slow_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Side by side against one after another; killed half-way, it goes on where it was."""
    with slow_web(parts(tmp_path, 200, frames=12), seconds=0.03) as web:
        titles = [(f"t{n}", [f"{web.url}/get?id={2 * n}", f"{web.url}/get?id={2 * n + 1}"]) for n in range(100)]
        manifest = manifest_of(tmp_path, titles)
        catalog, store = opened(manifest)

        def seconds() -> float:
            began = time.monotonic()
            seen, problems = survey(catalog, store)
            assert len(seen) == 100, problems
            return time.monotonic() - began

        beside = seconds()
        monkeypatch.setattr(parallel, "THREADS", 1)
        alone = seconds()
        print(f"200 files at 30 ms: {beside:.1f} s side by side, {alone:.1f} s one after another")
        assert beside < alone / 3

        web.asked.clear()
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(manifest)], stderr=subprocess.DEVNULL)
        while sum(web.asked.values()) < 100:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = sum(web.asked.values())
        monkeypatch.undo()
        assert len(survey(catalog, store, keep=True)[0]) == 100
        print(f"{before} files were read when it was killed, {sum(web.asked.values()) - before} afterwards")
        assert sum(web.asked.values()) < 200 + 60, "most of what was read is not read again"
