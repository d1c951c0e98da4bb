"""Tensors from files into networks: strict about names, shapes and types, and sparing with memory.

A network is made on the meta device, which takes no memory. Its file is mapped, not read: tensors that the device can
use as they are stay in the mapping; others are converted in batches, after each of which the mapping is let go. Pickles
are looked over first (`pickle_scan.py`) and read with `weights_only=True`, which runs no code.

The file may be removed once its network is loaded: a mapping holds on to it.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from models.families.network_config import NetworkConfig
from models.families.weight_files import WeightFile
from models.weights.pickle_scan import PickleTooLarge, scan_file
from models.weights.precision import numbered, settle, tensor_type
from models.weights.recipes import RECIPES, Recipe, Tensors
from models.weights.synthetic import fill

# A file is converted in about 16 batches of its bytes, but none smaller or larger than these.
BATCHES, SMALLEST_BATCH, LARGEST_BATCH = 16, 64 << 20, 256 << 20
LONGEST_NAME = 120  # characters; the longest published one has 92
LISTED = 3  # tensors that a message names before it only counts
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class WeightsProblem(ValueError):
    """A file of weights that cannot be used; the text names file, tensor and remedy."""


@dataclass(frozen=True)
class Inspected:
    """A file that fits its network."""

    tensors: int
    bytes: int
    types: tuple[str, ...]
    unused: tuple[str, ...]
    """Tensors in it that inference never reads."""


def make(name: str, config: NetworkConfig) -> nn.Module:
    """The network `name` on the meta device: shapes without memory."""
    with torch.device("meta"):
        return RECIPES[name].make(config)


def synthetic(name: str, config: NetworkConfig, device: torch.device, kind: torch.dtype = torch.float32) -> nn.Module:
    """The network with weights by the fixed rule, for families without files."""
    network = fill(RECIPES[name].make(config), f"{name}.").eval().requires_grad_(False)
    settle(network, name, device, kind)
    return network


def inspect(path: Path, file: WeightFile, config: NetworkConfig) -> Inspected:
    """Compare a file with its network, without reading its values. Raises WeightsProblem."""
    recipe = RECIPES[file.network]
    network = make(file.network, config)
    given = read(path, file)
    _compare(file, recipe, recipe.holder(network), given)
    unused = [name for name in recipe.unused(config, network) if name in given]
    return Inspected(
        tensors=len(given),
        bytes=sum(tensor.nbytes for tensor in given.values()),
        types=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in given.values()})),
        unused=tuple(unused),
    )


@torch.no_grad()
def load(
    path: Path,
    file: WeightFile,
    config: NetworkConfig,
    device: torch.device | str = "cpu",
    kind: torch.dtype = torch.float32,
) -> nn.Module:
    """The network of a file, for inference in `kind` (`models.weights.precision`) on the device. Raises WeightsProblem.

    Every tensor goes to the device in the type that it is used in, so that loading takes no more memory there than
    running does. Tensors that inference never reads stay on the meta device.
    """
    device = numbered(device)
    recipe = RECIPES[file.network]
    network = make(file.network, config)
    holder = recipe.holder(network)
    given = read(path, file)
    _compare(file, recipe, holder, given)
    unused = set(recipe.unused(config, network))
    names = [name for name in given if name not in unused]
    types = {name: tensor_type(file.network, name, kind) for name in names}
    keep = all(given[name].dtype == types[name] for name in names if given[name].is_floating_point())
    for batch in _batches(names, given):
        given = read(path, file, known=True)  # a fresh mapping: the pages of the one before are let go
        values = {name: _as_used(given[name], device, types[name], keep) for name in batch}
        holder.load_state_dict(values, strict=False, assign=True)
    recipe.finish(network)
    settle(network, file.network, device, kind)
    lacking = [name for name, value in holder.named_buffers() if value.is_meta and name not in unused]
    if lacking:
        raise WeightsProblem(f"{file.path}: no file holds {_listed(lacking)}; use another version of the library")
    return network.eval().requires_grad_(False)


def read(path: Path, file: WeightFile, *, known: bool = False) -> Tensors:
    """The tensors of a file under our names, mapped where the format allows. Raises WeightsProblem.

    `known`: the file has been read before, so that it need not be looked over again.
    """
    try:
        tensors = _safetensors(path) if path.suffix == ".safetensors" else _pickle(path, file, known)
    except WeightsProblem:
        raise
    except PickleTooLarge as error:
        raise WeightsProblem(f"{file.path}: refused: {error}; {_REMEDY}") from error
    except Exception as error:  # damaged files fail in many ways
        raise WeightsProblem(f"{file.path}: {_told(error, path)}") from error
    odd = [name for name, value in tensors.items() if value.layout != torch.strided or value.is_quantized]
    if odd:
        raise WeightsProblem(f"{file.path}: {_listed(odd)} is sparse or quantised, expected plain numbers; {_REMEDY}")
    return RECIPES[file.network].from_file(tensors)


def _safetensors(path: Path) -> Tensors:
    with safe_open(str(path), "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  no mapping


def _pickle(path: Path, file: WeightFile, known: bool) -> Tensors:
    archive = zipfile.is_zipfile(path)
    if archive:
        _check_archive(path, file)
    if not known:
        scan_file(path, archive)
    # Only archives can be mapped; files older than 2020 are read whole.
    found = torch.load(path, map_location="cpu", mmap=archive or None, weights_only=True)
    if file.key:
        if not isinstance(found, dict) or file.key not in found:
            has = f"has {_listed(list(found))}" if isinstance(found, dict) else f"holds {type(found).__name__}"
            raise WeightsProblem(f"{file.path}: expected its tensors under {file.key!r}, but it {has}; {_REMEDY}")
        found = found[file.key]
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise WeightsProblem(f"{file.path}: holds {type(found).__name__}, expected named tensors; {_REMEDY}")
    others = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if others:
        raise WeightsProblem(f"{file.path}: {_listed(others)} is no tensor; {_REMEDY}")
    return dict(found)


def _check_archive(path: Path, file: WeightFile) -> None:
    """Tensors are stored as they are: what is packed could unfold to any size."""
    with zipfile.ZipFile(path) as opened:
        packed = [one.filename for one in opened.infolist() if one.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise WeightsProblem(f"{file.path}: {_listed(packed)} is compressed, which no file of tensors is; {_REMEDY}")


_REMEDY = "use the published file, for example by `longtake weights fetch`"


def _told(error: Exception, path: Path) -> str:
    if isinstance(error, pickle.UnpicklingError):
        asked = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it asks for {asked[1]}" if asked else _first_sentence(error)
        return (
            f"refused: it holds something other than tensors, which could run code when it is read ({what}); {_REMEDY}"
        )
    size = path.stat().st_size if path.exists() else 0
    found = f"it has {size:,} bytes and is cut short or no file of tensors ({_first_sentence(error)})"
    return f"cannot be read: {found}; {_REMEDY}"


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).partition(". ")[0][:160] or type(error).__name__


def _compare(file: WeightFile, recipe: Recipe, holder: nn.Module, given: Tensors) -> None:
    """Raises WeightsProblem with everything that does not fit."""
    wanted: dict[str, Tensor] = holder.state_dict()
    missing = [name for name in wanted if name not in given and name not in recipe.may_lack]
    extra = [name for name in given if name not in wanted]
    shapes = [name for name in wanted if name in given and given[name].shape != wanted[name].shape]
    types = [
        name for name in wanted if name in given and wanted[name].is_floating_point() != (given[name].dtype in FLOATS)
    ]
    faults = []
    if missing:
        faults.append(f"{_listed(missing)} missing, expected {_shape(wanted[missing[0]])}")
    if extra:
        faults.append(f"{_listed(extra)} not known, found {_shape(given[extra[0]])}")
    for name in shapes[:LISTED]:
        faults.append(f"{name} has the shape {_shape(given[name])}, expected {_shape(wanted[name])}")
    if len(shapes) > LISTED:
        faults.append(f"{len(shapes) - LISTED} more have other shapes than expected")
    if types:
        kind = str(given[types[0]].dtype).removeprefix("torch.")
        faults.append(f"{_listed(types)} is of type {kind}, expected {_kind(wanted[types[0]])}")
    if faults:
        raise WeightsProblem(f"{file.path}: {'; '.join(faults)}; {_REMEDY}")


def _listed(names: Iterable[Any]) -> str:
    names = list(names)
    # Names come from the file: a key that is no text could be endless once written out.
    shown = ", ".join(_name(name) if isinstance(name, str) else type(name).__name__ for name in names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown or "nothing"


def _name(text: str) -> str:
    text = text if text.isprintable() else ascii(text[:LONGEST_NAME])
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _kind(tensor: Tensor) -> str:
    return "a floating-point type" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")


def _batches(names: list[str], tensors: Tensors) -> Iterator[list[str]]:
    share = sum(tensors[name].nbytes for name in names) // BATCHES
    limit = min(max(share, SMALLEST_BATCH), LARGEST_BATCH)
    batch: list[str] = []
    size = 0
    for name in names:
        batch.append(name)
        size += tensors[name].nbytes
        if size >= limit:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _as_used(value: Tensor, device: torch.device, kind: torch.dtype, keep: bool) -> Tensor:
    """Of type `kind` on the device; `keep` a tensor that is so already, else a copy, which lets the mapping go."""
    kind = kind if value.is_floating_point() else value.dtype
    # The type before the device: a wider one would take its memory there, too.
    return value.to(kind, copy=not keep and device.type == "cpu").to(device)
