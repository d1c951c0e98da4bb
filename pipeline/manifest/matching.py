"""Titles of the files that a pattern matches: which files, and the ids that follow from their names.

An id is the file's name in Latin letters: `Глава 1.flac` becomes `glava-1`. Names that would become the same get some
digits of their own. A title that an output holds under the id which earlier versions gave it keeps that.
"""

from __future__ import annotations

import glob
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from anyascii import anyascii
from fsspec import AbstractFileSystem

from pipeline.core.errors import InputError
from pipeline.manifest.table import MAX_TITLES
from pipeline.sources import urls

_LONGEST = 100  # characters of an id
_MAGIC = re.compile(r"[*?\[]")


def matching(pattern: str, holds: Callable[[str, str], bool]) -> Iterator[tuple[str, dict[str, object]]]:
    """Titles of the files that match, in order of their names. `holds`: whether the output has a title of that id made
    of the file at that address."""
    with urls.reading(pattern):
        fs, path = urls.file_system(pattern)
        paths = sorted(one for one in fs.glob(_literal(fs, path)) if not _of_the_system(one, path))
    if len(paths) > MAX_TITLES:
        raise InputError(f"{len(paths):,} files match, expected at most {MAX_TITLES:,}; split the pattern")
    addresses = [one if urls.is_local(pattern) else fs.unstrip_protocol(one) for one in paths]
    names = [PurePosixPath(one).name for one in paths]
    often = Counter(_id(anyascii(PurePosixPath(name).stem)) for name in names)
    for name, address in zip(names, addresses, strict=True):
        stem = PurePosixPath(name).stem
        title, before = _id(anyascii(stem)), _id(stem)
        if not title or often[title] > 1:
            digits = hashlib.sha256(name.encode()).hexdigest()[:6]
            marked = f"{title[: _LONGEST - 7]}-{digits}" if title else f"title-{digits}"
            title = title if title and holds(title, address) else marked
        if before and before != title and holds(before, address):
            title = before
        yield name, {"id": title, "audio": address}


def _id(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-").rstrip(".-")[:_LONGEST]


def _of_the_system(path: str, pattern: str) -> bool:
    """`._name` beside `name` and the like, which file systems and programs keep for themselves."""
    name, wanted = PurePosixPath(path).name, PurePosixPath(pattern).name
    return name.startswith(".") and not wanted.startswith(".")


def _literal(fs: AbstractFileSystem, pattern: str) -> str:
    """The pattern with the folders that are really called so, brackets and all, written as no pattern."""
    *folders, last = pattern.split("/")
    done: list[str] = []
    real = True
    for place, folder in enumerate(folders):
        here = "/".join([*folders[:place], folder])
        real = real and (not _MAGIC.search(folder) or fs.isdir(here))
        done.append(glob.escape(folder) if real else folder)
    return "/".join([*done, last])
