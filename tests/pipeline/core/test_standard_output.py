"""What cannot be printed is said in one line, and the exit code tells it, whichever command prints."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from pipeline import detect, evaluate, gc, plan, render, status, verify, weights
from pipeline.core.command import run_command
from pipeline.credentials_command import command as credentials
from pipeline.main import group
from tests.conftest import Rendered

FULL = Path("/dev/full")
SHIPPED = str(Path(__file__).parents[3] / "models/shipped/mini")

COMMANDS: dict[str, tuple[Callable[[list[str]], int], list[str]]] = {
    "status": (status.run, ["MANIFEST"]),
    "status, JSON": (status.run, ["OUTPUT", "--json"]),
    "status, watched": (status.run, ["MANIFEST", "--watch"]),
    "plan": (plan.run, ["MANIFEST"]),
    "plan, JSON": (plan.run, ["MANIFEST", "--json"]),
    "verify": (verify.run, ["MANIFEST"]),
    "verify, JSON": (verify.run, ["OUTPUT", "--json"]),
    "evaluate": (lambda argv: run_command(evaluate.command, argv), ["FILM"]),
    "gc": (gc.run, ["MANIFEST"]),
    "render": (render.run, ["MANIFEST", "--dry-run"]),
    "detect": (detect.run, ["FILM"]),
    "credentials": (lambda argv: run_command(credentials, argv), ["show", "FILM"]),
    "weights": (weights.run, ["check", SHIPPED, "--family", "mini"]),
    "help": (lambda argv: run_command(group, argv), ["verify", "--help"]),
    "version": (lambda argv: run_command(group, argv), ["--version"]),
}


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def argv_of(words: list[str], finished: Rendered) -> list[str]:
    places = {
        "MANIFEST": finished.manifest,
        "OUTPUT": finished.output,
        "FILM": finished.output / finished.title / "final.mp4",
    }
    return [str(places.get(word, word)) for word in words]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_behind_standard_output(
    finished: Rendered, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, words = COMMANDS[name]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full := Full())
        assert run(argv_of(words, finished)) == 2
        assert sys.stdout is full
    *_, last = capsys.readouterr().err.splitlines()
    assert last == (
        "error: standard output cannot be written (No space left on device); make room there, or send it elsewhere"
    )


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize("letters", ["utf-8", "ascii"])
def test_as_a_process_of_its_own(finished: Rendered, more: tuple[str, ...], letters: str) -> None:
    """Nothing is printed again when Python ends."""
    command = [sys.executable, "-m", "pipeline.status", str(finished.manifest), *more]
    with FULL.open("w") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONIOENCODING": letters}
        )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "standard output cannot be written" in ended.stderr


def test_closed_and_unheard(finished: Rendered) -> None:
    """Without any output nothing is printed; a reader that has enough is no fault to speak of."""
    command = f"{sys.executable} -m pipeline.status {finished.manifest}"
    for end in (">&-", "| true"):
        ended = subprocess.run(["bash", "-c", f"{command} {end}"], capture_output=True, text=True)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_what_fails_otherwise_is_not_mistaken_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def fails() -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        run_command(fails, [])
    assert capsys.readouterr().err == ""
