"""Ctrl-C in the first second: commands are still being loaded, and end with 130 and without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core import early_interrupt

COMMANDS = ["render", "plan", "status", "verify", "evaluate", "gc", "serve", "trace", "weights", "detect", "main"]
# Stands before the module whose loading takes longest, so that the signal comes in the midst of it, every time.
SLOW = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(60)\n"


def interrupted(folder: Path, command: list[str], at: str) -> subprocess.CompletedProcess[str]:
    """A command that is sent Ctrl-C while it imports a package."""
    (folder / f"{at}.py").write_text(SLOW)
    path = f"{folder}:{Path(__file__).parents[3]}"
    # A shell that runs tests behind ignores Ctrl-C, and so would they.
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_while_a_command_is_loaded(tmp_path: Path, name: str) -> None:
    ended = interrupted(tmp_path, [sys.executable, "-m", f"pipeline.{name}", "x"], "click")
    assert (ended.returncode, ended.stderr) == (130, "Interrupted while loading; nothing was done.\n")


@pytest.mark.parametrize("at", ["click", "fsspec", "pydantic"])
def test_under_its_one_name(tmp_path: Path, at: str) -> None:
    script = tmp_path / "longtake"
    script.write_text("import sys\nfrom pipeline.main import main\nsys.exit(main())\n")
    ended = interrupted(tmp_path, [sys.executable, str(script), "status", "x"], at)
    assert (ended.returncode, ended.stderr) == (130, "Interrupted while loading; nothing was done.\n")


def test_whoever_uses_the_package_keeps_control_c(tmp_path: Path) -> None:
    code = "import pipeline, signal; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_from_the_command_on_it_is_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        early_interrupt.begin()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        early_interrupt.end()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `nohup` and shells have it for what runs behind
        early_interrupt.begin()
        early_interrupt.end()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
