"""Inputs that a worker found damaged: a mark beside the object, for the next driver to look at.

An input is shared by titles and by machines, and is often the only copy that is left, so no worker removes it on its
own word: its own disk or memory may be what is damaged. It leaves a mark and lets another machine try. The driver that
starts next reads the object once more, and copies it from its source again where the mark was right.
"""

from __future__ import annotations

import hashlib
import socket
from contextlib import suppress

from pipeline.core.errors import LongtakeError, MissingObject, StoreError
from pipeline.store.digests import is_sha256
from pipeline.store.record import Stored
from pipeline.store.store import Store

END = ".doubt"
CHUNK = 16 << 20  # bytes


class SuspectInput(StoreError):
    """An input that did not arrive as planned: tried again elsewhere, and looked at by the next driver."""


def mark_suspect(store: Store, stored: Stored, why: str) -> SuspectInput:
    """Leave a mark, and the error to raise."""
    with suppress(LongtakeError):
        store.put(stored.key + END, socket.gethostname().encode())
    return SuspectInput(f"{why}, as {socket.gethostname()} reads it; run again: the copy is then looked at and renewed")


def suspect_inputs(store: Store) -> frozenset[str]:
    """sha256 of the inputs that a worker found damaged."""
    keys = (key for key in store.list("_inputs") if key.endswith(END))
    names = (key.rpartition("/")[2].removesuffix(END) for key in keys)
    return frozenset(name for name in names if is_sha256(name))


def is_there(store: Store, stored: Stored, suspects: frozenset[str]) -> bool:
    """Whether the store holds an input: by its size, and where somebody found it damaged, by all that is in it."""
    try:
        if store.size(stored.key) != stored.size:
            return False
    except MissingObject:
        return False
    if stored.sha256 not in suspects:
        return True
    if whole := is_whole(store, stored):
        clear_suspicion(store, stored)
    return whole


def is_whole(store: Store, stored: Stored) -> bool:
    """Whether the store's copy is the object that it should be; reads all of it."""
    digest, start = hashlib.sha256(), 0
    try:
        while chunk := store.get_range(stored.key, start, start + CHUNK):
            digest.update(chunk)
            start += len(chunk)
    except MissingObject:
        return False
    return start == stored.size and digest.hexdigest() == stored.sha256


def clear_suspicion(store: Store, stored: Stored) -> None:
    """The copy is right again, or was all the time."""
    store.delete(stored.key + END)
