"""A folder on a local or shared disk as a store: temporary file, fsync, then `rename` (put) or `link` (create).

Some file systems have no hard links (exFAT, some network disks): there `create` looks before it renames.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pipeline.core.errors import DamagedObject, MissingObject, OutputError, StoreError
from pipeline.core.scratch import writing_scratch
from pipeline.store.store import Listed, Names, Sent, Store, Unfinished, check_key, key_in

COPY_CHUNK = 4 << 20
# Names that begin with a dot are ours while an object is being written; listings do not show them.
_TEMPORARY = "."
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # what a file system without them answers
# Whatever is tried again, these stay: the address is wrong.
_WRONG_PLACE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)
_OF_A_WRITER = re.compile(r"\.[0-9a-f]{32}")


class LocalStore(Store):
    """Writes never leave the folder, even where somebody has put a symbolic link into it."""

    def __init__(self, root: str):
        self.root = Path(os.path.abspath(os.path.expanduser(root)))
        super().__init__(str(self.root))

    def path(self, key: str) -> Path:
        return self.root / check_key(key)

    def get(self, key: str) -> bytes:
        with self._opened(key) as file:
            return file.read()

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        with self._opened(key) as file:
            file.seek(start)
            return file.read(max(0, stop - start))

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
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                # Looking first and then renaming is not one step: drivers keep a lease here, and so are one at a time.
                if self.path(key).exists():
                    return False
                os.replace(temporary, self.path(key))
            _sync_folder(self.path(key).parent)
            return True

    def honours_create(self) -> bool:
        before = os.path.exists(self.root)
        try:
            return super().honours_create() and self._has_links()
        finally:
            if not before:  # nothing stays of a look
                with contextlib.suppress(OSError):
                    self.root.rmdir()

    def _has_links(self) -> bool:
        name = f"_probe-{uuid.uuid4().hex}"
        with self._temporary(name) as temporary:
            _write(temporary, b"")
            try:
                os.link(temporary, self.path(name))
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return False
            self.path(name).unlink(missing_ok=True)
            return True

    def put_file(self, key: str, path: Path) -> Sent:
        whole, size = hashlib.sha256(), 0
        with self._temporary(key) as temporary:
            with path.open("rb") as source, temporary.open("wb") as target:
                while data := source.read(COPY_CHUNK):
                    whole.update(data)
                    size += target.write(data)
                    self.progress()
                target.flush()
                os.fsync(target.fileno())
            os.replace(temporary, self.path(key))
        return Sent(whole.hexdigest(), size)

    def get_file(self, key: str, path: Path) -> None:
        with self._opened(key) as source, writing_scratch(), path.open("wb") as target:
            while data := source.read(COPY_CHUNK):
                target.write(data)
                self.progress()

    def exists(self, key: str) -> bool:
        return os.path.isfile(self.path(key))

    def size(self, key: str) -> int:
        with self._reading(key):
            if not self.path(key).is_file():
                raise FileNotFoundError
            return self.path(key).stat().st_size

    def modified(self, key: str) -> float:
        with self._reading(key):
            if not self.path(key).is_file():
                raise FileNotFoundError
            return self.path(key).stat().st_mtime

    def unfinished(self) -> Iterator[Unfinished]:
        for folder, _, names in os.walk(self.root):
            for name in filter(_OF_A_WRITER.fullmatch, names):
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found = path.lstat()
                    yield Unfinished(str(path.relative_to(self.root)), str(path), found.st_size, found.st_mtime)

    def discard(self, one: Unfinished) -> None:
        with self._writing(one.key):
            self._check_inside(one.key)
            Path(one.handle).unlink(missing_ok=True)

    def list(self, prefix: str) -> Names:
        return sorted(key_in(prefix, entry.name) for entry in self._entries(prefix) if entry.is_file())

    def listed(self, prefix: str, after: str = "") -> Iterator[Listed]:
        for entry in sorted(self._entries(prefix), key=lambda entry: entry.name):
            if entry.name > after:
                with contextlib.suppress(FileNotFoundError):  # removed since
                    if entry.is_file():
                        found = entry.stat()
                        yield Listed(key_in(prefix, entry.name), found.st_size, found.st_mtime)

    def lists_at_once(self) -> bool:
        return True

    def folders(self, prefix: str) -> Names:
        return sorted(entry.name for entry in self._entries(prefix) if entry.is_dir())

    def delete(self, key: str) -> None:
        path = self.path(key)
        with self._writing(key):
            self._check_inside(key)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()

    def _entries(self, prefix: str) -> Sequence[os.DirEntry[str]]:
        folder = self.path(prefix) if prefix else self.root
        try:
            with self._reading(prefix or "the folder"):
                return [entry for entry in os.scandir(folder) if not entry.name.startswith(_TEMPORARY)]
        except MissingObject:
            return []

    def _check_inside(self, key: str) -> None:
        """Raises OutputError where a symbolic link leads from the folder of `key` out of the store."""
        folder = Path(os.path.realpath(self.path(key).parent))
        if not folder.is_relative_to(os.path.realpath(self.root)):
            raise OutputError(
                f"output {self}: {key} would be written to {folder}, because a symbolic link leads there; "
                "remove the link, or choose that folder as the output"
            )

    def _make_folder(self, folder: Path) -> None:
        """Raises OutputError where no folder can ever be, as in /proc."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:
            if os.path.exists(self.root):  # then somebody removes folders while we make them
                raise
            raise OutputError(
                f"output {self}: cannot write there, no folder can be made ({error.strerror}); "
                "choose a folder that you may write to"
            ) from error

    @contextlib.contextmanager
    def _temporary(self, key: str) -> Iterator[Path]:
        """A path beside the object, for bytes that are not yet to be seen; gone afterwards."""
        target = self.path(key)
        with self._writing(key):
            self._check_inside(key)
            self._make_folder(target.parent)
            temporary = target.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[BinaryIO]:
        """An object for reading. Raises DamagedObject for a pipe or device in its place, which might never end."""
        with self._reading(key):
            path = self.path(key)
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                kind = os.fstat(descriptor).st_mode
                if stat.S_ISDIR(kind):
                    raise IsADirectoryError
                if not stat.S_ISREG(kind):
                    raise DamagedObject(f"{key}: is no ordinary file; remove {path}")
            except BaseException:
                os.close(descriptor)
                raise
            with os.fdopen(descriptor, "rb") as file:
                yield file

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
            self.progress()
        except OSError as error:
            reason = error.strerror or error
            if error.errno in _WRONG_PLACE:
                raise OutputError(
                    f"output {self}: cannot write {key} ({reason}); choose a folder that you may write to"
                ) from error
            raise StoreError(f"output {self}: writing {key} failed ({reason})") from error

    @contextlib.contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
            self.progress()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise MissingObject(f"{key}: no such object in {self}") from error
        except PermissionError as error:
            raise OutputError(f"output {self}: cannot read {key}; give this user access to the folder") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise OutputError(f"output {self}: the path is too long; give a shorter one") from error
            raise StoreError(f"output {self}: reading {key} failed ({error.strerror or error})") from error


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
