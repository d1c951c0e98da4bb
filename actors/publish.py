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
from actors.compositing import read_cues, read_picture
from actors.film_stream import end_scenes, place_fragments
from actors.parts import Parts, load_fragment, passing_fragments, read_parts, side_by_side
from actors.playlists import Playlists, sound_of
from actors.signing import UNTRUSTED, signed
from actors.worker import Worker
from pipeline.core.errors import DamagedObject
from pipeline.core.timeline import GOP, gop_range
from pipeline.media.final_file import poster, provenance_xmp, write_final
from pipeline.media.stills import contact_sheet, thumbnail
from pipeline.provenance.credentials import Credentials
from pipeline.scheduler.work import Done, Job, Kind
from pipeline.sources.portrait import fitted, jpeg
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.record import Record, Stored
from pipeline.store.stages import dropped
from pipeline.store.transfer import fetch_checked
from pipeline.titles import views
from pipeline.titles.report import SOFTWARE, notes_of, provenance, title_report
from pipeline.titles.requested import requested_of
from pipeline.titles.scenes import pieces_of, read_scenes
from pipeline.titles.title_folders import read_json
from pipeline.titles.title_plan import TitlePlan

_MADE_BY: tuple[tuple[str, Kind], ...] = (("chain", "chain"), ("stream", "upscale"))
LARGEST_COVER = 1400  # pixels of an edge; what players and shops show


