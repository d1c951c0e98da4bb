"""From an address to the store that answers for it."""

from __future__ import annotations

from pipeline.sources import urls
from pipeline.store.store import Store


def open_store(url: str) -> Store:
    """The store at a folder path or an fsspec URL. Raises OutputError for an address that cannot be one."""
    if urls.is_local(url):
        from pipeline.store.local import LocalStore

        return LocalStore(urls.local_path(url))
    from pipeline.store.remote import RemoteStore  # here, because file systems take a while to import

    return RemoteStore(url)
