"""Texts without quotes that YAML reads otherwise than they were meant: said, with the line and the quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import plan
from tests.conftest import render_inline, write_portrait, write_wav

HEAD = "version: 1\noutput: out\nfamily: fake\ndefaults: {resolution: 64}\ntitles:\n  - id: one\n    portrait: p.png\n"


def manifest_of(folder: Path, line: str, audio: str = "    audio: a.wav\n") -> Path:
    write_portrait(folder / "p.png")
    write_wav(folder / "a.wav", 60)
    path = folder / "m.yaml"
    path.write_text(f"{HEAD}{audio}    {line}\n")
    return path


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("title: Take #2", "Take #2"),
        ("title: Take # 2", "Take # 2"),
        ("title: Part #1 of #3", "Part #1 of #3"),
        ("title: Über uns #2", "Über uns #2"),
        ("title: Take\t#2", "Take\\t#2"),
        ("author: Ada #countess", "Ada #countess"),
        ("chapters: [{at: 0, title: Opening #1\n      }]", "Opening #1"),
        ("owner: studio #4", "studio #4"),
    ],
)
def test_a_comment_that_ate_half_of_a_text_is_warned_of(
    tmp_path: Path, line: str, whole: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(tmp_path, line)
    for run in (lambda: plan.run([str(manifest)]), lambda: render_inline(manifest, "--dry-run")):
        assert run() == 0
        (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("warning: ")]
        assert f"{manifest}:9: titles[0]." in said
        assert said.endswith(f'read as a comment; if it belongs to the text, put it in quotes: "{whole}"')


@pytest.mark.parametrize(
    "line",
    [
        'title: "Take #2"',
        "title: 'Take #2'  # not the first",
        "title: Take#2",
        "title: Take 2  # the second",
        "title: Take 2 # the second",
        "crf: 18 #good",
        "codec: h264 #fast",
        "seed: 4 # 2",
        "# title: Take #2",
    ],
)
def test_what_is_meant_as_a_comment_is_not(tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.run([str(manifest_of(tmp_path, line))]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "audio"),
    [
        ("title: #2", "    audio: a.wav\n"),
        ("seed: 1", "    audio: #1.wav\n"),
        ("seed: 1", "    audio: [\n      #1.wav\n      ]\n"),
    ],
)
def test_a_comment_that_ate_a_whole_value_explains_the_mistake(
    tmp_path: Path, line: str, audio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render_inline(manifest_of(tmp_path, line, audio)) == 2
    said = capsys.readouterr().err
    assert ("read as a comment" in said) == ("[" not in audio)


def test_a_file_that_is_not_found_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render_inline(manifest_of(tmp_path, "seed: 1", "    audio:\n      - Take #2.wav\n")) == 2
    said = capsys.readouterr().err
    assert "warning: " in said
    assert f"{tmp_path}/m.yaml:9: titles[0].audio[0]: what follows the #" in said
    assert 'put it in quotes: "Take #2.wav"' in said
    assert "Take: no such file" in said


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("title: Chapter 1: x", 'put the text in quotes: title: "Chapter 1: x"'),
        ("author: A & B: the story", 'put the text in quotes: author: "A & B: the story"'),
        ("title: x: y: z", 'put the text in quotes: title: "x: y: z"'),
        ("title: @home", 'put the text in quotes: title: "@home"'),
        ("chapters: [{at: 0, title: Part 1: Begin}]", 'put the text in quotes: title: "Part 1: Begin"'),
        ("chapters:\n      - {at: 0, title: Part 1: Begin}", 'put the text in quotes: title: "Part 1: Begin"'),
        ("prompts: [{at: 0, text: smile #2}]", "put a text that holds one in quotes"),
        ("prompts: [{at: 0, text: smile}, {at: 1, text: x #3}]", "put a text that holds one in quotes"),
    ],
)
def test_syntax_that_a_text_has_broken_is_told_with_its_quotes(
    tmp_path: Path, line: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render_inline(manifest_of(tmp_path, line)) == 2
    assert hint in capsys.readouterr().err
