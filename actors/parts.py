"""What a finished title is made of, read once: its records, and its fragments side by side, in order, each checked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pipeline.core.errors import DamagedObject
from pipeline.core.timeline import GOP
from pipeline.media.stills import tiles_of
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, Stored
from pipeline.store.stage_view import StageView
from pipeline.store.stages import STAGES, dropped
from pipeline.store.store import Store
from pipeline.store.transfer import fetch_object
from pipeline.titles.joins import joins_of, kept_for_joins
from pipeline.titles.report import RecordsDigest, stage_facts
from pipeline.titles.scenes import read_scenes
from pipeline.titles.title_plan import TitlePlan

AHEAD = 16  # fragments on their way at a time, of 2 MB each at 4096 x 4096

Asked = TypeVar("Asked")
Given = TypeVar("Given")


@dataclass
class Parts:
    """Of one title. Some hundred bytes a GOP: the records themselves are not kept.

    `fragments`: those of a rendition by its suffix, in order. `stages`: facts for the report. `gone`: keys of the
    objects that `keep` does without once the title is done. `shown`: fragments that passed and are shown on pages.
    """

    fragments: dict[str, list[Stored]]
    stages: dict[str, Any]
    records: str
    gone: list[str]
    shown: dict[int, bytes] = field(default_factory=dict)


def read_parts(store: Store, plan: TitlePlan, run: str, known: Mapping[str, Mapping[int, bytes]]) -> Parts:
    """One pass over the records of chain and stream. Raises DamagedObject where one of the stream's is gone.

    `known`: some of the records by stage and first frame.
    """
    digest, fragments, gone = RecordsDigest(), dict[str, list[Stored]](), list[str]()
    leaving = {name for name in dropped(plan.options.keep) if STAGES[name].when_done}

    scenes = read_scenes(store, plan)
    joins = joins_of(plan, scenes)
    keeping = "stream" not in leaving  # with nothing kept but the film, no join is made again either

    def passing(stage: str) -> Iterator[Record]:
        for part in scenes if stage == "chain" and scenes else [plan]:
            view = StageView(store, part.prefix(stage), checkpoint=True).give(known[stage])
            kept = kept_for_joins(part, joins) if keeping and part.scene else ()
            for record in digest.hear(view.unbroken(range(0, part.needed_frames, GOP))):
                if stage in leaving and record.first not in kept:
                    gone.extend(view.ledger.own_objects(record))
                if stage == "stream":
                    for one in plan.renditions:
                        fragments.setdefault(one.suffix, []).append(record.objects[f"fragment{one.suffix}"])
                yield replace(record, first=record.first + part.first_frame) if stage == "chain" else record

    stages = {name: stage_facts(run, passing(stage)) for name, stage in (("chain", "chain"), ("upscale", "stream"))}
    for scene in scenes if "stream" in leaving else ():
        view = StageView(store, scene.prefix("stream"))
        gone.extend(key for record in view.records() for key in view.ledger.own_objects(record))
    check_whole(plan, fragments.get("", []), plan.gops)
    return Parts(fragments, stages, digest.read(), gone)


def check_whole(plan: TitlePlan, fragments: list[Stored], gops: int) -> None:
    if len(fragments) < gops:
        raise DamagedObject(f"title {plan.id}: the record of GOP {len(fragments)} is gone")


def passing_fragments(store: Store, plan: TitlePlan, parts: Parts, suffix: str = "") -> Iterator[bytes]:
    """A rendition's fragments in order. Those that pages show are kept, so that they need not come twice."""
    tiles = set() if suffix else set(tiles_of(plan.gops))

    def load(numbered: tuple[int, Stored]) -> bytes:
        return load_fragment(store, plan, *numbered, suffix)

    for gop, data in enumerate(side_by_side(load, enumerate(parts.fragments[suffix]))):
        if gop in tiles:
            parts.shown[gop] = data
        yield data


def load_fragment(store: Store, plan: TitlePlan, gop: int, stored: Stored, suffix: str = "") -> bytes:
    """A fragment, checked. What is damaged voids the record that names it."""
    try:
        return fetch_object(store, stored, f"title {plan.id}, stream at frame {gop * GOP}, object fragment{suffix}")
    except DamagedObject as error:
        ledger = Ledger(store, plan.prefix("stream"))
        record = ledger.read(gop * GOP)
        if record is not None and stored in record.objects.values():
            ledger.void(record, str(error))
        raise


def side_by_side(do: Callable[[Asked], Given], items: Iterable[Asked], ahead: int = AHEAD) -> Iterator[Given]:
    """`do` of every item, in order; at most `ahead` of them are under way or wait to be taken."""
    waiting: deque[Future[Given]] = deque()
    with ThreadPoolExecutor(ahead, thread_name_prefix="parts") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(do, item))
                if len(waiting) == ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
