"""A store behind fsspec: S3 through s3fs, `memory://`, and whatever else knows create-only puts."""

from __future__ import annotations

import contextlib
import gzip
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypedDict, TypeVar

import fsspec
from fsspec.callbacks import Callback

from pipeline.core.errors import LongtakeError, MissingObject, OutputError, StoreError
from pipeline.core.safe_text import redact_about
from pipeline.core.scratch import writing_scratch
from pipeline.sources.urls import protocol_of
from pipeline.store.digests import sha256, sha256_of_file
from pipeline.store.media_types import media_type
from pipeline.store.multipart import PART, Answer, Target, upload
from pipeline.store.remote_faults import SET_UP, may_pass, status_of
from pipeline.store.store import Listed, Names, Sent, Store, Unfinished, check_key, key_in

T = TypeVar("T")

# Tried again after these waits (seconds, each times a random 0.5-1.5): half a minute of trouble is ridden out, after
# which the caller decides.
RETRY_WAITS = (0.2, 0.5, 1.0, 3.0, 8.0, 20.0)
# HTTP's answers: nothing there; a create-only put of what is there; a range behind the end.
_GONE, _TAKEN, _PAST_END = 404, 412, 416
_COMPRESSED, _WORTH_IT, _GZIP = ".m3u8", 16 << 10, b"\x1f\x8b"  # what S3 keeps compressed, from so many bytes on
_BATCH = 1000  # objects that S3 removes at one request

# Tries are counted here alone: in three layers on top of each other they would take an hour to give up.
# There are connections for all that is read side by side: botocore's ten would have readers wait.
_ONE_TRY = {
    "retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60, "max_pool_connections": 64,
}  # fmt: skip

_memory = threading.Lock()  # fsspec's memory file system looks and writes in two steps


class Info(TypedDict, total=False):
    """What is known of an object or a folder; file systems have different names for the time of writing."""

    name: str
    type: str
    size: int
    LastModified: datetime | str | float | None
    mtime: datetime | str | float | None
    created: datetime | str | float | None
    updated: datetime | str | float | None


