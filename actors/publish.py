"""The publish worker: playlists that grow while a title renders, and at the end the finished file, by stream copy.

What it writes are views, derived from records and replaced whole; the `done` record comes last.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actors.captions import Captions
from actors.dressing import read_cues, read_picture
from actors.playlists import Playlists, sound_of
from actors.signing import UNTRUSTED, signed
from actors.worker import Worker
from pipeline.core.errors import DamagedObject
from pipeline.core.timeline import GOP, gop_range
from pipeline.media.finish import poster, provenance_xmp, write_final
from pipeline.media.stills import contact_sheet, thumbnail
from pipeline.provenance.credentials import Credentials
from pipeline.scheduler.work import Done, Job
from pipeline.sources.portrait import fitted, jpeg
from pipeline.store.digests import sha256_of_file
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.record import Record, Stored
from pipeline.store.stages import STAGES, dropped
from pipeline.store.transfer import fetch_checked
from pipeline.titles.found import read_json
from pipeline.titles.report import SOFTWARE, notes_of, provenance, records_digest, title_report
from pipeline.titles.title_plan import TitlePlan

LARGEST_COVER = 1400  # pixels of an edge; what players and shops show


class PublishWorker(Worker):
    role = "publish"

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        super().__init__(output, device, run)
        self._captions = Captions(self.store)
        self._playlists = Playlists(self.store, self._captions)

    def work_on(self, job: Job, plan: TitlePlan) -> Iterator[Done]:
        self.check_stop()
        self._playlists.visit(plan, job.visit)
        if job.kind == "playlist":
            shown = self._playlists.shown(plan)
            if job.count >= shown:  # fewer may be there in a row after damage; a playlist never shrinks
                if not shown:
                    self._first_pictures(plan)
                self._playlists.write(plan, job.count)
            return
        started = time.monotonic()
        if job.count < plan.gops:
            with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
                self.store.put_file(f"{plan.id}/preview.mp4", self._assemble(plan, job.count, Path(folder)))
        else:
            self._finish(plan)
        self._playlists.forget(plan)
        yield Done(plan.id, "finish", 0, True, round(time.monotonic() - started, 3))

    # -- the finished file ----------------------------------------------------------------------------------------

    def _finish(self, plan: TitlePlan) -> None:
        with tempfile.TemporaryDirectory(prefix="longtake-") as name:
            self._playlists.write(plan, plan.gops)
            files = {}
            credentials: Credentials | None = None  # of the file itself; its smaller renditions say the same
            for one in plan.renditions:
                final, said = signed(
                    self.store, plan, self._assemble(plan, plan.gops, Path(name), one.suffix), self.alive
                )
                credentials = said if credentials is None else credentials
                key = f"{plan.id}/final{one.suffix}.mp4"
                files[f"final{one.suffix}"] = Stored(key, sha256_of_file(final), final.stat().st_size)
                self.store.put_file(key, final)
                final.unlink()
            stored = files["final"]
            self._forget_renditions(plan)
        cues = self._captions.settle(plan)
        self._first_pictures(plan)
        sheet = self._contact_sheet(plan)
        ledgers = [Ledger(self.store, plan.prefix(stage)) for stage in ("chain", "stream")]
        chain, stream = (ledger.read_prefix(range(0, plan.frames, GOP)) for ledger in ledgers)
        notes = [plan.constants.note] if plan.constants.note else []
        notes += notes_of(self.store, plan) + plan.marks.notes()
        if credentials is not None and credentials.state == "valid":
            notes.append(UNTRUSTED)
        more = {"final": {"sha256": stored.sha256, "size": stored.size}, "notes": notes}
        if credentials is not None:
            more["credentials"] = credentials.said()
        more["contact"] = sheet
        more["renditions"] = {name: {"sha256": one.sha256, "size": one.size} for name, one in files.items()}
        if plan.heard == "loudness":
            more["loudness"] = sound_of(self.store, plan).facts
        self._put_json(f"{plan.id}/report.json", title_report(plan, self.run_id, chain, stream, more))
        self._put_json(f"{plan.id}/provenance.json", provenance(plan, stored.sha256))
        done = Ledger(self.store, plan.prefix("done"))
        before = done.read(0, mend=True)
        if before is not None and before.objects != files:
            done.void(before, "the file was made again and is another one")
        done.commit(
            Record(
                stage="done",
                title=plan.id,
                plan=plan.hashes.stream,
                first=0,
                frames=plan.frames,
                attempt=new_attempt(),
                objects=dict(files),
                facts={
                    "frames": plan.frames,
                    "records": records_digest(ledgers, plan.frames),
                    "kept": plan.options.keep,
                    "cues": len(cues),
                    "chapters": len(plan.publishing.chapters),
                },
                made=self.made(time.monotonic()),
            )
        )
        self._drop(plan, ledgers)

    def _forget_renditions(self, plan: TitlePlan) -> None:
        """Remove files of sizes that the plan before had and this one has not."""
        before = read_json(self.store, f"{plan.id}/report.json") or {}
        names = before.get("renditions")
        for name in names if isinstance(names, dict) else ():
            if re.fullmatch(r"final-[0-9]+", name) and name not in {f"final{one.suffix}" for one in plan.renditions}:
                self.store.delete(f"{plan.id}/{name}.mp4")

    def _first_pictures(self, plan: TitlePlan) -> None:
        """What pages show of a title, from its first GOP on."""
        init, fragment = self.store.get(plan.init_key()), self._load(plan, self._record(plan, 0))
        self.store.put(f"{plan.id}/thumb.jpg", thumbnail(init, fragment, _xmp(plan)))
        self.store.put(f"{plan.id}/poster.jpg", poster(init, fragment, _xmp(plan)))

    def _contact_sheet(self, plan: TitlePlan) -> dict[str, Any]:
        def load(gop: int) -> bytes:
            self.alive()
            return self._load(plan, self._record(plan, gop))

        image, facts = contact_sheet(self.store.get(plan.init_key()), plan.gops, load, _xmp(plan))
        self.store.put(f"{plan.id}/contact.jpg", image)
        return facts

    def _assemble(self, plan: TitlePlan, gops: int, folder: Path, suffix: str = "") -> Path:
        """Fragments in order and the track into one file; each fragment is checked against its record on the way."""
        sound, track, target = sound_of(self.store, plan), folder / "track.m4a", folder / f"final{suffix}.mp4"
        with Ledger(self.store, plan.prefix(plan.heard)).voiding(sound):
            fetch_checked(self.store, sound.objects["track"], track, f"title {plan.id}, sound track")
        frames = gop_range(gops - 1, plan.frames)[1]

        def fragments() -> Iterator[bytes]:
            for gop in range(gops):
                self.alive()
                yield self._load(plan, self._record(plan, gop), f"fragment{suffix}")

        write_final(
            self.store.get(plan.init_key(suffix)),
            fragments(),
            track,
            target,
            frames=frames,
            chapters=plan.publishing.chapters,
            tags_found=plan.publishing.tags,
            cover=self._cover(plan),
            cues=read_cues(self.store, plan),
            language=plan.publishing.language,
            xmp=_xmp(plan),
        )
        return target

    def _cover(self, plan: TitlePlan) -> bytes:
        """The cover as JPEG of moderate size, without what else its file held."""
        if plan.publishing.cover is None:
            return b""
        return jpeg(fitted(read_picture(self.store, plan, plan.publishing.cover, "cover"), LARGEST_COVER))

    def _record(self, plan: TitlePlan, gop: int) -> Record:
        record = Ledger(self.store, plan.prefix("stream")).read(gop * GOP)
        if record is None:
            raise DamagedObject(f"title {plan.id}: the record of GOP {gop} is gone")
        return record

    def _load(self, plan: TitlePlan, record: Record, name: str = "fragment") -> bytes:
        ledger = Ledger(self.store, plan.prefix("stream"))
        with ledger.voiding(record):
            return ledger.load(record, name)

    def _drop(self, plan: TitlePlan, ledgers: list[Ledger]) -> None:
        """Remove the objects that `keep` does not ask for; their records stay."""
        gone = {name for name in dropped(plan.options.keep) if STAGES[name].when_done}
        for ledger, stage in zip(ledgers, ("chain", "stream"), strict=True):
            if stage in gone:
                for record in ledger.read_prefix(range(0, plan.frames, GOP)):
                    ledger.drop(record)
        if "stream" in gone:
            for key in self.store.list(f"{plan.id}/hls/{plan.hashes.stream[:16]}"):
                self.store.delete(key)
            self.store.delete(f"{plan.id}/hls/index.m3u8")

    def _put_json(self, key: str, facts: dict[str, Any]) -> None:
        self.store.put(key, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())


def _xmp(plan: TitlePlan) -> bytes:
    return provenance_xmp(plan.hashes.stream, SOFTWARE)
