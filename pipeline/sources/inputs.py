"""The files that a catalog names: what exactly are they, and where can they be read?

Remote files are fetched into a folder of the caller's; local ones are read where they lie.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.errors import InputError
from pipeline.core.safe_text import redact
from pipeline.core.scratch import writing_scratch
from pipeline.sources import urls

LARGEST = 64 << 30  # 24 hours of stereo at 96 kHz in 32-bit float
LARGEST_PORTRAIT = 256 << 20  # read whole
PATIENCE = 60.0  # seconds after which a host must have sent
SLOWEST = 1024  # bytes a second
_CHUNK = 4 << 20
_STAMPS = ("ETag", "etag", "blob_id", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "created")


@dataclass(frozen=True)
class SourceFile:
    """An input as it was read. `stamp` changes when the file does: ETag or time of change."""

    url: str
    sha256: str
    size: int
    stamp: str


def stamp_of(url: str, largest: int = LARGEST) -> tuple[int, str]:
    """(size in bytes, stamp) of an input, without reading it; a store that keeps no stamps gives a new one every time.

    Raises InputError for a file that is missing, unreadable, empty, larger than `largest` bytes or no file at all.
    """
    name = redact(url)
    with urls.reading(url):
        if urls.is_local(url):
            facts = os.stat(urls.local_path(url))
            if stat.S_ISDIR(facts.st_mode):
                raise IsADirectoryError
            if not stat.S_ISREG(facts.st_mode):
                raise InputError("is no ordinary file", "name a file on a disk", place=name)
            size, stamp = facts.st_size, str(facts.st_mtime_ns)
        else:
            fs, path = urls.file_system(url)
            size, stamp = _remote_facts(fs.info(path))
    if size == 0:
        raise InputError("is empty (0 bytes)", "put the complete file there", place=name)
    if size > largest:
        raise InputError(f"has {size:,} bytes, expected at most {largest:,}", "give a smaller file", place=name)
    return size, stamp


def name_of(url: str) -> str:
    """The file's own name, as messages have it."""
    path = urls.local_path(url) if urls.is_local(url) else url.partition("://")[2].split("?")[0]
    name = PurePosixPath(path).name
    return "input" if name in ("", "..") else name[-100:]


def fetch(url: str, folder: str | Path, largest: int = LARGEST) -> tuple[Path, SourceFile]:
    """The input as a local file, and what it is. A local input is not copied, a remote one lies in `folder` afterwards.

    Raises InputError as `stamp_of` does, and for a file that changes while it is read.
    """
    size, stamp = stamp_of(url, largest)
    path = Path(urls.local_path(url)) if urls.is_local(url) else _download(url, Path(folder), size)
    digest = hashlib.sha256()
    with urls.reading(url), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        read = file.tell()
    after = stamp_of(url, largest)
    if read != size or after[0] != size or (after[1] != stamp and not stamp.startswith(_NEW)):
        raise InputError("changed while it was read", "run again when it is complete", place=redact(url))
    return path, SourceFile(url, digest.hexdigest(), size, stamp)


_NEW = "new-"  # begins stamps made here


def _download(url: str, folder: Path, size: int) -> Path:
    """Streams the first `size` bytes into a folder made from the URL, under the file's own name."""
    target = folder / hashlib.sha256(url.encode()).hexdigest()[:16] / name_of(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{uuid.uuid4().hex}")
    try:
        with urls.reading(url):
            with urls.open_whole(url, size, _CHUNK) as source, writing_scratch(), partial.open("wb") as file:
                left, started = size, time.monotonic()
                while left > 0 and (chunk := source.read(min(_CHUNK, left))):
                    file.write(chunk)
                    left -= len(chunk)
                    _check_pace(url, size - left, time.monotonic() - started)
            os.replace(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
    return target


def _check_pace(url: str, arrived: int, seconds: float) -> None:
    if seconds > PATIENCE and arrived < SLOWEST * seconds:
        raise InputError(
            f"only {arrived:,} bytes came in {seconds:.0f} seconds",
            "fetch the file to a disk or a store and name it there",
            place=redact(url),
        )


def _remote_facts(info: Mapping[str, object]) -> tuple[int, str]:
    if info.get("type") == "directory":
        raise IsADirectoryError
    size = info.get("size")
    if not isinstance(size, int):
        raise OSError("the store does not tell its size")
    for name in _STAMPS:
        if info.get(name):
            return size, str(info[name]).strip('"')
    return size, _NEW + uuid.uuid4().hex
