"""Inputs as workers see them: objects of the store, copied to a local folder and checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DamagedObject, InputError
from pipeline.records import Stored, fetch_checked
from pipeline.store import Store
from pipeline.titles import TitlePlan


def fetch_input(store: Store, stored: Stored, folder: Path, what: str) -> Path:
    """The local copy of an input. Raises InputError where the store's copy is no longer what was planned."""
    path = folder / stored.sha256
    if not path.exists():
        try:
            fetch_checked(store, stored, path, what)
        except DamagedObject as error:
            store.delete(stored.key)
            raise InputError(f"{error}; the copy was removed, run again to have it copied anew") from error
    return path


@contextmanager
def fetch_weights(store: Store, plan: TitlePlan) -> Iterator[str | None]:
    """A folder with the family's files while they are being loaded, or None for a family without files."""
    if not plan.weights:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="longtake-weights-") as folder:
        for name, stored in plan.weights:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(fetch_input(store, stored, Path(folder), f"weights file {name}").name)
        yield folder