class PublishWorker(Worker):
    role = "publish"

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        super().__init__(output, device, run)
        self._captions = Captions(self.store)
        self._playlists = Playlists(self.store, self._captions)

    def work_on(self, job: Job, plan: TitlePlan) -> Iterator[Done]:
        self.check_stop()
        if plan.in_scenes:
            began = time.monotonic()
            place_fragments(self.store, plan, job.count, lambda: self.made(began), self.alive)
        self._playlists.visit(plan, job.visit)
        if job.kind == "playlist":
            shown = self._playlists.shown(plan)
            if job.count >= shown:  # fewer may be there in a row after damage; a playlist never shrinks
                if not shown:
                    self._first_pictures(plan, self._fragment(plan, 0))
                self._playlists.write(plan, job.count, known=self.known(plan, "upscale"))
            return
        started = time.monotonic()
        if job.count < plan.gops:
            with tempfile.TemporaryDirectory(prefix="longtake-") as name:
                folder = Path(name)
                found = side_by_side(lambda gop: self._fragment(plan, gop), range(job.count))
                file = self._assemble(plan, job.count, found, self._track(plan, folder), folder / "preview.mp4")
                self.store.put_file(f"{plan.id}/preview.mp4", file)
        else:
            self._finish(plan)
        self._playlists.forget(plan)
        yield Done(plan.name, "finish", 0, True, round(time.monotonic() - started, 3))

    # -- the finished file ----------------------------------------------------------------------------------------

    def _finish(self, plan: TitlePlan) -> None:
        """Every byte of a finished file comes from the store once and goes there once, whatever `keep` says.

        Records are read once. A file passes over the scratch disk three times: it is joined, signed, sent.
        """
        parts = read_parts(self.store, plan, self.run_id, {one: self.known(plan, kind) for one, kind in _MADE_BY})
        self._playlists.write(plan, plan.gops, parts.fragments)
        with tempfile.TemporaryDirectory(prefix="longtake-") as name:
            files, credentials = self._files(plan, parts, Path(name))
        self._forget_renditions(plan)
        cues = self._captions.settle(plan)
        self._first_pictures(plan, parts.shown[0])
        sheet, facts = contact_sheet(self.store.get(plan.init_key()), plan.gops, parts.shown.__getitem__, _xmp(plan))
        self.store.put(f"{plan.id}/contact.jpg", sheet)
        notes = [plan.constants.note] if plan.constants.note else []
        notes += [note for fact in plan.audio_facts for note in fact.notes]
        notes += [*(note.text for note in notes_of(self.store, plan)), *plan.marks.notes()]
        if credentials is not None and credentials.state == "valid":
            notes.append(UNTRUSTED)
        stored = files["final"]
        more: dict[str, object] = {"final": {"sha256": stored.sha256, "size": stored.size}, "notes": notes}
        if credentials is not None:
            more["credentials"] = credentials.said()
        more["contact"] = facts
        more["renditions"] = {name: {"sha256": one.sha256, "size": one.size} for name, one in files.items()}
        if plan.in_scenes:
            more["scenes"] = pieces_of(read_scenes(self.store, plan))
            more["silence_behind_files"] = [fact.pad[0] / fact.pad[1] for fact in plan.audio_facts]
        more["wishes"] = requested_of(plan)
        if plan.heard == "loudness":
            more["loudness"] = sound_of(self.store, plan).facts
        self._put_json(f"{plan.id}/provenance.json", provenance(plan, stored.sha256))
        more["views"] = views.written(self.store, plan)
        self._put_json(f"{plan.id}/report.json", title_report(plan, self.run_id, parts.stages, more))
        if plan.in_scenes:
            end_scenes(self.store, plan, lambda: self.made(time.monotonic()))
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
                    "records": parts.records,
                    "kept": plan.options.keep,
                    "cues": len(cues),
                    "chapters": len(plan.metadata.chapters),
                },
                made=self.made(time.monotonic()),
            )
        )
        self._drop(plan, parts)

    def _files(self, plan: TitlePlan, parts: Parts, folder: Path) -> tuple[dict[str, Stored], Credentials | None]:
        """The finished file and its renditions, in the store; and what the first one's credentials say."""
        files, credentials = {}, None  # the credentials of smaller renditions say the same
        track = self._track(plan, folder)
        for one in plan.renditions:
            found = passing_fragments(self.store, plan, parts, one.suffix)
            joined = self._assemble(plan, plan.gops, found, track, folder / f"final{one.suffix}.mp4", one.suffix)
            final, said = signed(self.store, plan, joined, self.alive)
            credentials = credentials or said
            key = f"{plan.id}/final{one.suffix}.mp4"
            sent = self.store.put_file(key, final)
            files[f"final{one.suffix}"] = Stored(key, sent.sha256, sent.size)
            final.unlink()
        return files, credentials

    def _forget_renditions(self, plan: TitlePlan) -> None:
        """Remove files of sizes that the plan before had and this one has not."""
        before = read_json(self.store, f"{plan.id}/report.json") or {}
        names = before.get("renditions")
        for name in names if isinstance(names, dict) else ():
            if re.fullmatch(r"final-[0-9]+", name) and name not in {f"final{one.suffix}" for one in plan.renditions}:
                self.store.delete(f"{plan.id}/{name}.mp4")

    def _first_pictures(self, plan: TitlePlan, fragment: bytes) -> None:
        """What pages show of a title, from its first GOP on."""
        init = self.store.get(plan.init_key())
        self.store.put(f"{plan.id}/thumb.jpg", thumbnail(init, fragment, _xmp(plan)))
        self.store.put(f"{plan.id}/poster.jpg", poster(init, fragment, _xmp(plan)))

    def _track(self, plan: TitlePlan, folder: Path) -> Path:
        """The sound that people hear, as a file."""
        sound, track = sound_of(self.store, plan), folder / "track.m4a"
        with Ledger(self.store, plan.prefix(plan.heard)).voiding(sound):
            fetch_checked(self.store, sound.objects["track"], track, f"title {plan.id}, sound track")
        return track

    def _assemble(
        self, plan: TitlePlan, gops: int, fragments: Iterator[bytes], track: Path, target: Path, suffix: str = ""
    ) -> Path:
        """Fragments in order and the track into one file."""
        write_final(
            self.store.get(plan.init_key(suffix)),
            fragments,
            track,
            target,
            frames=gop_range(gops - 1, plan.frames)[1],
            chapters=plan.metadata.chapters,
            tags_found=plan.metadata.tags,
            cover=self._cover(plan),
            cues=read_cues(self.store, plan),
            language=plan.metadata.language,
            xmp=_xmp(plan),
            alive=self.alive,
        )
        return target

    def _cover(self, plan: TitlePlan) -> bytes:
        """The cover as JPEG of moderate size, without what else its file held."""
        if plan.metadata.cover is None:
            return b""
        return jpeg(fitted(read_picture(self.store, plan, plan.metadata.cover, "cover"), LARGEST_COVER))

    def _fragment(self, plan: TitlePlan, gop: int) -> bytes:
        record = Ledger(self.store, plan.prefix("stream")).read(gop * GOP)
        if record is None:
            raise DamagedObject(f"title {plan.id}: the record of GOP {gop} is gone")
        return load_fragment(self.store, plan, gop, record.objects["fragment"])

    def _drop(self, plan: TitlePlan, parts: Parts) -> None:
        """Remove the objects that `keep` does not ask for; their records stay."""
        self.store.delete_all(parts.gone)
        if "stream" in dropped(plan.options.keep):
            self.store.delete_all(self.store.list(f"{plan.id}/hls/{plan.hashes.stream[:16]}"))
            self.store.delete(f"{plan.id}/hls/index.m3u8")

    def _put_json(self, key: str, facts: dict[str, Any]) -> None:
        self.store.put(key, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())


def _xmp(plan: TitlePlan) -> bytes:
    return provenance_xmp(plan.hashes.stream, SOFTWARE)
