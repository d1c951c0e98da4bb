"""`plan --cluster --lengths`: a forecast of titles of which nothing is known but their length; no input is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.families.registry import FAMILIES
from pipeline import plan
from pipeline.core.errors import UserError
from pipeline.forecast.lengths import plans_of, read_lengths
from pipeline.manifest.catalog import load_manifest

SHIPPED = str(Path(__file__).parents[3] / "cluster" / "spec.yaml")


def table(folder: Path, *lines: str) -> str:
    path = folder / "lengths.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def forecast(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert plan.run([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_seconds_and_hours(tmp_path: Path) -> None:
    found = read_lengths(table(tmp_path, "id;length", "a;36000", "b;10:00:00", "", "c;0.5", "d;0:00:01.02"))
    assert found == {"a": 900_000, "b": 900_000, "c": 13, "d": 26}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("id,length", "a,ten"), "lengths.csv, line 2: length 'ten': expected seconds or h:mm:ss above 0"),
        (("id,length", "a,0"), "length '0'"),
        (("id,length", "a,nan"), "length 'nan'"),
        (("id,length", "a,-1"), "length '-1'"),
        (("id,length", "a,1e9"), "length '1e9'"),
        (("id,length", "a,9999999"), "length '9999999'"),
        (("id,length", "a,1:60:00"), "length '1:60:00'"),
        (("id,length", "a,1", "b,1", "a,2"), "line 4: id 'a' stands there twice"),
        (("id,length", "A 1,1"), "id 'A 1': expected lower-case letters"),
        (("id,length,portrait", "a,1,x.png"), "unknown column 'portrait'; the first line names the columns"),
        (("id,length",), "no titles; expected lines such as"),
        (("id,length", "a"), "not as many cells"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match="--lengths") as error:
        read_lengths(table(tmp_path, *lines))
    assert said in str(error.value)


def test_options_are_the_manifests(tmp_path: Path) -> None:
    """Of the title of that name, else of the first; the files that the manifest names are not there."""
    text = "version: 1\noutput: out\nfamily: fake\ndefaults: {resolution: 128}\n"
    text += "titles:\n- {id: a, portrait: p.png, audio: a.wav}\n"
    text += "- {id: b, portrait: p.png, audio: b.wav, resolution: 64, face_embedding: e.npy}\n"
    (tmp_path / "m.yaml").write_text(text)
    catalog = load_manifest(tmp_path / "m.yaml", families=FAMILIES)
    found = list(plans_of({"b": 100, "c": 200}, FAMILIES["fake"], catalog))
    assert [(one.id, one.frames, one.options.resolution) for one in found] == [("b", 100, 64), ("c", 200, 128)]
    assert found[0].hashes.sound != found[1].hashes.sound


def test_some_titles_on_the_shipped_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = table(tmp_path, "id,length", *(f"t{number},0:10:00" for number in range(8)))
    found = forecast(capsys, "--cluster", SHIPPED, "--lengths", lengths)
    assert len(found["titles"]) == 8
    assert found["waits_for"] in ("chain", "upscale")
    assert plan.run(["--cluster", SHIPPED, "--lengths", lengths]) == 0
    said = capsys.readouterr().out
    assert "It waits for" in said
    assert "prepare 0." in said


@pytest.mark.slow
def test_a_thousand_titles_of_ten_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the shipped cluster preparing and publishing are not what it waits for; takes half a minute."""
    lengths = table(tmp_path, "id,length", *(f"t{number},10:00:00" for number in range(1000)))
    found = forecast(capsys, "--cluster", SHIPPED, "--lengths", lengths)
    assert len(found["titles"]) == 1000
    assert not found["unfinished"]
    assert found["waits_for"] == "chain"
    assert found["load"]["chain"] > 0.95
    assert max(found["load"]["prepare"], found["load"]["publish"]) < 0.05


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--lengths", "x.csv"), "go with --cluster FILE"),
        (("--cluster", SHIPPED), "Missing argument 'MANIFEST'"),
        (("--cluster", SHIPPED, "--family", "mini", "m.yaml"), "--family goes with --lengths"),
        (("--cluster", SHIPPED, "--lengths", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_what_goes_with_what(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.run([*arguments]) == 2
    assert said in capsys.readouterr().err
