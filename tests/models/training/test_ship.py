"""What runs have reached becomes a folder of weights that a render can use, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.families.mini import MINI
from models.families.registry import MINI_FAMILY
from models.training.ship import ship
from models.weights.loading import WeightsProblem
from models.weights.recipes import RECIPES


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    for file in MINI_FAMILY.tree:
        network = RECIPES[file.network].make(MINI)
        folder = tmp_path / file.network / "weights"
        folder.mkdir(parents=True)
        save_file(RECIPES[file.network].holder(network).state_dict(), folder / file.path)
    return [tmp_path / file.network for file in MINI_FAMILY.tree]


def test_half_precision_in_one_folder(runs: list[Path], tmp_path: Path) -> None:
    sizes = ship(runs, tmp_path / "shipped", MINI_FAMILY)
    assert set(sizes) == {file.path for file in MINI_FAMILY.tree}
    tensors = load_file(tmp_path / "shipped" / "chain.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}


def test_what_cannot_be_used_is_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsProblem, match=r"holds .*vae\.safetensors.*: train the stage"):
        ship(runs[:1], tmp_path / "part", MINI_FAMILY)
    with pytest.raises(WeightsProblem, match=r"more than one file of a name: chain\.safetensors"):
        ship([*runs, tmp_path / "chain" / "weights"], tmp_path / "twice", MINI_FAMILY)
    enlarger = tmp_path / "enlarger" / "weights" / "enlarger.safetensors"
    tensors = load_file(enlarger)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    save_file(tensors | {name: torch.full_like(tensors[name], 1e6)}, enlarger)
    with pytest.raises(WeightsProblem, match=f"{name} holds numbers beyond half precision"):
        ship(runs, tmp_path / "endless", MINI_FAMILY)
