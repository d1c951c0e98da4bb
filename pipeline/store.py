"""Object storage: a folder, `memory://` or any fsspec URL, behind one small interface.

Three guarantees that everything else leans on:

* `put` replaces an object whole: a reader sees the old bytes or the new ones, never a mixture;
* `create` writes an object only if the key is free, and says whether it did: of two racing writers one wins;
* what `put` or `create` has returned from survives the death of this process.

On a local disk that means temporary file, fsync, then `rename` (put) or `link` (create).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pipeline.errors import MissingObject, OutputError, StoreError
from pipeline.redact import redact

T = TypeVar("T")

COPY_CHUNK = 4 << 20


class Store(ABC):
    """Keys are relative POSIX paths; `url` is where they lie, without credentials in `str()`."""

    def __init__(self, url: str):
        self.url = url

    def __str__(self) -> str:
        return redact(self.url)

    @abstractmethod
    def get(self, key: str) -> bytes:
        """The whole object. Raises MissingObject."""

    @abstractmethod
    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of the object, fewer where it ends earlier. Raises MissingObject."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None: ...

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Write the object unless the key is taken; True if this call wrote it."""

    @abstractmethod
    def put_file(self, key: str, path: Path) -> None:
        """As `put`, streamed from a local file."""

    @abstractmethod
    def get_file(self, key: str, path: Path) -> None:
        """Stream the object into a local file. Raises MissingObject."""

    @abstractmethod
    def exists(self, key: str) -> bool: ...

    @abstractmethod
    def size(self, key: str) -> int:
        """Bytes of the object. Raises MissingObject."""

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """Sorted keys of the objects directly in the folder `prefix`. A hint only: it may lag behind."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """Sorted names of the folders directly in the folder `prefix`. A hint only."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object if it is there."""

    def honours_create(self) -> bool:
        """Whether this store really refuses to create an object twice."""
        key = f"_probe/{uuid.uuid4().hex}"
        try:
            return self.create(key, b"first") and not self.create(key, b"second") and self.get(key) == b"first"
        finally:
            self.delete(key)


def open_store(url: str) -> Store:
    """The store at a folder path or an fsspec URL. Raises OutputError for an address that cannot be one."""
    scheme = urlsplit(url).scheme
    if scheme in ("", "file"):
        return LocalStore(url.removeprefix("file://"))
    return RemoteStore(url)


def check_key(key: str) -> str:
    parts = key.split("/")
    if not key or any(part in ("", ".", "..") for part in parts) or "\\" in key or "\0" in key:
        raise StoreError(f"object key {key!r}: expected a relative path without empty, '.' or '..' parts")
    return key


