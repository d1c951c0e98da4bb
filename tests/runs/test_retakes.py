"""A part of a title made once more: all else keeps its bytes, whoever renders it and whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline import api
from pipeline.core.timeline import GOP
from pipeline.gc import run as collect_garbage
from pipeline.verify import run as verify
from tests.conftest import render_inline, write_manifest, write_portrait
from tests.runs.test_identity import decoded
from tests.runs.test_scenes import chapter, film, made, records

FRAMES = 1205  # 26 GOPs, the last of them short
TAKEN = {"from": "0:00:15", "to": "0:00:22.5", "seed": 7}  # frames 375 to 562: GOPs 7 to 11, or a few more


def speech(folder: Path, *retakes: dict[str, object], frames: int = FRAMES, **options: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    audio = chapter(folder / "speech.wav", frames / 25, 3)
    title: dict[str, object] = {"id": "book", "audio": audio}
    if retakes:
        title["retakes"] = list(retakes)
    return write_manifest(folder, [title], **{"resolution": 64, "marks": "on", **options})


def pieces(output: Path) -> list[tuple[int, int, str]]:
    report = json.loads((output / "book/report.json").read_text())
    return [(one["first"] // GOP, one["frames"], one["stream"]) for one in report["scenes"]]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest = speech(tmp_path_factory.mktemp("speech"), resolution=256)
    assert render_inline(manifest) == 0
    return manifest


@pytest.mark.parametrize("join", ["dissolve", pytest.param("cut", marks=pytest.mark.slow)])
def test_all_else_stays_as_it_was(first: Path, tmp_path: Path, join: str) -> None:
    folder = tmp_path / "speech"
    shutil.copytree(first.parent, folder)
    output = folder / "out"
    before, old = made(output), film(output)
    manifest = speech(folder, TAKEN, resolution=256, join=join)
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == verify([str(output)]) == 0
    (start, stop), new = (pieces(output)[1][0], pieces(output)[2][0]), film(output)
    assert start in range(5, 8)
    assert stop in range(12, 15)
    changed = [gop for gop in range(26) if new[gop] != old[gop]]
    assert changed == list(range(start - (join == "dissolve"), stop))
    assert [gop for gop, _, _ in pieces(output)] == [0, start, stop]
    assert sum(frames for _, frames, _ in pieces(output)) == FRAMES == decoded(output / "book/final.mp4")[0]
    streams = [stream for _, _, stream in pieces(output)]
    assert streams[0] == streams[2] != streams[1]
    fresh = {stage: len(after - before[stage]) for stage, after in made(output).items()}
    assert (fresh["conditioning"], fresh["features"]) == (1, 1)
    assert fresh["chain"] == stop - start
    assert fresh["stream"] == (stop - start) + 26
    (status,) = api.status(str(output)).titles
    assert (status.state, status.chained, status.upscaled) == ("done", 26, 26)
    assert render_inline(manifest) == 0  # nothing is left to do
    assert render_inline(speech(folder, resolution=256)) == 0  # without the retake it is what it was
    assert film(output) == old
    assert made(output) == {stage: found | before[stage] for stage, found in made(output).items()}


@pytest.mark.slow
def test_a_title_that_has_them_from_the_beginning_is_the_same(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first.parent, tmp_path / "one")
    assert render_inline(speech(tmp_path / "one", TAKEN, resolution=256)) == 0
    assert render_inline(speech(tmp_path / "two", TAKEN, resolution=256)) == 0
    assert film(tmp_path / "two/out") == film(tmp_path / "one/out")
    output = tmp_path / "two/out"
    taken = pieces(output)[2][0] - pieces(output)[1][0]
    assert len(records(output, "chain")) == 26 + taken  # what follows it needs the chain that it stands in
    assert len(records(output, "stream")) == 26 + 26  # but nobody upscales it there: the scenes' own, and the film's
    assert verify([str(tmp_path / "two/manifest.yaml")]) == 0


@pytest.mark.parametrize(
    "retakes",
    [
        pytest.param([{"from": 0, "to": 5}], marks=pytest.mark.slow, id="the beginning"),
        pytest.param([{"from": 40, "to": "0:00:48.2"}], marks=pytest.mark.slow, id="the end"),
        pytest.param([{"from": 0, "to": "0:00:48.2"}], marks=pytest.mark.slow, id="all of it"),
        [{"from": 10.0, "to": 12.0}, {"from": 12.0, "to": 14.5, "seed": 3}, {"from": 30, "to": 30.5}],
    ],
)
def test_wherever_it_is(tmp_path: Path, retakes: list[dict[str, object]]) -> None:
    manifest = speech(tmp_path, *retakes)
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == verify([str(tmp_path / "out")]) == 0
    assert decoded(tmp_path / "out/book/final.mp4")[0] == FRAMES
    firsts = [gop for gop, _, _ in pieces(tmp_path / "out")]
    assert firsts == sorted(firsts)
    assert firsts[0] == 0


@pytest.mark.parametrize("scenes", ["chapters", pytest.param(1, marks=pytest.mark.slow)])
def test_across_the_border_of_scenes(tmp_path: Path, scenes: object) -> None:
    def manifest(*retakes: dict[str, object]) -> Path:
        audio = [chapter(tmp_path / f"{number}.wav", 40.0, number) for number in range(2)]
        title: dict[str, object] = {"id": "book", "audio": audio}
        if retakes:
            title["retakes"] = list(retakes)
        return write_manifest(tmp_path, [title], resolution=64, scenes=scenes)

    assert render_inline(manifest()) == 0
    output = tmp_path / "out"
    before, old = made(output), film(output)
    with_it = manifest({"from": 35, "to": 47})
    assert render_inline(with_it) == 0
    assert verify([str(with_it)]) == verify([str(output)]) == 0
    new = film(output)
    changed = [gop for gop in range(len(old)) if new[gop] != old[gop]]
    assert changed == list(range(changed[0], changed[-1] + 1))
    assert len(made(output)["chain"] - before["chain"]) <= len(changed)


@pytest.mark.parametrize("keep", ["final+hls", pytest.param("final", marks=pytest.mark.slow)])
def test_after_what_it_stands_in_was_let_go(first: Path, tmp_path: Path, keep: str) -> None:
    """What the joins are made of is chained once more, with the same result."""
    assert render_inline(speech(tmp_path, keep=keep)) == 0
    output = tmp_path / "out"
    assert collect_garbage([str(tmp_path / "manifest.yaml"), "--delete"]) == 0
    old = film(output)
    manifest = speech(tmp_path, TAKEN, keep=keep)
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == 0
    new = film(output)
    changed = [gop for gop in range(26) if new[gop] != old[gop]]
    assert changed == list(range(changed[0], changed[-1] + 1))
    assert 5 <= len(changed) <= 10
    assert collect_garbage([str(manifest), "--delete"]) == 0
    assert verify([str(manifest)]) == 0
    other = speech(tmp_path, {**TAKEN, "seed": 8}, keep=keep)  # another take of the same
    count = len(records(output, "chain"))
    assert render_inline(other) == 0
    assert verify([str(other)]) == 0
    if keep == "final+hls":
        assert len(records(output, "chain")) - count == len(changed) - 1  # its neighbours' latents were kept


def test_prompts_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "speech"
    prompts = {"prompts": [{"at": "0:00:16", "text": "smile"}]}
    plain = speech(folder, TAKEN)
    assert render_inline(plain) == 0
    old = film(folder / "out")
    assert render_inline(speech(folder, TAKEN | prompts)) == 0
    new = film(folder / "out")
    changed = [gop for gop in range(26) if new[gop] != old[gop]]
    assert changed[0] == 16 * 25 // 16 * 16 // GOP  # from the clip on in which it begins
    assert len(changed) < 10


def test_somebody_else_speaks(first: Path, tmp_path: Path) -> None:
    folder = tmp_path / "speech"
    shutil.copytree(first.parent, folder)
    write_portrait(folder / "other.png", seed=9)
    before, old = made(folder / "out"), film(folder / "out")
    manifest = speech(folder, TAKEN | {"portrait": "other.png"}, resolution=256)
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == verify([str(folder / "out")]) == 0
    new, now = film(folder / "out"), made(folder / "out")
    changed = [gop for gop in range(26) if new[gop] != old[gop]]
    assert changed == list(range(changed[0], changed[-1] + 1))
    assert len(changed) < 12
    (fresh,) = now["conditioning"] - before["conditioning"]
    other = hashlib.sha256((folder / "other.png").read_bytes()).hexdigest()
    assert json.loads(fresh.read_text())["uses"] == {"portrait": other}
    assert json.loads((folder / "out/book/provenance.json").read_text())["inputs"]["other portraits"] == [other]
    facts = json.loads((folder / "out/book/page.json").read_text())["facts"]["inputs"]
    assert [one["name"] for one in facts if one["role"] == "portrait"] == ["portrait-0.png", "other.png"]
    assert render_inline(manifest) == 0  # nothing is left to do
    write_portrait(folder / "other.png", seed=10)  # another picture under the same name
    assert render_inline(manifest) == 0
    assert film(folder / "out") != new


def test_a_portrait_of_another_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 128)).save(tmp_path / "tall.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "portrait-0.png")
    titles = [
        {
            "id": "one",
            "frames": 60,
            "portrait": "portrait-0.png",
            "retakes": [{"from": 0, "to": 1, "portrait": "tall.png"}],
        }
    ]
    assert render_inline(write_manifest(tmp_path, titles, family="photo", base_size=512, resolution=512)) == 2
    said = capsys.readouterr().err
    assert "titles[0].retakes[0].portrait: tall.png has 64x128 pixels, which makes pictures of 512x1024" in said
    titles[0]["retakes"][0]["portrait"] = "none.png"  # type: ignore[index]
    assert render_inline(write_manifest(tmp_path, titles, family="photo", base_size=512, resolution=512)) == 2
    assert "titles[0].retakes[0].portrait" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("retakes", "says"),
    [
        ([{"from": 5}], "retakes[0].to: missing"),
        ([{"from": 9, "to": 9}], "retakes[0].to: value 9: expected later than `from` (9)"),
        ([{"from": 9, "to": 12}, {"from": 11, "to": 13}], "retakes[1].from: value 11: expected 12 or later"),
        ([{"from": 40, "to": "0:00:48.201"}], "value 0:00:48.201: the title ends at 0:00:48.200"),
        ([{"from": 5, "to": 6, "seed": "x"}], 'retakes[0].seed: value "x": expected a whole number'),
        ([{"from": 5, "to": 6, "sed": 1}], "did you mean seed?"),
        ("5", "expected a list of {from, to}"),
    ],
)
def test_mistakes(tmp_path: Path, retakes: object, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    audio = chapter(tmp_path / "speech.wav", FRAMES / 25, 3)
    manifest = write_manifest(tmp_path, [{"id": "book", "audio": audio, "retakes": retakes}])
    assert render_inline(manifest) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_killed_in_the_middle_and_continued(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first.parent, tmp_path / "whole")
    assert render_inline(speech(tmp_path / "whole", TAKEN, resolution=256)) == 0
    shutil.copytree(first.parent, tmp_path / "killed")
    manifest = speech(tmp_path / "killed", TAKEN, resolution=256)
    output = tmp_path / "killed/out"
    command = [sys.executable, "-m", "pipeline.render", str(manifest), "--executor", "inline"]
    for count in (27, 30):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while len(records(output, "chain")) < count:
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
    assert render_inline(manifest) == 0
    assert film(output) == film(tmp_path / "whole/out")
    assert verify([str(manifest)]) == 0


@pytest.mark.slow
def test_however_many_chain_workers(tmp_path: Path, ray_address: Callable[[float], str]) -> None:
    assert render_inline(speech(tmp_path / "inline", TAKEN)) == 0
    for chains in (1, 2):
        manifest = speech(tmp_path / str(chains), TAKEN)
        result = api.render(api.load(str(manifest)), address=ray_address(4), chains=chains, upscalers=1)
        assert result.exit_code == 0
        assert film(manifest.parent / "out") == film(tmp_path / "inline/out")
