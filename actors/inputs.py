"""Inputs as workers see them: objects of the store, copied to a local folder and checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.families.weight_files import Part
from pipeline.core.errors import DamagedObject
from pipeline.store.digests import sha256_of_file
from pipeline.store.local import LocalStore
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.store.suspect_inputs import mark_suspect
from pipeline.store.transfer import fetch_checked
from pipeline.titles.title_plan import TitlePlan


def fetch_input(store: Store, stored: Stored, folder: Path, what: str) -> Path:
    """The local copy of an input. Raises SuspectInput where what arrives here is not what was planned."""
    path = folder / stored.sha256
    if not path.exists():
        partial = path.with_name(f".{stored.sha256}")
        try:
            fetch_checked(store, stored, partial, what)
        except DamagedObject as error:
            raise mark_suspect(store, stored, str(error)) from error
        partial.rename(path)
    return path


@contextmanager
def fetch_weights(store: Store, plan: TitlePlan, part: Part) -> Iterator[str | None]:
    """A folder with the files of a part while they are being loaded, or None for a family without files.

    Networks that map their files may outlive the folder: the system keeps a mapped file until it is let go. Files of a
    store on this machine are not copied.
    """
    if not plan.weights:
        yield None
        return
    wanted = {name for file in plan.constants.tree if part in file.parts for name in file.paths}
    with tempfile.TemporaryDirectory(prefix="longtake-weights-") as folder:
        for name, stored in plan.weights:
            if name in wanted:
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(_weights_file(store, stored, Path(folder), name))
        yield folder


def _weights_file(store: Store, stored: Stored, folder: Path, name: str) -> Path:
    if not isinstance(store, LocalStore):
        return fetch_input(store, stored, folder, f"weights file {name}")
    path = store.path(stored.key)
    if not path.exists() or path.stat().st_size != stored.size or sha256_of_file(path) != stored.sha256:
        raise mark_suspect(store, stored, f"weights file {name}: {stored.key} is not what was planned")
    return path
