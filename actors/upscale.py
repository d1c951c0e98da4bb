"""The upscale worker: latents to base frames, to restored windows, to one encoded fragment a GOP.

One thread computes; another dresses, marks, encodes and commits (`actors/write_behind.py`), up to a GOP behind.

Frames never leave this process: what is stored is the fragment and the sha256 of the planes that the encoder was given.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from actors.compositing import Compositor, read_picture
from actors.titles import TitleReader
from actors.upscale_faults import made_somehow
from actors.worker import Worker, log
from actors.write_behind import Behind
from models.families.protocol import Arrays, PictureOptions
from pipeline.core.errors import DamagedObject, LongtakeError
from pipeline.core.timeline import GOP, gop_range
from pipeline.core.windows import gop_reads, gop_windows
from pipeline.media.encode import Fragment, GopEncoder
from pipeline.media.scale import Scaler
from pipeline.scheduler.work import Done, Job, Ready
from pipeline.store.digests import sha256
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.titles.joins import Join, dissolved, joins_of, made_of
from pipeline.titles.numerics import begun
from pipeline.titles.scenes import read_scenes
from pipeline.titles.title_plan import TitlePlan

Finishing = Behind[tuple[int, np.ndarray], Done]


class EncoderDiffers(LongtakeError):
    pass


@dataclass(frozen=True)
class _Making:
    """A GOP whose pictures are being made. `facts` and `numerics` are complete when the last of them is."""

    plan: TitlePlan
    gop: int
    ledger: Ledger
    used: dict[str, str]
    started: float
    dressing: Compositor
    draw: Callable[[np.ndarray], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)
    numerics: dict[str, Any] = field(default_factory=dict)
    film: TitlePlan | None = None  # where the GOP is a join, which is its title's own

    @property
    def owner(self) -> TitlePlan:
        """Whose stream the GOP goes to."""
        return self.film or self.plan

    @property
    def first(self) -> int:
        """Its first frame there."""
        return gop_range(self.gop, self.plan.frames)[0] + (self.plan.first_frame if self.film else 0)


class UpscaleWorker(Worker):
    role = "upscale"

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        super().__init__(output, device, run)
        self._base: dict[int, Any] = {}  # base frames of the title in hand, by frame number
        self._reader: TitleReader | None = None
        self._visit = 0  # of the title in hand
        self._dressing: tuple[str, Compositor] | None = None  # with the picture hash of the title in hand
        self._draw: tuple[str, Callable[[np.ndarray], np.ndarray]] | None = None  # with its stream hash: puts on marks
        self._pixels: tuple[str, np.ndarray] | None = None  # of the last portrait that was moved, with its sha256
        self._ended = 0.0  # when a GOP was last committed: a GOP's seconds are those since then
        self._inits: dict[str, bytes] = {}  # of the title in hand, by key: compared with the store's

    def ready(self, plan: TitlePlan | None = None, lanes: int | None = None) -> Ready:
        """Load the networks, so that the first segment does not wait for them."""
        if plan is None:
            return Ready()
        try:
            return Ready(str(self.part(plan, "upscale").numerics().get("device", "")))
        except Exception as error:  # noqa: BLE001 - the first title's job meets it again and says so
            self.leave_if_dead(error)
            log.exception("the upscaler is not ready")
            return Ready()

    def work_on(self, job: Job, plan: TitlePlan) -> Iterator[Done]:
        part = self.part(plan, "upscale")
        if plan.in_scenes:
            yield from self._joins(plan, range(job.first, job.first + job.count), part)
            return
        if self._reader is None or (self._reader.plan, self._visit) != (plan, job.visit):
            self._reader, self._visit, self._base = TitleReader(self.store, plan), job.visit, {}
        self._reader.begun = self._reader.begun or begun(self.store, plan, "stream")
        part.fit(plan.picture_options, self._reader.begun)
        if self._reader.begun:  # else claimed with the first GOP, once it is known to fit the device's memory
            self.numerics(plan, "stream", part)
        self._reader.expect(job.first, job.first + job.count, self.known(plan, "chain"))
        with Finishing() as behind:
            try:
                for gop in range(job.first, job.first + job.count):
                    self.check_stop()
                    make = partial(self._gop, self._reader, gop, behind)
                    yield from made_somehow(plan, gop, part, make, self._forget)
            except Exception:
                yield from behind.rest()  # what was made before is committed all the same
                raise
            yield from behind.rest()

    def _gop(
        self, reader: TitleReader, gop: int, behind: Finishing, part: Any, facts: dict[str, Any]
    ) -> Iterator[Done]:
        """Make the GOP's pictures, while the one before is being finished; yields what is finished meanwhile."""
        started = time.monotonic()
        plan = reader.plan
        start, end = self._decoded(plan, gop)
        latents, used = reader.latent_range(start, end)
        conditioning = self._conditioning(reader, used)
        if self._is_there(reader.fragments, gop_range(gop, plan.frames)[0], used):
            yield Done(plan.name, "upscale", gop, won=False)
            return
        self._decode(plan, start, latents, part, conditioning)
        ledger, dressing, draw = reader.fragments.ledger, self._dressing_of(plan), self._drawer_of(plan)
        making = _Making(plan, gop, ledger, used, started, dressing, draw, facts)
        unit = behind.begin(lambda pictures: self._finish(making, pictures))
        try:
            for picture in self._pictures(reader, gop, part, making.facts, conditioning):
                unit.put(picture)
                yield from behind.finished()
            making.numerics.update(self.numerics(plan, "stream", part))
            unit.end()
        except BaseException:
            behind.abandon(unit)
            raise

    def _joins(self, film: TitlePlan, gops: range, part: Any) -> Iterator[Done]:
        """GOPs in which one scene becomes the next: the end of one, more and more the first picture of the other."""
        joins = {join.first // GOP: join for join in joins_of(film, read_scenes(self.store, film))}
        self._reader = None
        for gop in gops:
            if gop not in joins:
                raise DamagedObject(f"title {film.id}: no scene ends with GOP {gop}")
            with Finishing() as behind:
                make = partial(self._join, film, joins[gop], behind)
                yield from made_somehow(film, gop, part, make, self._forget)
                yield from behind.rest()
            self._forget()

    def _join(self, film: TitlePlan, join: Join, behind: Finishing, part: Any, facts: dict[str, Any]) -> Iterator[Done]:
        started = time.monotonic()
        gop, before = join.first // GOP, join.before
        used = made_of(self.store, join)
        if used is None:
            raise DamagedObject(f"title {film.id}: latents of the scenes around GOP {gop} are gone")
        fragments = StageView(self.store, film.prefix("stream"), mend=True)
        if self._is_there(fragments, join.first, used):
            yield Done(film.name, "upscale", gop, won=False)
            return
        _, into = next(self._scene_pictures(join.after, join.next, part, {}))
        dressing, draw = self._dressing_of(before), self._drawer_of(before)
        making = _Making(before, join.last, fragments.ledger, used, started, dressing, draw, facts, film=film)
        unit = behind.begin(lambda pictures: self._finish(making, pictures))
        try:
            _, stop = gop_range(join.last, before.frames)
            for picture in dissolved(self._scene_pictures(before, join.last, part, facts), into, stop):
                unit.put(picture)
            making.numerics.update(self.numerics(before, "stream", part))
            facts["no_face"] = [before.first_frame + number for number in facts["no_face"]]
            unit.end()
        except BaseException:
            behind.abandon(unit)
            raise

    def _forget(self) -> None:
        self._base = {}

    def _scene_pictures(
        self, scene: TitlePlan, gop: int, part: Any, facts: dict[str, Any]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Planes of a scene's GOP, with their numbers in the scene."""
        reader = TitleReader(self.store, scene)
        reader.begun = begun(self.store, scene, "stream")
        part.fit(scene.picture_options, reader.begun)
        start, end = self._decoded(scene, gop)
        latents, used = reader.latent_range(start, end)
        conditioning = self._conditioning(reader, used)
        self._forget()
        self._decode(scene, start, latents, part, conditioning)
        yield from self._pictures(reader, gop, part, facts, conditioning)

    def _finish(self, making: _Making, pictures: Iterator[tuple[int, np.ndarray]]) -> Done:
        """Encode the GOP's pictures and commit it, on the finisher's thread."""
        plan, ledger, used, attempt = making.owner, making.ledger, making.used, new_attempt()
        first, frames = making.first, len(range(*gop_range(making.gop, making.plan.frames)))
        hasher = hashlib.sha256()
        fragments = _encoded(plan, first, self._planes(making, pictures, hasher))
        objects, inits = {}, {}
        for suffix, fragment in fragments.items():
            self._agree_on_init(plan, suffix, fragment.init)
            inits[f"init{suffix}"] = sha256(fragment.init)
            name = f"fragment{suffix}"
            objects[name] = ledger.stage_object(first, attempt, f"{name}.m4s", fragment.data)
        record = Record(
            stage="stream",
            title=plan.id,
            plan=plan.hashes.stream,
            first=first,
            frames=frames,
            attempt=attempt,
            objects=objects,
            uses=used,
            numerics=making.numerics,
            facts={
                "picture": plan.hashes.picture,
                "planes": hasher.hexdigest(),
                **inits,
                **making.facts,
            },
            made=self.made(max(making.started, self._ended)),
        )
        commit = ledger.commit(record)
        if commit.record.uses != used:
            raise DamagedObject(
                f"title {plan.id}: GOP {first // GOP} was upscaled elsewhere from other latents than are there now"
            )
        self._ended = time.monotonic()
        written = commit.record.to_json() if commit.won else b""
        return Done(plan.name, "upscale", first // GOP, commit.won, record.made["seconds"], written)

    def _conditioning(self, reader: TitleReader, used: dict[str, str]) -> Arrays:
        """What prepare gave, and the portrait's own pixels where the family moves them; `used` names both."""
        plan, (record, arrays) = reader.plan, reader.conditioning()
        used["conditioning"] = record.objects["arrays"].sha256
        if not plan.constants.moves:
            return arrays
        used["portrait"] = plan.portrait.sha256
        key = f"{plan.portrait.sha256} {plan.portrait_reading}"
        if self._pixels is None or self._pixels[0] != key:
            self._pixels = key, read_picture(self.store, plan, plan.portrait, "portrait", plan.portrait_reading)
        return arrays | {"pixels": self._pixels[1]}

    @staticmethod
    def _is_there(view: StageView, first: int, used: dict[str, str]) -> bool:
        """Whether the GOP has been upscaled from just these inputs; a fragment of others no longer counts."""
        there = view.read(first)
        if there is not None and there.uses != used:
            view.void(there, "made of other latents or conditioning than the title holds now")
            return False
        return there is not None

    @staticmethod
    def _decoded(plan: TitlePlan, gop: int) -> tuple[int, int]:
        """[first, stop) of the frames to decode: what the windows read, in whole groups of absolute frame numbers."""
        group = plan.constants.decode_group
        first, stop = gop_reads(gop, plan.frames)
        return first // group * group, min(-(-stop // group) * group, plan.frames)

    def _decode(self, plan: TitlePlan, first: int, latents: np.ndarray, part: Any, conditioning: Arrays) -> None:
        """Decode frames from `first` on, group by group, but for those that are decoded already."""
        group, stop = plan.constants.decode_group, first + len(latents)
        self._base = {frame: base for frame, base in self._base.items() if first <= frame < stop}
        for start in range(first, stop, group):
            end = min(start + group, stop)
            if all(frame in self._base for frame in range(start, end)):
                continue
            batch = latents[start - first : end - first]
            if len(batch) < group:  # the last group of a title repeats its last latent, so every group is as long
                batch = np.concatenate([batch, np.repeat(batch[-1:], group - len(batch), 0)])
            frames = part.decode(batch, plan.picture_options, conditioning)
            self._base.update(zip(range(start, end), frames, strict=False))
            self.alive()

    def _pictures(
        self, reader: TitleReader, gop: int, part: Any, facts: dict[str, Any], conditioning: Arrays
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The GOP's frames in order, with their numbers; `facts` gets what is to be recorded of them."""
        plan, faceless = reader.plan, list[int]()
        facts["no_face"] = faceless
        options = self._picture_options(reader, gop, part, facts)
        for window in gop_windows(gop, plan.frames):
            base = [self._base[frame] for frame in window.reads]
            restored = part.restore(base, window.owned_places, conditioning, options)
            for number, frame in zip(range(window.first, window.stop), restored, strict=True):
                self.alive()
                if not part.face_found(frame):
                    faceless.append(number)
                yield number, part.planes(frame)

    def _planes(self, making: _Making, pictures: Iterator[tuple[int, np.ndarray]], hasher: Any) -> Iterator[np.ndarray]:
        """Finished planes of the pictures; `hasher` sees them."""
        for number, picture in pictures:
            self.alive()
            planes = making.draw(making.dressing.on(picture, number))
            hasher.update(planes)
            yield planes

    def _picture_options(self, reader: TitleReader, gop: int, part: Any, facts: dict[str, Any]) -> PictureOptions:
        """The title's; the plate is used where the GOP's own frames stand still, which is recorded."""
        plan = reader.plan
        if plan.picture_options.plate == "off":
            return plan.picture_options
        frames = [self._base[frame] for frame in range(*gop_range(gop, plan.frames))]
        facts["plate"] = part.still(frames, reader.conditioning()[1], plan.picture_options)
        return replace(plan.picture_options, plate="on" if facts["plate"] else "off")

    def _dressing_of(self, plan: TitlePlan) -> Compositor:
        if self._dressing is None or self._dressing[0] != plan.hashes.picture:
            self._dressing = plan.hashes.picture, Compositor(self.store, plan)
        return self._dressing[1]

    def _drawer_of(self, plan: TitlePlan) -> Callable[[np.ndarray], np.ndarray]:
        """What marks the title's pictures, made once; kept while the title is in hand."""
        if self._draw is None or self._draw[0] != plan.hashes.stream:
            self._draw = plan.hashes.stream, plan.marks.drawer(*plan.options.frame_size)
        return self._draw[1]

    def _agree_on_init(self, plan: TitlePlan, suffix: str, init: bytes) -> None:
        """All fragments of a title must follow the same initialisation segment."""
        key = plan.init_key(suffix)
        if self._inits.get(key) == init:
            return
        if not self.store.create(key, init) and self.store.get(key) != init:
            raise EncoderDiffers(
                f"title {plan.id}: this worker's encoder writes another header than {key}; "
                "all workers of a title need the same encoder build"
            )
        mine = key.rpartition("/")[0]
        self._inits = {one: data for one, data in self._inits.items() if one.startswith(mine)} | {key: init}


def _encoded(plan: TitlePlan, first: int, planes: Iterator[np.ndarray]) -> dict[str, Fragment]:
    """The GOP in all its sizes, by suffix; every picture is made once and goes to all encoders."""
    main, *smaller = plan.renditions
    with ExitStack() as stack:
        encoders = {
            one.suffix: stack.enter_context(closing(GopEncoder(one.encoding, first))) for one in plan.renditions
        }
        size = (main.encoding.width, main.encoding.height)
        scalers = {one.suffix: Scaler(size, (one.encoding.width, one.encoding.height)) for one in smaller}
        for picture in planes:
            for suffix, encoder in encoders.items():
                encoder.add(scalers[suffix](picture) if suffix else picture)
        return {suffix: encoder.finish() for suffix, encoder in encoders.items()}
