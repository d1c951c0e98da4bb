"""Copying a folder of weights: file by file, continued where it stopped, each checked before it takes its name.

What is on its way lies beside its place as `<file>.part`; `weights.json` in the folder keeps size, stamp and sha256 of
what has arrived, so that a second run reads nothing again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from models.families.protocol import Family
from pipeline.core.errors import InputError, OutputError, WeightsError
from pipeline.core.safe_text import redact
from pipeline.intake.weight_tree import FoundFile, check_complete, find_tree, inspect, told_sha256
from pipeline.sources import urls
from pipeline.store.digests import sha256_of_file
from pipeline.store.small_json import parse_json

CHUNK = 4 << 20
RECORD = "weights.json"

Tell = Callable[[str], None]


def fetch_tree(family: Family, url: str, folder: Path, tell: Tell = lambda text: None) -> Iterator[str]:
    """Copy what is there of a family's tree into `folder`; yields a line for each file.

    Raises WeightsError where needed files are missing at the address, or one is not what it should be; what was right
    stays. Raises OutputError where the folder cannot be written.
    """
    found = find_tree(family, url)
    check_complete(family, found)
    arrived = _arrived(folder)
    for one in found.files:
        if _is_there(folder / one.name, arrived.get(one.name), one):
            yield f"{one.name}: already there"
            continue
        tell(f"{one.name}: fetching {one.size:,} bytes")
        with _writing(folder):
            digest = _fetch(family, one, folder / one.name)
            arrived[one.name] = {"size": one.size, "stamp": one.stamp, "sha256": digest}
            _write(folder, arrived)
        yield f"{one.name}: {one.size:,} bytes, sha256 {digest}"


def _fetch(family: Family, one: FoundFile, target: Path) -> str:
    """Bring one file to its place and return its sha256."""
    part, mark = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.stamp")
    part.parent.mkdir(parents=True, exist_ok=True)
    if not (part.exists() and mark.exists() and mark.read_text() == one.stamp and part.stat().st_size <= one.size):
        part.unlink(missing_ok=True)  # of another version of the file
        mark.write_text(one.stamp)
    told = _download(one, part)
    digest = sha256_of_file(part)
    try:
        if told is not None and told != digest:
            raise WeightsError(f"{one.name}: has arrived with sha256 {digest}, its store says {told}; run again")
        _inspect(part, one, family)
    except WeightsError:
        part.unlink()
        raise
    os.replace(part, target)
    mark.unlink()
    return digest


def _inspect(part: Path, one: FoundFile, family: Family) -> None:
    """Look at a file that has not got its name yet, by a link that ends as the name does: it tells the format."""
    link = part.with_name(f".{part.stem.removesuffix(Path(one.name).suffix)}-check{Path(one.name).suffix}")
    link.unlink(missing_ok=True)
    link.symlink_to(part.name)
    try:
        inspect(link, one.file, family)
    finally:
        link.unlink()


def _download(one: FoundFile, part: Path) -> str | None:
    """Read on from where `part` ends. Returns the sha256 that the store tells of the file, if it does."""
    with urls.reading(one.url):
        fs, path = urls.file_system(one.url)
        told = told_sha256(fs.info(path))
        stream = fs.open(path, "rb", block_size=CHUNK)
    have = part.stat().st_size if part.exists() else 0
    with stream, part.open("ab") as file:
        with urls.reading(one.url):
            stream.seek(have)
        while have < one.size:
            with urls.reading(one.url):
                chunk = stream.read(min(CHUNK, one.size - have))
            if not chunk:
                raise InputError(f"{redact(one.url)}: ended after {have:,} of {one.size:,} bytes; run again")
            file.write(chunk)
            have += len(chunk)
    return told


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"--to {folder}: cannot be written ({error.strerror or error}); choose a folder on a disk with room for "
            "the files"
        ) from error


def _is_there(target: Path, entry: dict[str, object] | None, one: FoundFile) -> bool:
    if not target.exists() or entry is None:
        return False
    same = (entry.get("size"), entry.get("stamp")) == (one.size, one.stamp)
    return same and target.stat().st_size == one.size


def _arrived(folder: Path) -> dict[str, dict[str, object]]:
    try:
        found = parse_json((folder / RECORD).read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _write(folder: Path, arrived: dict[str, dict[str, object]]) -> None:
    path = folder / RECORD
    partial = path.with_name(f".{RECORD}")
    partial.write_text(json.dumps(arrived, indent=1) + "\n")
    os.replace(partial, path)
