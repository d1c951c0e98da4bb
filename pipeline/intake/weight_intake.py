"""From the address of a folder of weights to checked files in the output store, where workers read them.

Files are named by content. `_weights/<address>.json` keeps size, stamp and sha256 of each, so gigabytes are hashed and
checked once; a file is read again when its size or stamp has changed, or when the family has.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from models.families.protocol import Family
from models.weights.shipped import shipped_sha256, shipped_weights
from pipeline.core.errors import DamagedObject, MissingObject, WeightsError
from pipeline.core.safe_text import redact
from pipeline.intake.weight_tree import LARGEST, FoundFile, FoundTree, check_complete, find_tree, inspect
from pipeline.sources import urls
from pipeline.sources.inputs import SourceFile, fetch
from pipeline.sources.signatures import address_key
from pipeline.store.digests import is_sha256
from pipeline.store.record import Stored
from pipeline.store.small_json import get_json, put_changed
from pipeline.store.store import Store
from pipeline.store.suspect_inputs import clear_suspicion, is_there, suspect_inputs
from pipeline.titles.title_hashes import digest, weights_hash

CHECK_REVISION = 1  # raised when files that were found to be right must be looked at again

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Weights:
    """The files of a plan, by name in the tree. Without any, the family's own rule makes its weights. `own`: the
    manifest names them."""

    files: tuple[tuple[str, Stored], ...] = ()
    hash: str | None = None
    own: bool = False


NO_WEIGHTS = Weights()


def find_weights(family: Family, url: str | None) -> FoundTree | None:
    """What is there at the manifest's address, or of the shipped weights; None for a family that goes without.

    Reads no file. Raises WeightsError where files are missing, where weights are needed and none given, or the other
    way round.
    """
    url = url or shipped_weights(family.name)
    if url is None:
        if family.needs_weights:
            raise WeightsError(
                f"weights missing: family {family.name} needs a folder of them; add `weights: PATH` to the manifest "
                "(a folder, s3://… or hf://fudan-generative-ai/hallo2)"
            )
        return None
    if not family.tree:
        raise WeightsError(f"weights {redact(url)}: family {family.name} has no weights; remove the key `weights`")
    found = find_tree(family, url)
    check_complete(family, found)
    return found


def take_weights(
    family: Family, found: FoundTree | None, store: Store, tell: Tell = lambda text: None, *, write: bool = True
) -> Weights:
    """Hash and check every file, then copy what the store does not have; with `write` off, copy nothing.

    Raises WeightsError with everything that is wrong with any of them.
    """
    if found is None:
        return NO_WEIGHTS
    known, suspects = _remembered(store, family, found.url), suspect_inputs(store)
    right = shipped_sha256(family.name)  # looking into a file takes seconds: the networks' libraries are loaded for it
    taken: list[tuple[FoundFile, SourceFile]] = []
    waiting: list[tuple[Stored, Path]] = []
    problems: list[str] = []
    for one in found.files:
        entry = known.get(one.name)
        if entry and (entry["size"], entry["stamp"]) == (one.size, one.stamp):
            source = SourceFile(one.url, entry["sha256"], one.size, one.stamp)
            if not write or is_there(store, _stored(source), suspects):
                taken.append((one, source))
                continue
        tell(f"weights: reading {redact(one.url)} ({one.size:,} bytes)")
        with tempfile.TemporaryDirectory(prefix="longtake-weights-") as folder:
            path, source = fetch(one.url, folder, LARGEST)
            try:
                if source.sha256 not in right:
                    inspect(path, one.file, family)
            except WeightsError as error:
                problems.append(f"weights {redact(found.url)}: {error}")
                continue
            taken.append((one, source))
            if urls.is_local(one.url):
                waiting.append((_stored(source), path))  # copied when all are known to be right
            elif write:
                store.put_file(_stored(source).key, path)
                clear_suspicion(store, _stored(source))
    if problems:
        raise WeightsError("\n".join(problems))
    if write:
        for stored, path in waiting:
            if not is_there(store, stored, suspects):
                tell(f"weights: copying {path} to the output")
                store.put_file(stored.key, path)
                clear_suspicion(store, stored)
        _remember(store, family, found.url, taken)
    return _weights([(one.name, source) for one, source in taken], family, found.url)


def cached_weights(family: Family, url: str | None, store: Store) -> Weights | None:
    """What `take_weights` gave when it last saw the address; None where it never did."""
    url = url or shipped_weights(family.name)
    if url is None or not family.tree:
        return NO_WEIGHTS
    known = _remembered(store, family, url)
    if not known:
        return None
    files = [(name, SourceFile(url, e["sha256"], e["size"], e["stamp"])) for name, e in known.items()]
    return _weights(files, family, url)


def _weights(files: list[tuple[str, SourceFile]], family: Family, url: str) -> Weights:
    named = sorted((name, _stored(source)) for name, source in files)
    own = url != shipped_weights(family.name)
    return Weights(tuple(named), weights_hash((name, stored.sha256) for name, stored in named), own)


def _stored(source: SourceFile) -> Stored:
    return Stored(f"_inputs/{source.sha256}", source.sha256, source.size)


def _key(url: str) -> str:
    """By the shown address, as ever, where it hides nothing; else two addresses could look the same."""
    shown = redact(url)
    return f"_weights/{digest(shown if shown == url else [shown, address_key(url)])[:16]}.json"


def _checked(family: Family) -> str:
    """What files were compared with: another network, and they must be looked at again."""
    return digest([CHECK_REVISION, family.name, asdict(family)["networks"], asdict(family)["tree"]])


class _Entry(TypedDict):
    """What is kept of one file of weights."""

    name: str
    sha256: str
    size: int
    stamp: str


def _remembered(store: Store, family: Family, url: str) -> dict[str, _Entry]:
    try:
        record = get_json(store, _key(url))
        if record["checked"] != _checked(family):
            return {}
        return {entry["name"]: entry for entry in record["files"] if _fits(entry)}
    except (MissingObject, DamagedObject, KeyError, TypeError):
        return {}


def _fits(entry: Mapping[str, object]) -> bool:
    return is_sha256(entry["sha256"]) and type(entry["size"]) is int and isinstance(entry["stamp"], str)


def _remember(store: Store, family: Family, url: str, taken: list[tuple[FoundFile, SourceFile]]) -> None:
    files = [
        {"name": one.name, "sha256": source.sha256, "size": source.size, "stamp": source.stamp} for one, source in taken
    ]
    record = {"url": redact(url), "family": family.name, "checked": _checked(family), "files": files}
    data = (json.dumps(record, indent=1) + "\n").encode()
    put_changed(store, _key(url), data)
