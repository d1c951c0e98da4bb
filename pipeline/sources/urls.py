"""Where inputs lie: a local path or an fsspec URL, joined and read in one way."""

from __future__ import annotations

import contextlib
import difflib
import os
import posixpath
import re
import stat
import unicodedata
from collections.abc import Iterator
from importlib.util import find_spec
from typing import BinaryIO

import fsspec
from fsspec import AbstractFileSystem

from pipeline.core.errors import InputError
from pipeline.core.safe_text import redact, redact_about
from pipeline.core.scratch import ScratchFull
from pipeline.sources import hub, web

_LOCAL = ("file", "local")
_WEB = ("http", "https")
_BRACKETS = re.compile(r"\[[0-9a-fA-F:.%]*\]")  # a host by its IPv6 address
# What addresses may be of, and the package that reads them. Anything else has its own ways of connecting, or of running
# this machine's tools, which nobody has looked at. `memory`: for tests and trials in one process.
_PACKAGES = {
    "file": "fsspec",
    "memory": "fsspec",
    "s3": "s3fs",
    "s3a": "s3fs",
    "http": "aiohttp",
    "https": "aiohttp",
    "hf": "huggingface_hub",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}


def protocol_of(address: str) -> str:
    """`s3` of `s3://…`; `file` of a local path, with or without `file://`."""
    head, mark, _ = address.partition("://")
    protocol = head.lower() if mark and "/" not in head else "file"
    return "file" if protocol in _LOCAL else protocol


def is_local(address: str) -> bool:
    return protocol_of(address) == "file"


def local_path(address: str) -> str:
    """The path of a local address."""
    for protocol in _LOCAL:
        if address.lower().startswith(f"{protocol}://"):
            return address[len(protocol) + 3 :]
    return address


def has_control(text: str) -> bool:
    """Whether a text holds control characters or halves of characters."""
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def check_address(address: str) -> str | None:
    """What is wrong with an address as written, or None."""
    protocol = protocol_of(address)
    if not address.strip() or has_control(address) or address != address.strip():
        return "expected a path or URL without control characters or spaces at its ends; correct it"
    if "::" in _BRACKETS.sub("", address) and "://" in address:
        return "chained addresses (`a::b://`) are not accepted; unpack the file and name it directly"
    if protocol not in _PACKAGES and protocol in fsspec.available_protocols():
        return f"protocol {protocol}:// is not accepted; name the file by a path or by the URL of its store"
    if protocol not in _PACKAGES:
        near = difflib.get_close_matches(protocol, ("s3", "gs", "https", "http", "file", "memory", "hf", "az"), 1, 0.4)
        return f"unknown protocol {protocol}://; " + (f"did you mean {near[0]}://?" if near else "use s3:// or a path")
    if find_spec(_PACKAGES[protocol]) is None:
        return f"{protocol}:// needs the package {_PACKAGES[protocol]}; install it"
    if protocol in _WEB and (why := web.refused_address(address)):
        return f"{why}; give the address of a file"
    if protocol == "file" and not local_path(address):
        return "expected a path after file://; correct it"
    return None


def resolve(address: str, base: str) -> str:
    """`address` seen from the manifest at `base`: relative paths start in the manifest's folder.

    Raises ValueError, with text for the user, for an address that cannot be used.
    """
    if fault := check_address(address):
        raise ValueError(fault)
    if not is_local(address):
        return address
    path = os.path.expanduser(local_path(address))
    if os.path.isabs(path):
        return os.path.normpath(path)
    protocol = protocol_of(base)
    if protocol == "file":
        return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(local_path(base))), path))
    # Queries of a signed manifest address are worth nothing for its neighbours.
    whole = base.split("?")[0].split("#")[0] if protocol in _WEB else base
    root, _, inside = whole.partition("://")[2].partition("/")
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(inside), path))
    if joined.startswith(".."):
        raise ValueError("leads out of the bucket or host of the manifest; give the whole URL")
    return f"{protocol}://{root}/{joined}"


@contextlib.contextmanager
def reading(address: str) -> Iterator[None]:
    """Faults of the file system below become InputErrors that name the address and say what to do."""
    try:
        yield
    except (InputError, ScratchFull):
        raise
    except Exception as error:  # each file system behind fsspec has an exception tree of its own
        raise InputError(*_explained(error, address), place=redact(address)) from error


def _explained(error: Exception, address: str) -> tuple[str, str]:
    """What is wrong, and what to do."""
    protocol = protocol_of(address)
    if protocol in _WEB and (why := web.refusal_in(error)):
        return why, "give the address of a file"
    match error:
        case FileNotFoundError() if protocol in _WEB:
            return "not found, or the host does not answer", "correct the address"
        case FileNotFoundError():
            return "no such file", "correct the path or put the file there"
        case IsADirectoryError():
            return "is a folder", "name a file in it"
        case NotADirectoryError():
            return "no such file, a part of the path is no folder", "correct the path"
        case PermissionError():
            what = "permissions" if protocol == "file" else "credentials in the environment"
            return "access denied", f"check the {what}"
        case ImportError():
            return redact_about(str(error), address), "install the package that is missing"
    reason = redact_about(" ".join(str(getattr(error, "strerror", None) or error).split()), address)[:200]
    remedy = "check the path" if protocol == "file" else "check address, connection and credentials"
    return f"cannot be read ({reason or type(error).__name__})", remedy


def file_system(address: str) -> tuple[AbstractFileSystem, str]:
    """The fsspec file system of an address and the path in it, never answering from its memory of listings."""
    if is_local(address):
        return fsspec.filesystem("file"), local_path(address)
    guarded = {"get_client": web.client} if protocol_of(address) in _WEB else {}
    if protocol_of(address) == "hf":
        hub.guard()
    fs, path = fsspec.core.url_to_fs(address, **guarded)
    fs.invalidate_cache()
    return fs, path


def open_whole(address: str, size: int | None = None, block: int = 4 << 20) -> BinaryIO:
    """A stream over a file, for reading from its beginning; nothing is held in memory but the part that is read.

    A web host answers one request: what it sends for ranges could be of any length.
    """
    if is_local(address):
        return _open_ordinary(local_path(address))
    fs, path = file_system(address)
    if protocol_of(address) in _WEB:
        return fs.open(path, "rb", block_size=0, size=size or 1)
    return fs.open(path, "rb", block_size=block)


def _open_ordinary(path: str) -> BinaryIO:
    """Raises InputError for a pipe or device, which might be waited for or read without end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError
    raise InputError("is no ordinary file", "name a file on a disk", place=path)
