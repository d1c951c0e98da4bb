"""The table of families: light enough for a driver, and its hashes outlive the moving of modules."""

import importlib
import subprocess
import sys
from dataclasses import replace

import pytest

from models.families.registry import FAMILIES, load_part

FIRST_NAMES = {"fake": "models.fake", **dict.fromkeys(("mini", "photo", "hallo2"), "models.networks")}
"""The modules whose names entered the hashes when there was nothing else to enter."""


@pytest.mark.parametrize("module", ["models.families.registry", "models.families.fake", "pipeline.render"])
def test_a_driver_knows_the_families_without_torch(module: str) -> None:
    code = f"import sys, {module}; print([n for n in ('torch', 'diffusers', 'transformers') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_whose_module_moved_keeps_its_hash(name: str) -> None:
    family = FAMILIES[name]
    assert family.default_weights_hash() == replace(family, module=FIRST_NAMES[name]).default_weights_hash()
    assert family.default_weights_hash() != replace(family, module="models.elsewhere").default_weights_hash()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_role_has_a_class_in_the_family_s_module(name: str) -> None:
    parts = importlib.import_module(FAMILIES[name].module).PARTS
    assert set(parts) == {"prepare", "chain", "upscale"}
    assert all(hasattr(part, "numerics") for part in parts.values())


def test_a_family_without_networks_is_refused_by_the_parts_made_of_them() -> None:
    with pytest.raises(ValueError, match="family 'fake' is not made of networks"):
        load_part(replace(FAMILIES["fake"], module=FAMILIES["mini"].module), "chain", None, "cpu")
