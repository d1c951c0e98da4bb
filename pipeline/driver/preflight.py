"""Before a run: the output, and who else may be rendering to it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pipeline.core.errors import OutputError
from pipeline.manifest.catalog import Catalog
from pipeline.sources import urls
from pipeline.store.lease import Lease
from pipeline.store.local import LocalStore
from pipeline.store.opening import open_store
from pipeline.store.store import Store

# Stores known to refuse the second of two create-only puts.
HAVE_CREATE = "Amazon S3, Google Cloud Storage, Azure Blob Storage, Cloudflare R2, MinIO or SeaweedFS"
IN_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray in the driver of a submitted job


def open_output(catalog: Catalog) -> Store:
    """Raises OutputError for a relative folder inside a Ray job: it would vanish with the uploaded working folder."""
    given = catalog.output_given
    local = urls.protocol_of(given) == "file"
    if os.environ.get(IN_JOB) and local and not Path(urls.local_path(given)).expanduser().is_absolute():
        raise OutputError(
            f"output {given!r} is relative, and inside a Ray job the working folder is a temporary copy that is "
            "removed; give --output an absolute path on a shared disk or a URL such as s3://bucket/path"
        )
    return open_store(catalog.output)


def driver_lease(store: Store, run: str) -> AbstractContextManager[Lease | None]:
    """A lease for folders on disks that would let two drivers commit the same GOP; others need none.

    Raises OutputError where the output cannot be written, and for an object store that overwrites what it was asked to
    create only if absent: every one in use has create-only puts by now, and two writers cannot be kept apart without.
    """
    if store.honours_create():
        return nullcontext()
    if isinstance(store, LocalStore):
        return Lease(store, run)
    raise OutputError(
        f"output {store}: this store overwrites an object that it was asked to create only if absent, so two workers "
        f"could both believe that they committed a GOP; expected a store that honours If-None-Match: {HAVE_CREATE}"
    )