class RemoteStore(Store):
    def __init__(self, url: str):
        super().__init__(url.rstrip("/"))
        options: dict[str, object] = {}
        if protocol_of(url) in ("s3", "s3a"):
            # Listings must not come from this process's memory: other workers write too.
            options = {"use_listings_cache": False, "skip_instance_cache": True, "config_kwargs": _ONE_TRY}
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url, **options)
        except (ValueError, ImportError) as error:
            raise OutputError(
                f"output {self}: {self._told(error)}; expected a folder or a URL such as s3://bucket/path"
            ) from error
        if hasattr(self.fs, "retries"):
            self.fs.retries = 1
        protocol = self.fs.protocol
        self._protocols = (protocol,) if isinstance(protocol, str) else tuple(protocol)
        self._s3 = "s3" in self._protocols

    def path(self, key: str) -> str:
        return f"{self.root}/{check_key(key)}"

    def get(self, key: str) -> bytes:
        # Without limits s3fs asks for the size first: two requests for one object.
        data = self._cat(key, start=0) if self._s3 else self._cat(key)
        return gzip.decompress(data) if key.endswith(_COMPRESSED) and data.startswith(_GZIP) else data

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        if stop <= start:
            self.size(key)
            return b""

        return self._cat(key, start=start, end=stop)

    def _cat(self, key: str, **limits: int) -> bytes:
        def attempt() -> bytes:
            try:
                return self.fs.cat_file(self.path(key), **limits)
            except OSError as error:
                if status_of(error) == _PAST_END:
                    return b""
                raise

        return self._try(key, attempt)

    def put(self, key: str, data: bytes) -> None:
        # Static hosting sends an object as the type that it was written with.
        facts = {}
        if self._s3:
            facts = {"ContentType": media_type(key), "CacheControl": "no-cache"}
            if key.endswith(_COMPRESSED) and len(data) >= _WORTH_IT:  # players take it as they take a page
                data, facts["ContentEncoding"] = gzip.compress(data, mtime=0), "gzip"
        self._try(key, lambda: self.fs.pipe_file(self.path(key), data, **facts), writes=True)

    def create(self, key: str, data: bytes) -> bool:
        def attempt() -> bool:
            try:
                with _memory if "memory" in self._protocols else contextlib.nullcontext():
                    self.fs.pipe_file(self.path(key), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if status_of(error) == _TAKEN:  # SeaweedFS's reaches s3fs users as a plain OSError
                    return False
                raise
            return True

        return self._try(key, attempt, writes=True)

    def put_file(self, key: str, path: Path) -> Sent:
        facts = {"ContentType": media_type(key)} if self._s3 else {}
        if path.stat().st_size <= PART:
            data = path.read_bytes()
            self._try(key, lambda: self.fs.pipe_file(self.path(key), data, **facts), writes=True)
            return Sent(sha256(data), len(data))
        if self._s3:
            return upload(Target(self, key, self.path(key)), path, facts)
        sent = Sent(sha256_of_file(path, self.progress), path.stat().st_size)
        self._try(key, lambda: self.fs.put_file(str(path), self.path(key), callback=_Steps(self.progress)), writes=True)
        return sent

    def get_file(self, key: str, path: Path) -> None:
        if self._s3:  # in parts, each tried again alone; s3fs would hold the file as a whole
            with writing_scratch(), path.open("wb") as target:
                while target.write(self.get_range(key, at := target.tell(), at + PART)) == PART:
                    pass
            return

        def attempt() -> None:
            with writing_scratch():
                self.fs.get_file(self.path(key), str(path), callback=_Steps(self.progress))
            if path.is_dir():  # what some file systems make of a folder
                path.rmdir()
                raise FileNotFoundError

        self._try(key, attempt)

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except MissingObject:
            return False
        return True

    def size(self, key: str) -> int:
        return int(self._info(key)["size"])

    def modified(self, key: str) -> float:
        return self._written_at(key, self._info(key))

    def _written_at(self, key: str, info: Info) -> float:
        at = info.get("LastModified", info.get("mtime", info.get("created", info.get("updated"))))
        if isinstance(at, str):
            at = datetime.fromisoformat(at)
        if isinstance(at, datetime):
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        if at is None:
            raise StoreError(f"output {self}: this store does not say when {key} was written")
        return float(at)

    def unfinished(self) -> Iterator[Unfinished]:
        """Uploads in parts that were never completed: they cost money and no listing shows them."""
        if not self._s3:
            return
        bucket, _, prefix = self.root.partition("/")
        places: dict[str, str] = {}
        while True:
            asked = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else "", **places}
            page = self._try("", lambda asked=asked: self.fs.call_s3("list_multipart_uploads", **asked))  # type: ignore[misc]
            for one in page.get("Uploads", []):
                key = one["Key"].removeprefix(f"{prefix}/")
                yield Unfinished(key, one["UploadId"], 0, one["Initiated"].timestamp())
            if not page.get("IsTruncated"):
                return
            places = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def discard(self, one: Unfinished) -> None:
        bucket, _, key = self.path(one.key).partition("/")
        asked = {"Bucket": bucket, "Key": key, "UploadId": one.handle}
        with contextlib.suppress(MissingObject):
            self._try(one.key, lambda: self.fs.call_s3("abort_multipart_upload", **asked))

    def _info(self, key: str) -> Info:
        """Size, time and type of an object: on S3 by one request, also where there is none."""
        if self._s3:
            bucket, _, place = self.path(key).partition("/")
            asked = {"Bucket": bucket, "Key": place, **self.fs.req_kw}
            found = self._try(key, lambda: self.fs.call_s3("head_object", **asked))
            return {"size": found["ContentLength"], "LastModified": found["LastModified"], "type": "file"}
        info: Info = self._try(key, lambda: self.fs.info(self.path(key)))
        if info["type"] != "file":
            raise MissingObject(f"{key}: no such object in {self}")
        return info

    def list(self, prefix: str) -> Names:
        return sorted(key_in(prefix, name) for name, info in self._entries(prefix) if info["type"] == "file")

    def listed(self, prefix: str, after: str = "") -> Iterator[Listed]:
        for name, info in self._entries(prefix, after):
            if info["type"] == "file" and name > after:
                key = key_in(prefix, name)
                yield Listed(key, int(info["size"]), self._written_at(key, info))

    def folders(self, prefix: str) -> Names:
        return sorted(name for name, info in self._entries(prefix) if info["type"] == "directory")

    def delete(self, key: str) -> None:
        with contextlib.suppress(MissingObject):
            self._try(key, lambda: self.fs.rm_file(self.path(key)))

    def delete_all(self, keys: Iterable[str]) -> None:
        if not self._s3:
            return super().delete_all(keys)
        rest = iter(keys)
        while batch := list(islice(rest, _BATCH)):
            bucket = self.path(batch[0]).partition("/")[0]
            objects = [{"Key": self.path(key).partition("/")[2]} for key in batch]
            asked = {"Bucket": bucket, "Delete": {"Objects": objects, "Quiet": True}}
            answer = self._try(batch[0], lambda asked=asked: self.fs.call_s3("delete_objects", **asked))  # type: ignore[misc]
            failed = {one.get("Key") for one in answer.get("Errors", [])}
            super().delete_all(key for key in batch if self.path(key).partition("/")[2] in failed)

    def ask(self, key: str, name: str, **asked: object) -> Answer:
        """A request of S3 about an object, by its name; what is not there raises MissingObject."""

        def attempt() -> Answer:
            try:
                return self.fs.call_s3(name, **asked)
            except OSError as error:
                if status_of(error) == _GONE:
                    raise FileNotFoundError(str(error)) from error
                raise

        return self._try(key, attempt, writes=name == "create_multipart_upload")

    def _entries(self, prefix: str, after: str = "") -> Iterator[tuple[str, Info]]:
        """Names of what lies directly in a folder, sorted, with size, time and type."""
        path = self.path(prefix) if prefix else self.root
        if self._s3:
            yield from self._pages(path, after)
            return
        try:
            found = self._try(prefix, lambda: self.fs.ls(path, detail=True))
        except MissingObject:
            return
        # A file system may answer with the object itself where `prefix` names one.
        start = path.strip("/") + "/"
        for info in sorted(found, key=lambda info: info["name"]):
            name = info["name"].strip("/")
            if name.startswith(start):
                yield name.removeprefix(start), info

    def _pages(self, path: str, after: str) -> Iterator[tuple[str, Info]]:
        """As `_entries`, on S3: page after page, beginning behind the name `after`."""
        bucket, _, folder = path.partition("/")
        folder = f"{folder}/" if folder else ""
        asked = {"Bucket": bucket, "Prefix": folder, "Delimiter": "/", **self.fs.req_kw}
        if after:
            asked["StartAfter"] = folder + after
        while True:
            try:
                page = self._try(path, lambda asked=asked: self.fs.call_s3("list_objects_v2", **asked))  # type: ignore[misc]
            except MissingObject:  # no such bucket
                return
            for one in page.get("CommonPrefixes", ()):
                yield one["Prefix"].removeprefix(folder).rstrip("/"), {"type": "directory"}
            for one in page.get("Contents", ()):
                if name := one["Key"].removeprefix(folder):
                    yield name, {"size": one["Size"], "LastModified": one["LastModified"], "type": "file"}
            if not page.get("IsTruncated"):
                return
            asked = {**asked, "ContinuationToken": page["NextContinuationToken"]}

    def _try(self, key: str, action: Callable[[], T], *, writes: bool = False) -> T:
        """Run `action`, again after a wait where the fault may pass; faults become errors of ours."""
        for wait in (*RETRY_WAITS, None):
            try:
                try:
                    return action()
                finally:
                    self.progress()
            except LongtakeError:
                raise
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
                # The last is what memory:// says of a key below an object.
                if writes and not isinstance(error, FileNotFoundError):
                    raise StoreError(f"output {self}: {key}: {self._told(error)}") from error
                if writes:  # a store makes folders by itself, so it is the bucket that is not there
                    raise OutputError(
                        f"output {self}: cannot write {key} ({self._told(error)}); create the bucket first, or correct "
                        "its name"
                    ) from error
                raise MissingObject(f"{key}: no such object in {self}") from error
            except PermissionError as error:
                raise OutputError(
                    f"output {self}: access to {key} denied ({self._told(error)}); check the credentials in the "
                    "environment and the bucket's policy"
                ) from error
            except Exception as error:
                if type(error).__name__ in SET_UP:
                    raise OutputError(
                        f"output {self}: {self._told(error)}; give credentials and region through the environment or "
                        "the machine's role, and check the address"
                    ) from error
                if not may_pass(error) or wait is None:
                    raise StoreError(f"output {self}: {key}: {self._told(error)}") from error
                time.sleep(wait * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def _told(self, error: Exception) -> str:
        return redact_about(str(error), self.url) or type(error).__name__


class _Steps(Callback):
    """Tells of every piece of a file that is on its way."""

    def __init__(self, progress: Callable[[], None]):
        super().__init__()
        self._progress = progress

    def relative_update(self, inc: int = 1) -> None:
        self._progress()
