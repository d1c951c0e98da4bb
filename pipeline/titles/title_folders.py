"""What an output holds of a title, found by its folders: one chain and one stream of it, with or without a plan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.core.errors import DamagedObject, MissingObject, StoreError
from pipeline.core.pieces import Interval
from pipeline.core.timeline import GOP, gops_of
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record
from pipeline.store.small_json import get_json
from pipeline.store.stage_view import StageView
from pipeline.store.stages import STAGES, folder
from pipeline.store.store import Store
from pipeline.store.transfer import create_json
from pipeline.titles.scenes import read_scenes
from pipeline.titles.title_plan import TitlePlan

_ID = re.compile(r"[a-z0-9][a-z0-9._\-]{0,99}")  # other folders are nobody's titles
_SCENES = "scenes.json"  # beside a stream: what it is made of
_TRIED = 4  # records by which a stream's chain is looked for


@dataclass(frozen=True)
class TitleFolders:
    """Folders of one title; an empty one was not found. `frames` is 0 where no record tells.

    Of a title in scenes the stream alone is its own: `scenes` are the folders of each. Of a scene `first` is its first
    GOP in its title, and `shown` what the film shows of it, in GOPs of the film.
    """

    title: str
    sound: str = ""  # <id>/sound/<hash>
    chain: str = ""  # <id>/chain/<hash>
    stream: str = ""  # <id>/stream/<hash>
    frames: int = 0
    plan: TitlePlan | None = None
    scenes: tuple[TitleFolders, ...] = ()
    first: int = 0
    shown: tuple[Interval, ...] = ()

    @property
    def shown_gops(self) -> tuple[Interval, ...]:
        """Which of its own GOPs are shown: of a scene that is partly taken anew not all."""
        return tuple((start - self.first, stop - self.first) for start, stop in self.shown) or ((0, self.gops),)

    @property
    def needed_frames(self) -> int:
        """Frames from the first on that are chained, be it for what follows them."""
        return min(self.shown_gops[-1][1] * GOP, self.frames)

    @property
    def parts(self) -> tuple[TitleFolders, ...]:
        """Whatever has a chain: the title's scenes, or itself."""
        return self.scenes or (self,)

    @property
    def gops(self) -> int:
        return gops_of(self.frames)

    @property
    def stream_hash(self) -> str:
        """The first 16 digits of the stream hash, as folders are named."""
        return self.stream.rpartition("/")[2]

    def prefix(self, stage: str) -> str:
        """Where the records of a stage lie; empty where its folder was not found, and for loudness, which has many."""
        known = {"sound": self.sound, "chain": self.chain, "stream": self.stream}.get(STAGES[stage].hash, "")
        return folder(stage, known) if known else ""

    def ledger(self, store: Store, stage: str) -> Ledger | None:
        """The records of a stage, or None where its folder was not found."""
        prefix = self.prefix(stage)
        return Ledger(store, prefix) if prefix else None

    def view(self, store: Store, stage: str, *, checkpoints: bool = True) -> StageView | None:
        """The same for reading, through one listing; without `checkpoints` every record itself."""
        prefix = self.prefix(stage)
        return StageView(store, prefix, checkpoints=checkpoints) if prefix else None


def folders_of_plan(store: Store, plan: TitlePlan) -> TitleFolders:
    """Those of a plan, and of its scenes as far as it is known where they begin."""
    try:
        scenes = tuple(_of_plan(one) for one in read_scenes(store, plan))
    except StoreError:
        scenes = ()
    return replace(_of_plan(plan), scenes=scenes)


def _of_plan(plan: TitlePlan) -> TitleFolders:
    chain, stream = (plan.prefix(stage).rpartition("/")[0] for stage in ("chain", "stream"))
    where = (plan.scene.first, plan.scene.shown) if plan.scene else (0, ())
    return TitleFolders(plan.id, plan.prefix("sound"), chain, stream, plan.frames, plan, (), *where)


def note_scenes(store: Store, plan: TitlePlan, scenes: Sequence[TitlePlan]) -> None:
    """Leave beside a title's stream which scenes it is made of, for who has no plan of it."""
    facts = [
        [
            *(getattr(one.hashes, name)[:16] for name in ("chain", "stream")),
            one.frames,
            one.scene.first,
            one.scene.shown,
        ]
        for one in scenes
        if one.scene
    ]
    create_json(store, f"{plan.prefix('stream').rpartition('/')[0]}/{_SCENES}", {"scenes": facts})


