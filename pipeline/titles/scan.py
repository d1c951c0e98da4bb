"""What the store holds of a title, from commit records alone.

A chain counts as far as every record's parent is the state that the one before it left, or it begins anew after it
(`gate_facts.py`), and as the features and the conditioning that it was made of are there; a fragment counts if it was
made of the latents that count. What lies beyond is left alone: the worker that comes to it sees whether it fits what is
there by then, so what is remade with the same result saves all that followed it. What cannot be read, and what has lost
an object (`lost_objects.py`), is voided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject
from pipeline.core.parallel import parallel_map
from pipeline.core.pieces import count_shown
from pipeline.core.timeline import GOP
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Scanned
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, seed_state_hash
from pipeline.store.small_json import get_json
from pipeline.store.stage_view import StageView
from pipeline.store.stages import dropped
from pipeline.store.store import Store
from pipeline.titles.gate_facts import follows
from pipeline.titles.joins import Join, joins_of, latents_of, made_of
from pipeline.titles.lost_objects import lost, mend_headers, whole
from pipeline.titles.numerics import lanes_of
from pipeline.titles.scenes import parting_in, plans_of
from pipeline.titles.title_folders import read_json
from pipeline.titles.title_plan import TitlePlan
from pipeline.titles.title_work import scene_works
from pipeline.titles.views import lost_view, reported

_LATENTS = ("latents/", "ending/", "beginning/")  # what fragments are made of


class LostForGood(LongtakeError):
    """What is gone can only be had by rendering the title again, which nobody has asked for."""


def is_done(store: Store, plan: TitlePlan, *, mend: bool = True) -> bool:
    """Whether the title's `done` record exists and what people see is its result: then nothing else needs to be read.

    After a render with other options the views are of another plan: they are then made again, from the same records.
    """
    record = Ledger(store, plan.prefix("done")).read(0, mend=mend)
    return record is not None and _shown(store, plan) and (not mend or _lost(store, plan, record) is None)


def _lost(store: Store, plan: TitlePlan, done: Record) -> str | None:
    """What people should find of a finished title and do not; a file that was delivered may be gone."""
    if not done.facts.get("delivered") and (reason := lost(store, done)):
        return reason
    streamed = "stream" not in dropped(str(done.facts.get("kept")))
    return lost_view(store, reported(read_json(store, f"{plan.id}/report.json") or {}, streamed=streamed))


def _shown(store: Store, plan: TitlePlan) -> bool:
    try:
        shown = get_json(store, f"{plan.id}/report.json")["hashes"]
        return (shown["stream"], shown["file"]) == (plan.hashes.stream, plan.hashes.file)
    except (MissingObject, DamagedObject, KeyError, TypeError):
        return False


def scan(store: Store, plan: TitlePlan, goal: int | None = None, *, mend: bool = True, renew: bool = False) -> Scanned:
    """The committed state of a title. `goal`: GOPs that the run is to make (a preview's), default all.

    Without `mend` nothing is voided, for those who may look and not write: raises DamagedObject for such a record.
    Raises LostForGood for a finished title whose file is gone together with what it was made of, unless `renew`.
    """
    if (goal is None or goal == plan.gops) and is_done(store, plan, mend=mend):
        return Scanned(plan.id, True, True, tuple(range(plan.blocks)), plan.gops, tuple(range(plan.gops)), True)
    return _Scan(store, plan, mend).look(goal, renew)


@dataclass
class _Scan:
    """One look at a title, stage by stage; each stage is listed once."""

    store: Store
    plan: TitlePlan
    mend: bool
    rechain: bool = False  # of a scene: whether its chain is needed, though all that was made of it is there

    def __post_init__(self) -> None:
        self.views: dict[str, StageView] = {}

    def look(self, goal: int | None, renew: bool) -> Scanned:
        plan = self.plan
        done = self._scene_done() if plan.scene else self._finished(goal in (None, plan.gops), renew)
        needed = dict.fromkeys(["sound", plan.heard] if plan.scene is None else [])  # a scene's is its title's
        sound = None not in [self._single(stage) for stage in needed]  # both are looked at
        fragments = self._fragments()
        shown = sum(stop - first for first, stop in plan.shown_gops)
        if done is not None and len(fragments) == shown and not self.rechain:  # what they are of need not be there
            return self._scanned(sound, True, range(plan.blocks), plan.gops, range(plan.gops))
        if plan.in_scenes:
            return self._scenes(sound, goal or plan.gops, renew, fragments)
        conditioning = self._single("conditioning")
        features = {
            record.first: record.objects["features"].sha256
            for record in self._records("features", range(0, plan.frames, plan.constants.feature_block))
            if "features" in record.objects
        }
        latents = self._latents(conditioning, features) if conditioning is not None else {}
        streamed = [first // GOP for first, used in fragments.items() if not stale_uses(used, latents)]
        blocks = (first // plan.constants.feature_block for first in features)
        return self._scanned(sound, conditioning is not None, blocks, len(latents), streamed)

    def _is_made(self, join: Join, uses: Mapping[str, str] | None) -> bool:
        return uses is not None and uses == made_of(self.store, join)

    def _scene_done(self) -> Record | None:
        """Says that all of a scene was there; of one that was a title in one piece its own done record does so, too."""
        found = self._view("scene").read(0)
        return found or (self._view("done").read(0) if self.plan.scene and self.plan.scene.whole else None)

    def _scenes(self, sound: bool, goal: int, renew: bool, fragments: Mapping[int, Mapping[str, str]]) -> Scanned:
        """All scenes, once it is known where they begin; what is there of them is there of the title."""
        record = self._single("scenes")
        try:
            scenes = plans_of(self.plan, parting_in(record)) if record else ()
        except DamagedObject as error:
            if record is None or not self.mend:
                raise
            self._view("scenes").void(record, str(error))
            scenes = ()
        joins = joins_of(self.plan, scenes)
        joins = [join for join in joins if join.first < goal * GOP]
        made = {join.first // GOP for join in joins if self._is_made(join, fragments.get(join.first))}
        # What a join is made of may have been let go with the rest: then its scenes are chained once more.
        rechain = {
            scene.name
            for join in joins
            if join.first // GOP not in made
            for scene, firsts in join.reads().values()
            if len(latents_of(self.store, scene, firsts)) < len(firsts)
        }

        def look(part: tuple[TitleWork, TitlePlan]) -> tuple[TitleWork, Scanned]:
            work, one = part
            found = _Scan(self.store, one, self.mend, one.name in rechain).look(None, renew)
            return work, replace(found, title=one.name)

        found = list(parallel_map(look, scene_works(scenes, goal)))
        shown = {gop for work, _ in found for first, stop in work.in_film for gop in range(first, stop)}
        streamed = {work.first + gop for work, one in found for gop in one.streamed}
        streamed = (streamed & shown) - {join.first // GOP for join in joins} | made
        chained = sum(count_shown(work.shown_gops, one.chained) for work, one in found)
        whole = self._scanned(sound and bool(scenes), bool(scenes), (), chained, streamed)
        return replace(whole, scenes=tuple(found), remade=whole.remade + sum(one.remade for _, one in found))

    def _view(self, stage: str) -> StageView:
        if stage not in self.views:
            self.views[stage] = StageView(self.store, self.plan.prefix(stage), mend=self.mend, checkpoint=self.mend)
        return self.views[stage]

    def _records(self, stage: str, firsts: Iterable[int]) -> Iterator[Record]:
        view = self._view(stage)
        return whole(view, firsts) if self.mend else view.records(firsts)

    def _single(self, stage: str) -> Record | None:
        return next(iter(list(self._records(stage, [0]))), None)

    def _finished(self, whole_title: bool, renew: bool) -> Record | None:
        """The done record. One that has lost its files is void from now on, and still says how it was."""
        record = self._view("done").read(0)
        if (
            record is None or not self.mend or not _shown(self.store, self.plan)
        ):  # else its files are another plan's now
            return record
        reason = _lost(self.store, self.plan, record)
        if reason is None:
            return record
        kept = str(record.facts.get("kept"))
        if "stream" not in dropped(kept) or renew:
            if renew or (lost(self.store, record) and not record.facts.get("delivered")):
                self._view("done").void(record, reason)
        elif whole_title:
            raise LostForGood(
                f"title {self.plan.id}: {reason}, and what it was made of was let go (keep: {kept}); put it back, or "
                f"render the title again with --renew {self.plan.id}"
            )
        return record

    def _fragments(self) -> dict[int, Mapping[str, str]]:
        """What the fragments were made of, by first frame; their headers are there, too."""
        found: dict[int, Mapping[str, str]] = {}
        first: Record | None = None
        firsts = [gop * GOP for first, stop in self.plan.shown_gops for gop in range(first, stop)]
        for record in self._records("stream", firsts):
            first = first or record
            found[record.first] = {name: used for name, used in record.uses.items() if name.startswith(_LATENTS)}
        if self.mend and not mend_headers(self.store, self.plan, self._view("stream"), first) and first:
            del found[first.first]
        return found

    def _latents(self, conditioning: Record, features: Mapping[int, str]) -> dict[int, str]:
        """sha256 of the latents that count, by GOP."""
        portrait = conditioning.objects["arrays"].sha256
        inputs = {f"features/{first}": digest for first, digest in features.items()} | {"conditioning": portrait}
        records = self._records("chain", range(0, self.plan.frames, GOP))
        return linked(records, state=seed_state_hash(portrait, self.plan.seed), inputs=inputs)

    def _scanned(
        self, sound: bool, conditioning: bool, blocks: Iterable[int], chained: int, streamed: Iterable[int]
    ) -> Scanned:
        return Scanned(
            self.plan.id,
            sound,
            conditioning,
            tuple(blocks),
            chained,
            tuple(streamed),
            False,
            lanes_of(self.store, self.plan),
            remade=sum(len(view.voided) for view in self.views.values()),
        )


def linked(
    records: Iterable[Record], *, state: str | None = None, inputs: Mapping[str, str] | None = None
) -> dict[int, str]:
    """sha256 of the latents of the chain's records, by GOP, as far as their links hold; all records are read.

    `state`: what GOP 0, and one that begins anew, must start from, if known; `inputs`: sha256 of the conditioning and
    features that are there, by the names that records use, if they are to be compared.
    """
    found: dict[int, str] = {}
    holds, seed = True, state
    for record in records:
        holds = holds and record.first == len(found) * GOP and record.state is not None and "latents" in record.objects
        holds = holds and follows(record, state, seed)
        holds = holds and (inputs is None or all(inputs.get(name) == used for name, used in record.uses.items()))
        if holds:
            state, seed = record.state, seed or record.parent
            found[record.first // GOP] = record.objects["latents"].sha256
    return found


def stale_uses(uses: Mapping[str, str], latents: Mapping[int, str]) -> list[str]:
    """Names of the latents that a fragment was made of and that the chain does not hold."""
    return [
        name
        for name, digest in uses.items()
        if name.startswith("latents/") and latents.get(_number(name) // GOP) != digest
    ]


def _number(name: str) -> int:
    number = name.rpartition("/")[2]
    return int(number) if number.isdecimal() else -1
