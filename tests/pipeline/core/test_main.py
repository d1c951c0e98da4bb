"""`longtake VERB`: what is loaded for what is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline import __version__
from pipeline.main import MODULES, group

HEAVY = ("torch", "numpy", "cv2", "av", "pyarrow", "ray", "diffusers", "transformers", "PIL", "pydantic", "fsspec")
MEASURED = f"""
import runpy, sys
sys.argv[1:] = ["--version"]
try:
    {{start}}
except SystemExit as end:
    assert end.code == 0, end.code
print([name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "start",
    [
        "sys.argv[0] = 'longtake'; from pipeline.main import main; main()",
        "runpy.run_module('pipeline.main', run_name='__main__', alter_sys=True)",
    ],
    ids=["longtake", "python -m pipeline.main"],
)
def test_the_version_is_told_without_loading_what_renders(start: str) -> None:
    code = [sys.executable, "-c", MEASURED.format(start=start)]
    version, loaded = subprocess.run(code, capture_output=True, text=True, check=True).stdout.splitlines()
    assert version.endswith(f"version {__version__}")
    assert loaded == "[]"


def test_every_command_is_there_and_says_what_it_does() -> None:
    context = group.make_context("longtake", ["render"])
    assert sorted(MODULES) == group.list_commands(context)
    for name in MODULES:
        command = group.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str()
    assert group.get_command(context, "rendr") is None
