"""What is missing or damaged of a title, decided in one place: a record whose object is gone or cut does not count.

Whoever deleted it, `keep`, `longtake gc` or a hand: the record is voided and its unit made again, all of them in one
look, since a worker that came upon them one by one would have the whole title looked at anew each time. What is as long
as it should be and holds other bytes is found by whoever reads it, for every object is checked against its record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from pipeline.core.daemon_pool import DaemonPool
from pipeline.core.errors import MissingObject
from pipeline.store.digests import sha256
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

_SIDE_BY_SIDE = 16


def whole(view: StageView, firsts: Iterable[int] | None = None) -> Iterator[Record]:
    """The records of a stage whose objects are there as long as they should be, in order; the others are void then.

    To be read to its end.
    """
    view.firsts  # noqa: B018 - records are listed before their objects: what is committed meanwhile has all of them
    there = {one.key: one.size for one in view.store.listed(f"{view.prefix}/objects")}
    pool, voids = DaemonPool("voids", _SIDE_BY_SIDE), []
    try:
        for record in view.records(firsts):
            odd = any(there.get(one.key) != one.size for one in record.objects.values())
            if odd and (reason := lost(view.store, record)):
                voids.append(pool.submit(partial(view.void, record, reason)))
            else:
                yield record
        for void in voids:
            void.result()
    finally:
        pool.close()


def lost(store: Store, record: Record) -> str | None:
    """What of a record is not there as it should be, asked object by object; None where all of it is."""
    for stored in record.objects.values():
        try:
            size = store.size(stored.key)
        except MissingObject:
            return f"{stored.key} is no longer there"
        if size != stored.size:
            return f"{stored.key} has {size} bytes, its record says {stored.size}"
    return None


def mend_headers(store: Store, plan: TitlePlan, view: StageView, first: Record | None) -> bool:
    """Have the headers that all fragments follow, of which `first` is one; False where it had to be voided.

    A header is a function of the encoder and its options alone, so a lost one is written again where this machine's
    encoder writes the one that the fragment names. Else the fragment is voided: whoever makes it anew writes a header.
    """
    from pipeline.media.encode import header_of  # here, because codecs take a while to import

    for one in plan.renditions:
        key, named = plan.init_key(one.suffix), first.facts.get(f"init{one.suffix}") if first else None
        try:
            found = sha256(store.get(key))
        except MissingObject:
            found = None
        if found == named:
            continue
        header = header_of(one.encoding)
        if named not in (None, sha256(header)) and first is not None:
            view.void(first, f"its header {key} is gone, and this machine's encoder writes another one")
            return False
        if sha256(header) != found:  # without fragments: what is no header of ours is in the way of the first one
            store.delete(key)
            if first is not None:
                store.create(key, header)
    return True
