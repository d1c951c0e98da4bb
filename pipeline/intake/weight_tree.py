"""A folder of weights at an address: which of a family's files are there, and whether each is what it should be."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from models.families.protocol import Family
from models.families.weight_files import WeightFile
from pipeline.core.errors import InputError, SetupError, WeightsError
from pipeline.core.safe_text import redact
from pipeline.sources import urls
from pipeline.sources.inputs import stamp_of

LARGEST = 64 << 30  # bytes


@dataclass(frozen=True)
class FoundFile:
    """A file of the tree as it lies there; `name` is its path in the tree."""

    file: WeightFile
    name: str
    url: str
    size: int
    stamp: str


@dataclass(frozen=True)
class FoundTree:
    """What is there of a family's tree, and what is not."""

    url: str
    files: tuple[FoundFile, ...]
    absent: tuple[WeightFile, ...]

    def has(self, network: str) -> bool:
        return any(found.file.network == network for found in self.files)

    @property
    def lacking(self) -> tuple[WeightFile, ...]:
        """Absent files that are needed with what is there."""
        return tuple(file for file in self.absent if not file.optional or self.has(file.along_with))


def find_tree(family: Family, url: str) -> FoundTree:
    """Look which files are there, without reading them. Raises InputError where the address cannot be asked."""
    files: list[FoundFile] = []
    absent: list[WeightFile] = []
    for file in family.tree:
        if file.along_with and not any(found.file.network == file.along_with for found in files):
            absent.append(file)  # of no use without the other
            continue
        for name in file.paths:
            address = joined(url, name)
            if _exists(address):
                size, stamp = stamp_of(address, LARGEST)
                files.append(FoundFile(file, name, address, size, stamp))
                break
        else:
            absent.append(file)
    return FoundTree(url, tuple(files), tuple(absent))


def check_complete(family: Family, found: FoundTree) -> None:
    """Raises WeightsError, naming every file that is needed and not there."""
    where = redact(found.url)
    if found.lacking:
        raise WeightsError(
            "\n".join(f"weights {where}: {file.path} is missing ({file.purpose})" for file in found.lacking)
            + f"\n`longtake weights check {where}` shows what is there; "
            f"`longtake weights fetch {where} --to DIR` copies a complete folder"
        )
    if not found.files:
        raise WeightsError(f"weights {where}: none of the files of family {family.name} is there; correct the address")


def joined(url: str, name: str) -> str:
    return os.path.join(url, name) if urls.is_local(url) else f"{url.rstrip('/')}/{name}"


def _exists(address: str) -> bool:
    with urls.reading(address):
        if urls.is_local(address):
            return os.path.exists(urls.local_path(address))
        fs, path = urls.file_system(address)
        return bool(fs.exists(path))


class TensorFacts(TypedDict, total=False):
    """Of a file with tensors: how many, their types, and those that inference never uses."""

    tensors: int
    types: list[str]
    unused: list[str]


def inspect(path: Path, file: WeightFile, family: Family) -> TensorFacts:
    """Compare a file with its network: number of tensors, their types, and those that inference never uses.

    Nothing of a file without tensors. Raises WeightsError.
    """
    if not file.holds_tensors:
        return {}
    try:
        weights = importlib.import_module("models.weights.loading")  # here, because it brings torch into the driver
    except ImportError as error:
        raise SetupError(f"reading weights needs {error.name}, which is not installed; install longtake") from error
    try:
        found = weights.inspect(path, file, family.networks)
    except weights.WeightsProblem as error:
        raise WeightsError(str(error)) from error
    return {"tensors": found.tensors, "types": list(found.types), "unused": list(found.unused)}


def differs_from_published(file: WeightFile, size: int, sha256: str) -> bool:
    return bool(file.sha256) and (size, sha256) != (file.size, file.sha256)


def told_sha256(info: Mapping[str, object]) -> str | None:
    """The sha256 that a hub tells of a large file without its being read."""
    lfs = info.get("lfs")
    return (lfs.get("sha256") or lfs.get("oid")) if isinstance(lfs, Mapping) else None


def reachable(url: str) -> str:
    """A folder of weights as given on the command line, as an absolute address. Raises InputError."""
    try:
        return urls.resolve(url, "./command-line")
    except ValueError as error:
        raise InputError(f"{redact(url)}: {error}") from error
