"""`longtake redo`: a retake is written into the manifest, whose other lines stay as they are."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from models.families.registry import FAMILIES
from pipeline.manifest.catalog import load_manifest
from pipeline.manifest.edit import with_retake
from pipeline.redo import run

BOOK = """\
# My books.
version: 1
output: out        # beside this file
family: {family}
defaults:
    resolution: 64
titles:
  - id: a
    portrait: 'p.png'   # me
    audio:
      - x.wav
      - y.wav
    title: "A: b"

  # The second one
  - {{id: b, portrait: q.png, audio: z.wav}}
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "books.yaml"
    path.write_text(BOOK.format(family="fake"))
    path.chmod(0o640)
    return path


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if "from:" in line]


def test_a_line_is_added_and_all_others_stay(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(book), "a@0:12:30-0:14:00"]) == 0
    assert "a: 0:12:30 to 0:14:00 is to be made once more, seed 1" in capsys.readouterr().out
    added = '    retakes:\n      - {from: "0:12:30", to: "0:14:00", seed: 1}\n'
    assert book.read_text() == BOOK.format(family="fake").replace("  - id: a\n", f"  - id: a\n{added}")
    assert book.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in book.parent.iterdir()] == ["books.yaml"]


@pytest.mark.parametrize("example", ["demo", "styles"])
def test_no_other_line_of_an_example_changes(tmp_path: Path, example: str) -> None:
    text = (Path(__file__).parents[3] / f"examples/{example}.yaml").read_text()
    name = re.findall(r"- (?:\{)?id: ([a-z0-9.-]+)", text)[-1]
    changed = with_retake(text, name, {"from": "0:00:01", "to": "0:00:02", "seed": 1})
    added = [line for line in difflib.ndiff(text.splitlines(), changed.splitlines()) if line[0] in "+-"]
    assert [line.strip("+ ") for line in added] == ["retakes:", '- {from: "0:00:01", to: "0:00:02", seed: 1}']


def test_another_take_and_others_in_order_of_time(book: Path) -> None:
    for part in ("a@60-75.5", "a@0:00:20-30", "a@1:00-1:15.5"):
        assert run([str(book), part]) == 0
    assert lines(book) == [
        '      - {from: "0:00:20", to: "0:00:30", seed: 1}',
        '      - {from: "0:01:00", to: "0:01:15.5", seed: 2}',
    ]
    assert run([str(book), "a@20-30", "--seed", "9"]) == 0
    assert run([str(book), "b@1-2"]) == 0
    assert 'id: b, retakes: [{from: "0:00:01", to: "0:00:02", seed: 1}]' in book.read_text()
    taken = [
        (float(one.start), float(one.stop), one.seed)
        for one in load_manifest(book, families=FAMILIES).titles[0].retakes
    ]
    assert taken == [(20, 30, 9), (60, 75.5, 2)]


def test_another_take_keeps_who_speaks_and_what_is_asked_for(book: Path) -> None:
    retake = "    retakes:\n      - {from: 20, to: 30, portrait: q.png, seed: 4}\n"
    book.write_text(book.read_text().replace("  - id: a\n", f"  - id: a\n{retake}"))
    assert run([str(book), "a@20-30"]) == 0
    assert lines(book) == ['      - {from: "0:00:20", to: "0:00:30", portrait: q.png, seed: 5}']


def test_a_prompt(book: Path) -> None:
    book.write_text(BOOK.format(family="mini").replace("    resolution: 64", "    resolution: 512"))
    assert run([str(book), "a@20-30", "--prompt", 'smile: "a little"']) == 0
    (retake,) = load_manifest(book, families=FAMILIES).titles[0].retakes
    assert [(float(one.at), one.text) for one in retake.prompts or ()] == [(20, 'smile: "a little"')]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["c@1-2"], "c: no such title;"),
        (["a"], "expected a title and a stretch of it, for example book@0:12:30-0:14:00"),
        (["a@5-5"], "expected a stretch that ends later than it begins"),
        (["a@5-0:61:00"], "expected seconds, M:SS or H:MM:SS.mmm"),
        (["a@5-1:2:3:4"], "expected seconds, M:SS or H:MM:SS.mmm"),
        (["a@12-25"], "0:00:10 to 0:00:20 is a retake already"),
        (["a@1-2", "--seed", "-1"], "-1"),
        (["a@1-2", "--prompt", ""], 'value "": expected 1 to 500 characters'),
    ],
)
def test_mistakes_change_nothing(
    book: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([str(book), "a@10-20"]) == 0
    before = book.read_text()
    assert run([str(book), *arguments]) == 2
    assert says in capsys.readouterr().err
    assert book.read_text() == before
    assert [path.name for path in book.parent.iterdir()] == ["books.yaml"]


def test_what_cannot_be_changed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "books.csv").write_text("id,portrait,audio\nc,p.png,x.wav\n")
    path = tmp_path / "books.yaml"
    path.write_text("version: 1\noutput: out\nfamily: fake\ntitles_from:\n- table: books.csv\n")
    assert run([str(path), "c@1-2"]) == 2
    said = capsys.readouterr().err
    assert "give its table a column `retakes`" in said
    assert "books.yaml: title c" in said
    assert run(["s3://bucket/books.yaml", "c@1-2"]) == 2
    assert "only a manifest on a disk here can be changed" in capsys.readouterr().err
    assert run([str(tmp_path / "none.yaml"), "c@1-2"]) == 2
    assert "none.yaml" in capsys.readouterr().err
