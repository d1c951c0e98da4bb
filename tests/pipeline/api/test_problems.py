"""What is wrong with titles, in fields that a program can use."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from pipeline import api
from tests.conftest import write_manifest


def problems_of(manifest: Path, **options: Any) -> tuple[api.Problem, ...]:
    with pytest.raises(api.ManifestError) as raised:
        api.plan(api.load(manifest, **options))
    assert str(raised.value) == "\n".join(map(str, raised.value.problems))
    return raised.value.problems


def fields(problem: api.Problem) -> tuple[str, str, str, str]:
    return problem.kind, problem.title, problem.text, problem.remedy


def test_mistakes_in_the_manifest(tmp_path: Path) -> None:
    titles = [{"id": "one", "frames": 50, "seed": "no"}, {"id": "No", "frames": 50}]
    manifest = write_manifest(tmp_path, titles, colour="red")
    where = f"{manifest}"
    unknown, seed, name = problems_of(manifest)
    assert fields(seed)[:2] == ("manifest", "one")
    assert seed.text.startswith('value "no": expected')
    assert str(seed) == f"{seed.place}: {seed.text}; correct the value"
    assert (unknown.kind, unknown.title) == ("manifest", "")
    assert unknown.place == f"{where}:8: defaults.colour"
    assert unknown.text == 'unknown key with value "red"'
    assert unknown.remedy.startswith("remove it, or use one of ")
    assert (name.kind, name.title, name.remedy) == ("manifest", "", "for example no")


def test_what_is_said_of_a_place_stays_a_part_of_the_line(tmp_path: Path) -> None:
    write_manifest(tmp_path, [{"id": "one", "frames": 50}])
    (tmp_path / "t.csv").write_text("id,audio,portrait,seed\na,audio-0.wav,portrait-0.png,high\n")
    text = "version: 1\noutput: o\nfamily: fake\ntitles_from:\n- table: t.csv\n"
    (tmp_path / "m.yaml").write_text(text)
    (problem,) = problems_of(tmp_path / "m.yaml")
    assert (problem.title, problem.remedy) == ("a", "correct the value (t.csv, line 2)")


def test_the_manifest_itself(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "none.yaml")
    assert fields(problem) == ("manifest", "", "manifest: no such file", "correct the path or put the file there")
    assert str(problem) == (f"{tmp_path}/none.yaml: manifest: no such file; correct the path or put the file there")


def test_output_and_selection(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [{"id": "one", "frames": 50}])
    (problem,) = problems_of(manifest, output="s4://x")
    assert (problem.kind, problem.title) == ("output", "")
    (problem,) = problems_of(manifest, only=["two"])
    assert fields(problem) == ("selection", "two", "--only two: no such title; it has one", "")
    with pytest.raises(api.ManifestError) as raised:
        api.plan(manifest, retry_failed=True)
    (problem,) = raised.value.problems
    assert (problem.kind, problem.remedy) == ("selection", "leave the option out")
    assert str(problem).endswith("--retry-failed: no report of an earlier run; leave the option out")


SRT = "1\n00:00:09,000 --> 00:00:10,000\nLate\n"
INPUTS: list[tuple[dict[str, Any], str, str, str, str]] = [
    ({"portrait": "none.png"}, "portrait", "portrait", "none.png: no such file", "correct the path"),
    ({"portrait": "late.srt"}, "portrait", "portrait", "late.srt: not a PNG, JPEG", "convert it to one of these"),
    ({"audio": ["empty"]}, "sound", "audio[0]", "empty: is empty (0 bytes)", "put the complete file there"),
    ({"cover": "none.png"}, "picture", "cover", "none.png: no such file", "correct the path"),
    ({"face_embedding": "none.npy"}, "portrait", "face_embedding", "none.npy: no such file", "correct the path"),
    ({"captions": "late.srt"}, "captions", "captions", "the cue of line 1 begins at", "give the captions of this"),
    ({"captions": "empty"}, "captions", "captions", "empty: is empty (0 bytes)", "put the complete file there"),
    ({"face_box": [0, 0, 5000, 10]}, "option", "face_box", "value [0, 0, 5000, 10]: reaches beyond", ""),
    ({"chapters": [{"at": 0, "title": "a"}, {"at": 9, "title": "b"}]}, "chapters", "chapters[1].at",
     "value 0:00:09.000: the title ends at", "move or remove the chapter"),
    ({"prompts": [{"at": 9, "text": "smile"}]}, "prompts", "prompts[0].at", "value 0:00:09.000: the title ends at",
     "move or remove the prompt"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "kind", "key", "text", "remedy"), INPUTS, ids=[str(one[0]) for one in INPUTS])
def test_inputs(tmp_path: Path, given: dict[str, Any], kind: str, key: str, text: str, remedy: str) -> None:
    (tmp_path / "late.srt").write_text(SRT)
    (tmp_path / "empty").touch()
    (problem,) = problems_of(
        write_manifest(tmp_path, [{"id": "one"} | ({} if "audio" in given else {"frames": 50}) | given])
    )
    assert (problem.kind, problem.title) == (kind, "one")
    assert problem.place.endswith(f": titles[0].{key}")
    assert text in problem.text
    assert problem.remedy.startswith(remedy)
    assert bool(problem.remedy) == bool(remedy)


def test_errors_keep_their_fields_on_the_way_from_a_worker() -> None:
    error = api.InputError("is empty (0 bytes)", "put the file there", place="a.wav")
    assert str(error) == "a.wav: is empty (0 bytes); put the file there"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.place, again.text, again.remedy) == (
        str(error), "a.wav", "is empty (0 bytes)", "put the file there",
    )  # fmt: skip
    assert str(api.InputError("plain")) == "plain"