def _noted_scenes(store: Store, title: str, stream: str, sound: str) -> tuple[TitleFolders, ...]:
    noted = (read_json(store, f"{stream}/{_SCENES}") or {}).get("scenes")
    found, end = list[TitleFolders](), 0
    try:
        for chain, own, frames, *where in noted if isinstance(noted, list) else ():
            first, shown = where or (end, [(end, end + gops_of(frames))])  # as it was before there were retakes
            end = first + gops_of(frames)
            parts = tuple((int(start), int(stop)) for start, stop in shown)
            places = f"{title}/chain/{chain}", f"{title}/stream/{own}"
            found.append(TitleFolders(title, sound, *places, int(frames), None, (), int(first), parts))
    except (TypeError, ValueError):
        return ()
    return tuple(found)


def title_ids(store: Store) -> list[str]:
    """Ids of the titles that an output holds something of."""
    return [
        name
        for name in store.folders("")
        if _ID.fullmatch(name)
        and (store.exists(f"{name}/inputs.json") or {"chain", "stream", "sound"} & set(store.folders(name)))
    ]


def folders_in_output(store: Store, title: str) -> list[TitleFolders]:
    """Every stream of a title with its chain and sound, then chains without a stream."""
    chains = [f"{title}/chain/{name}" for name in store.folders(f"{title}/chain")]
    found = []
    of_films = set[str]()
    streams = [f"{title}/stream/{name}" for name in store.folders(f"{title}/stream")]
    for stream in streams:
        if scenes := _noted_scenes(store, title, stream, ""):
            of_films |= {place for one in scenes for place in (one.chain, one.stream)}
            sound = _sound_of(store, title, scenes[0].chain)
            scenes = _noted_scenes(store, title, stream, sound)
            frames = max(one.first * GOP + one.frames for one in scenes)
            found.append(TitleFolders(title, sound, "", stream, frames, scenes=scenes))
    for stream in streams:
        if stream not in of_films and not any(one.stream == stream for one in found):
            found.append(_with_frames(store, title, _chain_of(store, stream, chains), stream))
    used = {one.chain for one in found} | of_films
    found += [_with_frames(store, title, chain, "") for chain in chains if chain not in used]
    return found or [_with_frames(store, title, "", "")]


def readable(ledger: Ledger | None, first: int) -> Record | None:
    """The record that counts, None where there is none or it cannot be read."""
    try:
        return ledger.read(first) if ledger else None
    except StoreError:
        return None


def read_json(store: Store, key: str) -> dict[str, Any] | None:
    """A small JSON object of the store, None where it is missing or none."""
    try:
        facts = get_json(store, key)
    except (MissingObject, DamagedObject):
        return None
    return facts if isinstance(facts, dict) else None


def _chain_of(store: Store, stream: str, chains: list[str]) -> str:
    """The chain that holds the latents which a stream's fragments were made of."""
    if len(chains) == 1:
        return chains[0]
    view = StageView(store, f"{stream}/stream")
    for record in view.records(view.firsts[:_TRIED], skip=lambda first, error: None):
        for name, digest in record.uses.items():
            kind, _, number = name.partition("/")
            if kind != "latents":
                continue
            for chain in chains:
                made = readable(Ledger(store, f"{chain}/chain"), int(number))
                if made and "latents" in made.objects and made.objects["latents"].sha256 == digest:
                    return chain
    return ""


def _sound_of(store: Store, title: str, chain: str) -> str:
    """The sound whose speech the chain's features were made of."""
    sounds = [f"{title}/sound/{name}" for name in store.folders(f"{title}/sound")]
    if len(sounds) == 1:
        return sounds[0]
    features = readable(Ledger(store, f"{chain}/features"), 0) if chain else None
    for sound in sounds:
        record = readable(Ledger(store, sound), 0)
        if record and features and record.objects["speech"].sha256 == features.uses.get("speech"):
            return sound
    return ""


def _with_frames(store: Store, title: str, chain: str, stream: str) -> TitleFolders:
    sound = _sound_of(store, title, chain)
    for prefix in (f"{chain}/conditioning" if chain else "", sound, f"{stream}/done" if stream else ""):
        record = readable(Ledger(store, prefix), 0) if prefix else None
        if record:
            return TitleFolders(title, sound, chain, stream, record.frames)
    return TitleFolders(title, sound, chain, stream)
