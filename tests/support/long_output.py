"""A title of any length whose records are written directly: nothing is computed for it, and it verifies."""

from __future__ import annotations

import json
import struct
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.families.registry import FAMILIES
from pipeline.core.timeline import FPS, GOP, VIDEO_TIMESCALE
from pipeline.intake.cached_plan import cached_plan
from pipeline.intake.input_cache import inputs_key
from pipeline.manifest.catalog import load_manifest
from pipeline.store.arrays import pack, unpack
from pipeline.store.digests import sha256
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.local import LocalStore
from pipeline.store.opening import open_store
from pipeline.store.record import Record, Stored, seed_state_hash
from pipeline.store.stages import STAGES
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest


@dataclass(frozen=True)
class LongOutput:
    manifest: Path
    output: str
    store: Store
    plan: TitlePlan


def write_long_output(folder: Path, gops: int, made: int | None = None, output: str = "") -> LongOutput:
    """A title of so many GOPs of which `made` are chained and upscaled, by default all, and which is not finished.

    It is made of copies of a short one, whose sound is remembered as that long: a render goes on with it.
    """
    output, made = output or f"memory://{uuid.uuid4().hex}", gops if made is None else made
    manifest = write_manifest(folder, (2 * GOP,), output=output)
    assert render_inline(manifest) == 0
    store = open_store(output)
    short = _recalled(manifest, store)
    kept = {stage: _first(store, short, stage) for stage in ("sound", "conditioning", "features", "chain", "stream")}
    _lengthen(store, short.id, gops)
    plan = _recalled(manifest, store)
    assert plan.gops == gops
    for stage in ("chain", "stream"):
        _copy_beside(store, short.prefix(stage).rpartition("/")[0], plan.prefix(stage).rpartition("/")[0])
    objects = {
        (stage, name): store.get(stored.key) for stage, one in kept.items() for name, stored in one.objects.items()
    }
    _clear(store, short)
    kept = {stage: replace(one, plan=_hash(plan, stage)) for stage, one in kept.items()}
    kept["stream"] = replace(kept["stream"], facts=kept["stream"].facts | {"picture": plan.hashes.picture})
    objects["sound", "index"] = _index_of(objects["sound", "index"], gops)
    for stage in ("sound", "conditioning"):
        mine = {name: data for (one, name), data in objects.items() if one == stage}
        _put(store, plan, replace(kept[stage], frames=plan.frames), mine)
    features = objects["features", "features"]
    block = plan.constants.feature_block
    whole = _as_long(features, block)
    for first in range(0, plan.frames, block):
        frames = min(block, plan.frames - first)
        _put(store, plan, replace(kept["features"], first=first, frames=frames), {"features": whole})
    portrait = kept["conditioning"].objects["arrays"].sha256
    state = seed_state_hash(portrait, plan.seed)
    last = objects["chain", "state"]  # of the right form, for who goes on from it
    fragment = objects["stream", "fragment"]
    for gop in range(made):
        first, latents = gop * GOP, _numbers("latents", gop)
        left = last if gop == made - 1 else _numbers("state", gop)
        if gop == made - 1:
            latents = objects["chain", "latents"]
        used = {"conditioning": portrait, f"features/{first // block * block}": sha256(whole)}
        chained = replace(kept["chain"], first=first, frames=GOP, parent=state, state=sha256(left), uses=used)
        _put(store, plan, chained, {"latents": latents, "state": left})
        used = {f"latents/{first}": sha256(latents), "conditioning": portrait}
        streamed = replace(kept["stream"], first=first, frames=GOP, uses=used)
        _put(store, plan, streamed, {"fragment": _at(fragment, first)})
        state = sha256(left)
    return LongOutput(manifest, output, store, plan)


def _recalled(manifest: Path, store: Store) -> TitlePlan:
    catalog = load_manifest(str(manifest), families=FAMILIES)
    plan = cached_plan(catalog, store, catalog.titles[0]).plan
    assert plan is not None
    return plan


def _lengthen(store: Store, title: str, gops: int) -> None:
    """Have the sound of a title remembered as that long."""
    facts = json.loads(store.get(inputs_key(title)))
    facts["frames"] = gops * GOP
    for entry in facts["files"]:
        if entry["place"].startswith("audio"):
            entry["facts"]["samples"] = gops * GOP * entry["facts"]["rate"] // FPS
    store.put(inputs_key(title), json.dumps(facts).encode())


def _copy_beside(store: Store, old: str, new: str) -> None:
    """What lies beside the stages of a hash: numerics classes and headers."""
    for key in store.list(old):
        if not key.endswith("plan.json"):
            store.put(f"{new}/{key.rpartition('/')[2]}", store.get(key))


def _hash(plan: TitlePlan, stage: str) -> str:
    return str(getattr(plan.hashes, STAGES[stage].hash))


def _index_of(index: bytes, gops: int) -> bytes:
    """Of a sound of so many GOPs: all of them as the last."""
    facts = json.loads(index)
    facts["ranges"] += facts["ranges"][-1:] * (gops - len(facts["ranges"]))
    return json.dumps(facts).encode()


def _as_long(features: bytes, frames: int) -> bytes:
    """Features of a whole block."""
    array = unpack(features, "features")["features"]
    return pack({"features": np.resize(array, (frames, *array.shape[1:]))})


def _numbers(name: str, gop: int) -> bytes:
    """As few as can be, others for every GOP."""
    return pack({name: np.array([gop], np.float32)})


def _first(store: Store, plan: TitlePlan, stage: str) -> Record:
    record = Ledger(store, plan.prefix(stage)).read(0)
    assert record is not None
    return record


def _clear(store: Store, short: TitlePlan) -> None:
    """The short title, but for what is remembered of its inputs."""
    for stage in ("sound", "chain", "stream"):
        _remove(store, f"{short.id}/{stage}/{_hash(short, stage)[:16]}")
    for key in store.list(short.id):
        if not key.endswith("inputs.json"):
            store.delete(key)
    _remove(store, f"{short.id}/hls")


def _remove(store: Store, place: str) -> None:
    for name in store.folders(place):
        _remove(store, f"{place}/{name}")
    for key in store.list(place):
        store.delete(key)
    if isinstance(store, LocalStore):  # a bucket has no empty folders
        store.path(place).rmdir()


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
