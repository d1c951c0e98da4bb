"""From an address to the store that answers for it."""

from __future__ import annotations

from pipeline.core.errors import OutputError
from pipeline.core.safe_text import redact
from pipeline.sources import urls
from pipeline.store.store import Store


def open_store(url: str) -> Store:
    """The store at a folder path or an fsspec URL. Raises OutputError for an address that cannot be one."""
    if urls.is_local(url):
        from pipeline.store.local import LocalStore

        return LocalStore(urls.local_path(url))
    from pipeline.store.remote import RemoteStore  # here, because file systems take a while to import

    return RemoteStore(_plain(url))


def _plain(url: str) -> str:
    """The URL as a folder's path is read: `a//b` and `a/c/../b` are `a/b`, which object stores take to the letter."""
    head, mark, place = url.partition("://")
    root, slash, inside = place.partition("/")
    parts: list[str] = []
    for part in inside.split("/"):
        if part == "..":
            if not parts:
                raise OutputError(f"output {redact(url)}: leads out of {root}; give the whole path in it")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return f"{head}{mark}{root}{slash}{'/'.join(parts)}"
