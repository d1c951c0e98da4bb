"""The files that come with Longtake are those that were compared with their networks, so a render need not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from models.families.registry import FAMILIES
from models.weights.loading import inspect
from models.weights.shipped import FOLDER, SUMS, shipped_sha256

SHIPPED = [(name, file) for name in ("photo", "mini") for file in FAMILIES[name].tree]


@pytest.mark.parametrize(("family", "file"), SHIPPED, ids=[f"{name}-{file.path}" for name, file in SHIPPED])
def test_a_listed_file_fits_its_network(family: str, file) -> None:  # type: ignore[no-untyped-def]
    path = FOLDER / family / file.path
    assert hashlib.sha256(path.read_bytes()).hexdigest() in shipped_sha256(family)
    inspect(path, file, FAMILIES[family].networks)  # type: ignore[arg-type]


def test_the_lists_are_those_of_sha256sum() -> None:
    for family in ("photo", "mini"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=FOLDER / family, check=True)
    assert shipped_sha256("fake") == frozenset()


def test_a_driver_of_shipped_weights_loads_no_network_library(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pipeline import api\n"
        f"catalog = api.load('examples/demo.yaml', output={str(tmp_path)!r})\n"
        "found = api.plan(catalog, check_weights=True)\n"
        "print(len(found.titles), [name for name in ('torch', 'diffusers') if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[-2] == "1 []"
