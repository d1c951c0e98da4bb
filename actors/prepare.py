"""The prepare worker: portrait to conditioning, audio to one sound track and blocks of features."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from actors.compositing import read_cues
from actors.inputs import fetch_input
from actors.portraits import Prepared, keep_portrait, portrait_key, recall_portrait
from actors.worker import Worker
from models.families.protocol import Hints
from models.speech.speech_level import speech_level
from pipeline.core.errors import DamagedObject, InputError
from pipeline.core.timeline import CLIP, GOP, SPEECH_PER_FRAME
from pipeline.media.loudness import write_levelled
from pipeline.media.sound import read_speech, write_sound
from pipeline.scheduler.work import Done, Job
from pipeline.sources.embedding import read_embedding
from pipeline.sources.portrait import read_portrait
from pipeline.store.arrays import pack
from pipeline.store.digests import sha256
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.record import Record, Stored
from pipeline.titles.scene_borders import frame_energies
from pipeline.titles.scenes import Scene, captions_digest, cues_within, first_gops, retaken, without_edges
from pipeline.titles.title_plan import TitlePlan

SPEECH_CHUNK = 1500  # frames; a minute of speech is read and checked at a time
SPEECH_CHUNK_BYTES = SPEECH_CHUNK * SPEECH_PER_FRAME * 2


class PrepareWorker(Worker):
    role = "prepare"

    def work_on(self, job: Job, plan: TitlePlan) -> Iterator[Done]:
        match job.kind:
            case "conditioning":
                yield self._conditioning(plan)
            case "sound":
                yield self._sound(plan)
            case "features":
                for block in range(job.first, job.first + job.count):
                    self.check_stop()
                    yield self._features(plan, block)

    def _conditioning(self, plan: TitlePlan) -> Done:
        started = time.monotonic()
        part = self.part(plan, "prepare")
        numerics = self.numerics(plan, "conditioning", part)
        key = portrait_key(plan, numerics)
        prepared = recall_portrait(self.store, key)
        if prepared is None:
            prepared = self._prepare_portrait(plan, part)
            keep_portrait(self.store, key, prepared)
        ledger, attempt = Ledger(self.store, plan.prefix("conditioning")), new_attempt()
        record = Record(
            stage="conditioning",
            title=plan.id,
            plan=plan.hashes.chain,
            first=0,
            frames=plan.frames,
            attempt=attempt,
            objects={"arrays": ledger.stage_object(0, attempt, "arrays", prepared.arrays)},
            uses={"portrait": plan.portrait.sha256},
            numerics=numerics,
            facts={"notes": list(prepared.notes), "portrait_size": list(prepared.size)},
            made=self.made(started),
        )
        return Done(plan.name, "conditioning", 0, ledger.commit(record).won, record.made["seconds"])

    def _prepare_portrait(self, plan: TitlePlan, part: Any) -> Prepared:
        with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
            path = fetch_input(self.store, plan.portrait, Path(folder), f"title {plan.id}, portrait")
            portrait = read_portrait(path, f"title {plan.id}: portrait", plan.portrait_reading)
        try:
            arrays, notes = part.conditioning(portrait, plan.options.base_size, self._hints(plan))
        except ValueError as error:
            # Known by name: importing it would bring torch into workers of families that do without.
            if "PortraitProblem" not in [cls.__name__ for cls in type(error).__mro__]:
                raise
            raise InputError(f"title {plan.id}: portrait: {error}") from error
        return Prepared(pack(arrays), tuple(notes), (portrait.shape[1], portrait.shape[0]))

    def _hints(self, plan: TitlePlan) -> Hints:
        options, embedding = plan.options, None
        if plan.face_embedding is not None:
            what = f"title {plan.id}: face_embedding"
            with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
                embedding = read_embedding(fetch_input(self.store, plan.face_embedding, Path(folder), what), what)
        return Hints(options.face_box, options.lip_box, embedding, options.compat)

    def _sound(self, plan: TitlePlan) -> Done:
        """The sound and, where a loudness is asked for, another track of that loudness; what is there already stays.

        Where the title is parted the scenes are told from it.
        """
        done = None
        if Ledger(self.store, plan.prefix("sound")).read(0, mend=True) is None:
            done = self._plain_sound(plan)
        if plan.metadata.loudness is not None:
            done = self._levelled(plan, plan.metadata.loudness)
        if plan.in_scenes:
            done = self._scenes(plan)
        return done or Done(plan.name, "sound", 0, won=False)

    def _scenes(self, plan: TitlePlan) -> Done:
        """Where the title's scenes begin, and what of the sound and the captions is theirs."""
        started = time.monotonic()
        record = self._sound_record(plan)
        energies = frame_energies(
            self._pcm(plan, record, first, min(first + SPEECH_CHUNK, plan.frames))
            for first in range(0, plan.frames, SPEECH_CHUNK)
        )
        cues = read_cues(self.store, plan) if plan.options.burn_captions else ()

        def scene(first: int, stop: int) -> Scene:
            start, frames = first * GOP, min(stop * GOP, plan.frames) - first * GOP
            speech = self._speech_of(plan, record, start, start + frames)
            return Scene(first, frames, *speech, captions_digest(cues_within(cues, start, frames)))

        if plan.options.scenes == "one":  # heard as the title in one piece hears it
            heard = record.objects["speech"].sha256, record.facts["speech_level"]
            scenes = [Scene(0, plan.frames, *heard)]
        else:
            scenes = [scene(first, stop) for first, stop in pairwise([*first_gops(plan, energies), plan.gops])]
        facts = {"scenes": [asdict(one) for one in scenes]}
        if plan.retakes:
            facts["retakes"] = [asdict(scene(*gops)) for gops in retaken(plan, energies)]
        return self._kept(plan, "scenes", Ledger(self.store, plan.prefix("scenes")), new_attempt(), {}, facts, started)

    def _speech_of(self, plan: TitlePlan, record: Record, start: int, stop: int) -> tuple[str, float]:
        """sha256 of a stretch of speech, and how loud it is; read a minute at a time."""
        digest = hashlib.sha256()

        def blocks() -> Iterator[np.ndarray]:
            for first in range(start, stop, SPEECH_CHUNK):
                end = min(first + SPEECH_CHUNK, stop)
                samples = without_edges(self._pcm(plan, record, first, end), first - start, stop - end)
                digest.update(samples.tobytes())
                yield read_speech(samples.tobytes())

        level = speech_level(blocks())
        return digest.hexdigest(), level

    def _sources(self, plan: TitlePlan, folder: Path) -> list[Path]:
        """The sound files under their own names, which messages say."""
        sources = []
        for number, (one, name) in enumerate(zip(plan.audio, plan.audio_names, strict=True)):
            path = fetch_input(self.store, one, folder, f"title {plan.id}, {name}")
            sources.append(folder / str(number) / name)
            sources[-1].parent.mkdir()
            sources[-1].symlink_to(path)
        return sources

    def _levelled(self, plan: TitlePlan, target: float) -> Done:
        """A track at the loudness that is asked for, and the same as CMAF fragments for HLS."""
        started = time.monotonic()
        ledger, attempt = Ledger(self.store, plan.prefix("loudness")), new_attempt()
        with tempfile.TemporaryDirectory(prefix="longtake-") as name:
            folder = Path(name)
            sources = self._sources(plan, folder)
            found = write_levelled(sources, plan.audio_facts, plan.frames, folder, target, self.alive)
            objects = {
                "track": ledger.stage_object(0, attempt, "track.m4a", found.track),
                "hls": ledger.stage_object(0, attempt, "hls.mp4", found.hls),
                "index": ledger.stage_object(0, attempt, "index.json", json.dumps(asdict(found.fragments)).encode()),
            }
        return self._kept(plan, "loudness", ledger, attempt, objects, {"target": target, **found.facts()}, started)

    def _plain_sound(self, plan: TitlePlan) -> Done:
        """One AAC track, the same as CMAF fragments for HLS, and the speech that features are made of."""
        started = time.monotonic()
        ledger, attempt = Ledger(self.store, plan.prefix("sound")), new_attempt()
        with tempfile.TemporaryDirectory(prefix="longtake-") as name:
            folder = Path(name)
            separate = plan.options.vocals == "separate"
            part = self.part(plan, "prepare") if separate else None
            sources = self._sources(plan, folder)
            try:
                voices = part.voices if part else None
                files = write_sound(sources, plan.audio_facts, plan.frames, folder, voices, self.alive)
            except ValueError as error:
                if "SeparatorProblem" not in [cls.__name__ for cls in type(error).__mro__]:
                    raise
                raise InputError(f"title {plan.id}: vocals: {error}") from error
            index = asdict(files.fragments)
            objects = {
                "track": ledger.stage_object(0, attempt, "track.m4a", files.track),
                "hls": ledger.stage_object(0, attempt, "hls.mp4", files.hls),
                "index": ledger.stage_object(0, attempt, "index.json", json.dumps(index).encode()),
                "speech": ledger.stage_object(0, attempt, "speech.pcm", files.speech),
            }
            chunks = chunk_hashes(files.speech, self.alive)
            level = level_of(files.speech, self.alive)
        facts = {"speech_chunks": chunks, "speech_level": level, "channels": files.channels}
        return self._kept(plan, "sound", ledger, attempt, objects, facts, started)

    def _kept(
        self, plan: TitlePlan, stage: str, ledger: Ledger, attempt: str, objects: dict[str, Stored],
        facts: dict[str, Any], started: float,
    ) -> Done:  # fmt: skip
        """The record of a title's whole sound."""
        record = Record(
            stage=stage,
            title=plan.id,
            plan=plan.hashes.sound,
            first=0,
            frames=plan.frames,
            attempt=attempt,
            objects=objects,
            uses={f"audio/{number}": one.sha256 for number, one in enumerate(plan.audio)},
            facts=facts,
            made=self.made(started),
        )
        return Done(plan.name, "sound", 0, ledger.commit(record).won, record.made["seconds"])

    def _features(self, plan: TitlePlan, block: int) -> Done:
        """Features of one block from a range of the stored speech, heard with a halo on both sides or cut hard.

        The last block goes on to the end of the last clip, in silence.
        """
        started = time.monotonic()
        part = self.part(plan, "prepare")
        numerics = self.numerics(plan, "features", part)
        family = plan.constants
        first = block * family.feature_block
        stop = min(first + family.feature_block, plan.frames)
        halo = family.feature_halo if plan.options.audio_context == "overlap" else 0
        left, right = min(halo, first), min(halo, plan.frames - stop)
        record_of_sound, speech = self._speech(plan, first - left, stop + right)
        silence = plan.clips * CLIP - plan.frames if stop == plan.frames else 0
        level = plan.scene.level if plan.scene else record_of_sound.facts["speech_level"]
        features = part.features(speech, left, stop - first, right, silence, level)
        ledger, attempt = Ledger(self.store, plan.prefix("features")), new_attempt()
        record = Record(
            stage="features",
            title=plan.id,
            plan=plan.hashes.chain,
            first=first,
            frames=stop - first,
            attempt=attempt,
            objects={"features": ledger.stage_object(first, attempt, "features", pack({"features": features}))},
            uses={"speech": plan.scene.speech if plan.scene else record_of_sound.objects["speech"].sha256},
            numerics=numerics,
            made=self.made(started),
        )
        return Done(plan.name, "features", block, ledger.commit(record).won, record.made["seconds"])

    def _speech(self, plan: TitlePlan, first: int, stop: int) -> tuple[Record, np.ndarray]:
        """Record of the sound stage, and speech float32 of the plan's frames [first, stop)."""
        record = self._sound_record(plan)
        samples = self._pcm(plan, record, plan.first_frame + first, plan.first_frame + stop)
        if plan.scene and not plan.scene.whole:
            samples = without_edges(samples, first, plan.frames - stop)
        return record, read_speech(samples.tobytes())

    def _sound_record(self, plan: TitlePlan) -> Record:
        record = Ledger(self.store, plan.prefix("sound")).read(0)
        if record is None:
            raise DamagedObject(f"title {plan.id}: the record of its sound is gone")
        return record

    def _pcm(self, plan: TitlePlan, record: Record, first: int, stop: int) -> np.ndarray:
        """Speech int16 of the title's frames [first, stop), read in checked chunks."""
        key, hashes = record.objects["speech"].key, record.facts["speech_chunks"]
        chunks = range(first // SPEECH_CHUNK, -(-stop // SPEECH_CHUNK))
        parts = []
        for chunk in chunks:
            data = self.store.get_range(key, chunk * SPEECH_CHUNK_BYTES, (chunk + 1) * SPEECH_CHUNK_BYTES)
            if chunk >= len(hashes) or sha256(data) != hashes[chunk]:
                reason = f"title {plan.id}: {key} differs from its record at frame {chunk * SPEECH_CHUNK}"
                Ledger(self.store, plan.prefix("sound")).void(record, reason)
                raise DamagedObject(reason)
            parts.append(np.frombuffer(data, "<i2"))
        start = first - chunks.start * SPEECH_CHUNK
        samples = np.concatenate(parts)
        return samples[start * SPEECH_PER_FRAME : (start + stop - first) * SPEECH_PER_FRAME]


def level_of(path: Path, alive: Callable[[], None] = lambda: None) -> float:
    """How loud the stored speech is, read a minute at a time."""
    return speech_level(read_speech(chunk) for chunk in _chunks(path, alive))


def chunk_hashes(path: Path, alive: Callable[[], None] = lambda: None) -> list[str]:
    """sha256 of every chunk of the stored speech, so that a range can be read and checked."""
    return [sha256(chunk) for chunk in _chunks(path, alive)]


def _chunks(path: Path, alive: Callable[[], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(SPEECH_CHUNK_BYTES):
            alive()
            yield chunk
