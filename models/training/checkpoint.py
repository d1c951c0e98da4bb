"""A run's state on disk: a folder a checkpoint, and a file that names the one that counts.

The name is replaced in one step after the folder is complete, so a run that dies while writing goes on from the
checkpoint before.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

LATEST = "latest"


def save(
    out: Path, step: int, network: nn.Module, mean: nn.Module, optimiser: Optimizer, facts: dict[str, Any]
) -> None:
    """Write the state after `step` steps; older checkpoints are removed afterwards."""
    folder = out / f"step-{step:08}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, tensors in (
        ("network", network.state_dict()),
        ("mean", mean.state_dict()),
        ("optimiser", _flat(optimiser)),
    ):
        save_file(
            {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, folder / f"{name}.safetensors"
        )
    (folder / "facts.json").write_text(json.dumps({"step": step, **facts}, indent=1, sort_keys=True))
    for written in folder.iterdir():
        _sync(written)
    _sync(folder)
    pointer = out / f"{LATEST}.new"
    pointer.write_text(folder.name)
    _sync(pointer)
    os.replace(pointer, out / LATEST)
    _sync(out)
    for other in out.glob("step-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def facts(out: Path) -> dict[str, Any] | None:
    """What the checkpoint that counts says of itself; None where there is none."""
    if not (out / LATEST).exists():
        return None
    found: dict[str, Any] = json.loads((_folder(out) / "facts.json").read_text())
    return found


def load(out: Path, network: nn.Module, mean: nn.Module, optimiser: Optimizer) -> None:
    """Give the checkpoint's state back."""
    folder = _folder(out)
    network.load_state_dict(load_file(folder / "network.safetensors"))
    mean.load_state_dict(load_file(folder / "mean.safetensors"))
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in load_file(folder / "optimiser.safetensors").items():
        number, name = key.split(".")
        state.setdefault(int(number), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _folder(out: Path) -> Path:
    return out / (out / LATEST).read_text().strip()


def _flat(optimiser: Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value) for number, held in state.items() for name, value in held.items()
    }


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
