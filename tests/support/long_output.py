"""A title of any length whose records are written directly: nothing is computed for it, and it verifies."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.families.registry import FAMILIES
from pipeline.core.timeline import GOP, VIDEO_TIMESCALE
from pipeline.intake.recall import recall
from pipeline.manifest.catalog import load_manifest
from pipeline.store.arrays import pack
from pipeline.store.digests import sha256
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.opening import open_store
from pipeline.store.record import Record, Stored, seed_state_hash
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest


@dataclass(frozen=True)
class LongOutput:
    output: str
    store: Store
    plan: TitlePlan


def write_long_output(folder: Path, gops: int) -> LongOutput:
    """A title of so many GOPs, all chained and upscaled and not finished, made of copies of a short one's."""
    output = f"memory://{uuid.uuid4().hex}"
    manifest = write_manifest(folder, (2 * GOP,), output=output)
    assert render_inline(manifest) == 0
    store = open_store(output)
    catalog = load_manifest(str(manifest), families=FAMILIES)
    short = recall(catalog, store, catalog.titles[0]).plan
    assert short is not None
    plan = replace(short, frames=gops * GOP)
    kept = {stage: _first(store, plan, stage) for stage in ("sound", "conditioning", "features", "chain", "stream")}
    _clear(store, plan)
    for stage in ("sound", "conditioning"):
        _put(store, plan, replace(kept[stage], frames=plan.frames), {})
    features = store.get(kept["features"].objects["features"].key)
    block = plan.constants.feature_block
    for first in range(0, plan.frames, block):
        frames = min(block, plan.frames - first)
        _put(store, plan, replace(kept["features"], first=first, frames=frames), {"features": features})
    portrait = kept["conditioning"].objects["arrays"].sha256
    state = seed_state_hash(portrait, plan.seed)
    fragment = store.get(kept["stream"].objects["fragment"].key)
    for gop in range(gops):
        first, latents, left = gop * GOP, _numbers("latents", gop), _numbers("state", gop)
        used = {"conditioning": portrait, f"features/{first // block * block}": sha256(features)}
        chained = replace(kept["chain"], first=first, frames=GOP, parent=state, state=sha256(left), uses=used)
        _put(store, plan, chained, {"latents": latents, "state": left})
        used = {f"latents/{first}": sha256(latents), "conditioning": portrait}
        streamed = replace(kept["stream"], first=first, frames=GOP, uses=used)
        _put(store, plan, streamed, {"fragment": _at(fragment, first)})
        state = sha256(left)
    return LongOutput(output, store, plan)


def _numbers(name: str, gop: int) -> bytes:
    """As few as can be, others for every GOP."""
    return pack({name: np.array([gop], np.float32)})


def _first(store: Store, plan: TitlePlan, stage: str) -> Record:
    record = Ledger(store, plan.prefix(stage)).read(0)
    assert record is not None
    return record


def _clear(store: Store, plan: TitlePlan) -> None:
    """All records of the short title, and what is shown of it; objects stay."""
    for stage in ("sound", "conditioning", "features", "chain", "stream", "done"):
        for key in store.list(plan.prefix(stage)):
            store.delete(key)
    for place in (plan.id, f"{plan.id}/hls", f"{plan.id}/hls/{plan.hashes.stream[:16]}"):
        for key in store.list(place):
            if not key.endswith("inputs.json"):
                store.delete(key)


def _put(store: Store, plan: TitlePlan, record: Record, objects: dict[str, bytes]) -> None:
    ledger, attempt = Ledger(store, plan.prefix(record.stage)), new_attempt()
    stored = dict(record.objects)
    for name, data in objects.items():
        key = ledger.object_key(record.first, attempt, name)
        store.put(key, data)
        stored[name] = Stored(key, sha256(data), len(data))
    record = replace(record, objects=stored, attempt=attempt if objects else record.attempt)
    store.put(ledger.key(record.first, 0), record.to_json())


def _at(fragment: bytes, first: int) -> bytes:
    """The fragment of GOP 0, as one that begins at frame `first`."""
    place = fragment.index(b"tfdt") + 4
    wide = fragment[place] == 1
    begun = struct.unpack_from(">Q" if wide else ">I", fragment, place + 4)[0]
    ticks = begun + first * (VIDEO_TIMESCALE // 25)
    assert wide or ticks < 1 << 32
    data = bytearray(fragment)
    struct.pack_into(">Q" if wide else ">I", data, place + 4, ticks)
    return bytes(data)
