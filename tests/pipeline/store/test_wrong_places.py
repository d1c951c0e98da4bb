"""An output that can never be: exit 2 and a message, whatever it is that stands in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import plan, status
from tests.conftest import render_inline, write_manifest

PLACES = {
    "/proc/1/nowhere": "no folder can be made",
    "/proc/self/nowhere/deeper": "no folder can be made",
    "/sys/kernel/nowhere": "choose a folder that you may write to",
    "/dev/null/x": "choose a folder that you may write to",
    "/dev/full": "choose a folder that you may write to",
    "{}/manifest.yaml": "choose a folder that you may write to",
    "{}/loop": "choose a folder that you may write to",
    "{}/" + "a" * 300: "File name too long",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("by", ["option", "manifest"])
def test_an_output_that_can_never_be(tmp_path: Path, place: str, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    output = place.format(tmp_path)
    manifest = write_manifest(tmp_path, [10], output=output if by == "manifest" else "out")
    assert render_inline(manifest, *(("--output", output) if by == "option" else ())) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: output {output}: ")
    assert PLACES[place] in said
    assert len(said.splitlines()) == 1


def test_a_name_that_no_disk_takes_is_said_by_those_who_only_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path, [10], output="a" * 300)
    for run in (status.run, plan.run):
        assert run([str(manifest)]) == 2
        assert "the path is too long; give a shorter one" in capsys.readouterr().err