class LocalStore(Store):
    """A folder on a local or shared file system."""

    def __init__(self, root: str):
        self.root = Path(os.path.abspath(os.path.expanduser(root)))
        super().__init__(str(self.root))

    def path(self, key: str) -> Path:
        return self.root / check_key(key)

    def get(self, key: str) -> bytes:
        with self._missing(key):
            return self.path(key).read_bytes()

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        with self._missing(key), self.path(key).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def put(self, key: str, data: bytes) -> None:
        with self._temporary(key) as temporary:
            _write(temporary, data)
            os.replace(temporary, self.path(key))

    def create(self, key: str, data: bytes) -> bool:
        with self._temporary(key) as temporary:
            _write(temporary, data)
            try:
                os.link(temporary, self.path(key))
            except FileExistsError:
                return False
            _sync_folder(self.path(key).parent)
            return True

    def put_file(self, key: str, path: Path) -> None:
        with self._temporary(key) as temporary:
            with path.open("rb") as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target, COPY_CHUNK)
                target.flush()
                os.fsync(target.fileno())
            os.replace(temporary, self.path(key))

    def get_file(self, key: str, path: Path) -> None:
        with self._missing(key):
            shutil.copyfile(self.path(key), path)

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def size(self, key: str) -> int:
        with self._missing(key):
            return self.path(key).stat().st_size

    def list(self, prefix: str) -> list[str]:
        return sorted(f"{prefix}/{entry.name}" for entry in self._entries(prefix) if entry.is_file())

    def folders(self, prefix: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(prefix) if entry.is_dir())

    def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.path(key).unlink()

    def _entries(self, prefix: str) -> list[os.DirEntry[str]]:
        try:
            folder = self.path(prefix) if prefix else self.root
            return [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    @contextlib.contextmanager
    def _missing(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise MissingObject(f"{key}: no such object in {self}") from error

    @contextlib.contextmanager
    def _temporary(self, key: str) -> Iterator[Path]:
        target = self.path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)
        except (PermissionError, NotADirectoryError) as error:
            raise OutputError(
                f"output {self}: cannot write {key} ({error.strerror}); choose a folder that you may write to"
            ) from error
        except OSError as error:
            raise StoreError(f"output {self}: writing {key} failed ({error.strerror or error})") from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Tried again after these waits (seconds, each times a random 0.5-1.5): a minute of trouble is ridden out,
# after which the caller decides.
RETRY_WAITS = (0.2, 0.5, 1.0, 3.0, 8.0, 20.0)


class RemoteStore(Store):
    """Any fsspec file system that knows create-only puts (S3 through s3fs, memory)."""

    def __init__(self, url: str):
        super().__init__(url.rstrip("/"))
        import fsspec

        options: dict[str, Any] = {}
        if urlsplit(url).scheme in ("s3", "s3a"):
            # Listings must not come from this process's memory: other workers write too.
            options = {"use_listings_cache": False, "skip_instance_cache": True}
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url, **options)
        except (ValueError, ImportError) as error:
            raise OutputError(f"output {self}: {error}; expected a folder or a URL such as s3://bucket/path") from error

    def path(self, key: str) -> str:
        return f"{self.root}/{check_key(key)}"

    def get(self, key: str) -> bytes:
        return self._try(key, lambda: self.fs.cat_file(self.path(key)))

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        if stop <= start:
            return b""
        return self._try(key, lambda: self.fs.cat_file(self.path(key), start=start, end=stop))

    def put(self, key: str, data: bytes) -> None:
        self._try(key, lambda: self.fs.pipe_file(self.path(key), data))

    def create(self, key: str, data: bytes) -> bool:
        def attempt() -> bool:
            try:
                self.fs.pipe_file(self.path(key), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                # SeaweedFS's 412 reaches s3fs users as a plain OSError.
                if any(word in str(error) for word in ("PreconditionFailed", "pre-conditions", "412")):
                    return False
                raise
            return True

        return self._try(key, attempt)

    def put_file(self, key: str, path: Path) -> None:
        self._try(key, lambda: self.fs.put_file(str(path), self.path(key)))

    def get_file(self, key: str, path: Path) -> None:
        self._try(key, lambda: self.fs.get_file(self.path(key), str(path)))

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except MissingObject:
            return False
        return True

    def size(self, key: str) -> int:
        info = self._try(key, lambda: self.fs.info(self.path(key), **self._fresh()))
        if info["type"] != "file":
            raise MissingObject(f"{key}: no such object in {self}")
        return info["size"]

    def list(self, prefix: str) -> list[str]:
        return sorted(f"{prefix}/{name}" for name, kind in self._entries(prefix) if kind == "file")

    def folders(self, prefix: str) -> list[str]:
        return sorted(name for name, kind in self._entries(prefix) if kind == "directory")

    def delete(self, key: str) -> None:
        with contextlib.suppress(MissingObject):
            self._try(key, lambda: self.fs.rm_file(self.path(key)))

    def _fresh(self) -> dict[str, bool]:
        return {"refresh": True} if "s3" in self._protocols() else {}

    def _protocols(self) -> tuple[str, ...]:
        protocol = self.fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def _entries(self, prefix: str) -> list[tuple[str, str]]:
        path = f"{self.root}/{check_key(prefix)}" if prefix else self.root
        try:
            found = self._try(prefix, lambda: self.fs.ls(path, detail=True, **self._fresh()))
        except MissingObject:
            return []
        return [(item["name"].rstrip("/").rsplit("/", 1)[-1], item["type"]) for item in found]

    def _try(self, key: str, action: Callable[[], T]) -> T:
        """Run `action`, again after a wait where the fault may pass; faults become errors of ours."""
        for wait in (*RETRY_WAITS, None):
            try:
                return action()
            except FileNotFoundError as error:
                raise MissingObject(f"{key}: no such object in {self}") from error
            except PermissionError as error:
                raise OutputError(
                    f"output {self}: access to {key} denied; check the credentials in the environment and the "
                    "bucket's policy"
                ) from error
            except Exception as error:
                if not _may_pass(error) or wait is None:
                    raise StoreError(f"output {self}: {key}: {redact(str(error)) or type(error).__name__}") from error
                time.sleep(wait * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")


def _may_pass(error: Exception) -> bool:
    """Whether a fault of a remote store is of the passing kind: connections, time-outs, 5xx."""
    if isinstance(error, (TimeoutError, ConnectionError, OSError)):
        return True
    # botocore's and aiohttp's own trees do not descend from OSError.
    return type(error).__module__.split(".")[0] in ("botocore", "aiobotocore", "aiohttp", "urllib3")
