"""The publish worker: playlists that grow while a title renders, and at the end the finished file, by stream copy.

What it writes are views, derived from records and replaced whole; the `done` record comes last.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.inputs import fetch_input
from actors.upscale import init_key
from actors.worker import Worker
from pipeline import playlists
from pipeline.boxes import codec_string
from pipeline.errors import DamagedObject, MissingObject
from pipeline.finish import poster, provenance_xmp, write_final
from pipeline.portrait import fitted, jpeg, read_portrait
from pipeline.records import Ledger, Record, Stored, fetch_checked, new_attempt, sha256_of_file
from pipeline.report import SOFTWARE, notes_of, provenance, records_digest, title_report
from pipeline.stills import contact_sheet, thumbnail
from pipeline.timeline import GOP, gop_range
from pipeline.titles import TitlePlan
from pipeline.work import Done, Job

LARGEST_COVER = 1400  # pixels of an edge; what players and shops show

# Stages whose objects stay after a title is done.
KEPT = {"all": ("chain", "stream"), "final+hls": ("stream",), "final": ()}


@dataclass
class _Fragments:
    """What playlists need of the fragments listed so far: about a hundred bytes a GOP. `visit` is the scheduler's."""

    visit: int
    keys: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


class PublishWorker(Worker):
    role = "publish"

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        super().__init__(output, device, run)
        self._fragments: dict[str, _Fragments] = {}

    def work_on(self, job: Job, plan: TitlePlan) -> Iterator[Done]:
        self.check_stop()
        known = self._fragments.get(plan.hashes.stream)
        if known is None or known.visit != job.visit:  # what was listed may have been damaged and made again
            self._fragments[plan.hashes.stream] = _Fragments(job.visit)
        if job.kind == "playlist":
            shown = self._shown(plan)
            if job.count >= shown:  # fewer may be there in a row after damage; a playlist never shrinks
                if not shown:
                    self._first_pictures(plan)
                self._playlists(plan, job.count)
            return
        started = time.monotonic()
        if job.count < plan.gops:
            with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
                self.store.put_file(f"{plan.id}/preview.mp4", self._assemble(plan, job.count, Path(folder)))
        else:
            self._finish(plan)
        self._fragments.pop(plan.hashes.stream, None)
        yield Done(plan.id, "finish", 0, True, round(time.monotonic() - started, 3))

    # -- playlists ------------------------------------------------------------------------------------------------

    def _playlists(self, plan: TitlePlan, gops: int) -> None:
        """List the first `gops` GOPs; the title's own index then points at this stream."""
        listed = self._listed(plan, gops)
        keys, sizes = listed.keys[:gops], listed.sizes[:gops]
        frames = [stop - first for first, stop in (gop_range(gop, plan.frames) for gop in range(gops))]
        sound, ledger = self._sound(plan), Ledger(self.store, plan.prefix("sound"))
        with ledger.voiding(sound):
            index = json.loads(ledger.load(sound, "index"))
        ranges = [(offset, size) for offset, size in index["ranges"]]
        folder, finished = plan.hashes.stream[:16], gops == plan.gops
        fragments = [(_from_playlist(plan, key), count) for key, count in zip(keys, frames, strict=True)]
        init, chapters = _from_playlist(plan, init_key(plan)), plan.publishing.chapters
        video = playlists.video_playlist(init, fragments, finished, chapters)
        heard = _from_playlist(plan, sound.objects["hls"].key)
        audio = playlists.sound_playlist(heard, index["init_bytes"], ranges, frames, finished)
        both = playlists.index_playlist(
            f"{folder}/video.m3u8",
            f"{folder}/audio.m3u8",
            codec=codec_string(self.store.get(init_key(plan))),
            width=plan.encoding.width,
            height=plan.encoding.height,
            channels=sound.facts["channels"],
            video_bits=playlists.bit_rates(sizes, frames),
            sound_bits=playlists.bit_rates([size for _, size in ranges[:gops]], frames),
            language=plan.publishing.language,
        )
        for name, text in ((f"{folder}/video", video), (f"{folder}/audio", audio), ("index", both)):
            self.store.put(f"{plan.id}/hls/{name}.m3u8", text.encode())

    def _shown(self, plan: TitlePlan) -> int:
        """GOPs in the playlist that players see now."""
        try:
            return self.store.get(f"{plan.id}/hls/{plan.hashes.stream[:16]}/video.m3u8").count(b"#EXTINF")
        except MissingObject:
            return 0

    def _listed(self, plan: TitlePlan, gops: int) -> _Fragments:
        listed = self._fragments[plan.hashes.stream]
        ledger = Ledger(self.store, plan.prefix("stream"))
        for record in ledger.read_prefix(range(len(listed.keys) * GOP, gops * GOP, GOP)):
            listed.keys.append(record.objects["fragment"].key)
            listed.sizes.append(record.objects["fragment"].size)
        if len(listed.keys) < gops:
            raise DamagedObject(f"title {plan.id}: the record of GOP {len(listed.keys)} is gone")
        return listed

    # -- the finished file ----------------------------------------------------------------------------------------

    def _finish(self, plan: TitlePlan) -> None:
        with tempfile.TemporaryDirectory(prefix="longtake-") as name:
            final = self._assemble(plan, plan.gops, Path(name))
            stored = Stored(f"{plan.id}/final.mp4", sha256_of_file(final), final.stat().st_size)
            self._playlists(plan, plan.gops)
            self.store.put_file(stored.key, final)
        self._first_pictures(plan)
        sheet = self._contact_sheet(plan)
        ledgers = [Ledger(self.store, plan.prefix(stage)) for stage in ("chain", "stream")]
        chain, stream = (ledger.read_prefix(range(0, plan.frames, GOP)) for ledger in ledgers)
        notes = [plan.constants.note] if plan.constants.note else []
        more = {"final": {"sha256": stored.sha256, "size": stored.size}, "notes": notes + notes_of(self.store, plan)}
        more["contact"] = sheet
        self._put_json(f"{plan.id}/report.json", title_report(plan, self.run_id, chain, stream, more))
        self._put_json(f"{plan.id}/provenance.json", provenance(plan, stored.sha256))
        done = Ledger(self.store, plan.prefix("done"))
        before = done.read(0, mend=True)
        if before is not None and before.objects["final"] != stored:
            done.void(before, "the file was made again and is another one")
        done.commit(
            Record(
                stage="done",
                title=plan.id,
                plan=plan.hashes.stream,
                first=0,
                frames=plan.frames,
                attempt=new_attempt(),
                objects={"final": stored},
                facts={
                    "frames": plan.frames,
                    "records": records_digest(ledgers, plan.frames),
                    "kept": plan.options.keep,
                },
                made=self.made(time.monotonic()),
            )
        )
        self._drop(plan, ledgers)

    def _first_pictures(self, plan: TitlePlan) -> None:
        """What pages show of a title, from its first GOP on."""
        init, fragment = self.store.get(init_key(plan)), self._load(plan, self._record(plan, 0))
        self.store.put(f"{plan.id}/thumb.jpg", thumbnail(init, fragment, _xmp(plan)))
        self.store.put(f"{plan.id}/poster.jpg", poster(init, fragment, _xmp(plan)))

    def _contact_sheet(self, plan: TitlePlan) -> dict[str, Any]:
        def load(gop: int) -> bytes:
            self.alive()
            return self._load(plan, self._record(plan, gop))

        image, facts = contact_sheet(self.store.get(init_key(plan)), plan.gops, load, _xmp(plan))
        self.store.put(f"{plan.id}/contact.jpg", image)
        return facts

    def _assemble(self, plan: TitlePlan, gops: int, folder: Path) -> Path:
        """Fragments in order and the track into one file; each fragment is checked against its record on the way."""
        sound, track, target = self._sound(plan), folder / "track.m4a", folder / "final.mp4"
        with Ledger(self.store, plan.prefix("sound")).voiding(sound):
            fetch_checked(self.store, sound.objects["track"], track, f"title {plan.id}, sound track")
        frames = gop_range(gops - 1, plan.frames)[1]

        def fragments() -> Iterator[bytes]:
            for gop in range(gops):
                self.alive()
                yield self._load(plan, self._record(plan, gop))

        write_final(
            self.store.get(init_key(plan)),
            fragments(),
            track,
            target,
            frames=frames,
            chapters=plan.publishing.chapters,
            tags_found=plan.publishing.tags,
            cover=self._cover(plan),
            language=plan.publishing.language,
            xmp=_xmp(plan),
        )
        return target

    def _cover(self, plan: TitlePlan) -> bytes:
        """The cover as JPEG of moderate size, without what else its file held."""
        if plan.publishing.cover is None:
            return b""
        what = f"title {plan.id}: cover"
        with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
            picture = read_portrait(fetch_input(self.store, plan.publishing.cover, Path(folder), what), what)
        return jpeg(fitted(picture, LARGEST_COVER))

    def _record(self, plan: TitlePlan, gop: int) -> Record:
        record = Ledger(self.store, plan.prefix("stream")).read(gop * GOP)
        if record is None:
            raise DamagedObject(f"title {plan.id}: the record of GOP {gop} is gone")
        return record

    def _load(self, plan: TitlePlan, record: Record) -> bytes:
        ledger = Ledger(self.store, plan.prefix("stream"))
        with ledger.voiding(record):
            return ledger.load(record, "fragment")

    def _sound(self, plan: TitlePlan) -> Record:
        record = Ledger(self.store, plan.prefix("sound")).read(0)
        if record is None:
            raise DamagedObject(f"title {plan.id}: the record of its sound is gone")
        return record

    def _drop(self, plan: TitlePlan, ledgers: list[Ledger]) -> None:
        """Remove the objects that `keep` does not ask for; their records stay."""
        kept = KEPT[plan.options.keep]
        for ledger, stage in zip(ledgers, ("chain", "stream"), strict=True):
            if stage not in kept:
                for record in ledger.read_prefix(range(0, plan.frames, GOP)):
                    ledger.drop(record)
        if "stream" not in kept:
            for name in ("video", "audio"):
                self.store.delete(f"{plan.id}/hls/{plan.hashes.stream[:16]}/{name}.m3u8")
            self.store.delete(f"{plan.id}/hls/index.m3u8")

    def _put_json(self, key: str, facts: dict[str, Any]) -> None:
        self.store.put(key, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())


def _from_playlist(plan: TitlePlan, key: str) -> str:
    """A key as seen from `<id>/hls/<stream hash>/`, where the playlists of a stream lie."""
    return "../../" + key.removeprefix(f"{plan.id}/")


def _xmp(plan: TitlePlan) -> bytes:
    return provenance_xmp(plan.hashes.stream, SOFTWARE)
