"""The publish worker: playlists that grow while a title renders, and at the end the finished file, by stream copy.

What it writes are views, derived from records and replaced whole; the `done` record comes last.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.captions import Captions
from actors.dressing import read_cues, read_picture
from actors.inputs import fetch_input
from actors.upscale import init_key
from actors.worker import Worker
from pipeline import __version__
from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.core.timeline import GOP, gop_range
from pipeline.media import playlists
from pipeline.media.boxes import codec_string
from pipeline.media.finish import poster, provenance_xmp, write_final
from pipeline.media.stills import contact_sheet, thumbnail
from pipeline.provenance.credentials import Credentials, Ingredient, put_statement, read_credentials, sign, statement_of
from pipeline.provenance.signing_identity import identity
from pipeline.scheduler.work import Done, Job
from pipeline.sources.portrait import fitted, jpeg
from pipeline.store.records import Ledger, Record, Stored, fetch_checked, new_attempt, sha256_of_file
from pipeline.store.small_json import parse_json
from pipeline.titles.found import read_json
from pipeline.titles.report import SOFTWARE, ingredients, notes_of, provenance, records_digest, title_report
from pipeline.titles.title_plan import TitlePlan

LARGEST_COVER = 1400  # pixels of an edge; what players and shops show

# Stages whose objects stay after a title is done.
KEPT = {"all": ("chain", "stream"), "final+hls": ("stream",), "final": ()}


MOST_NAMED = 100  # sound files that stand as ingredients of their own; all are named by their hashes
UNTRUSTED = (
    "the content credentials are signed by an identity that viewers call untrusted; to publish under a name of your "
    "own set LONGTAKE_CREDENTIALS_CERT and LONGTAKE_CREDENTIALS_KEY"
)


@dataclass
class _Fragments:
    """What playlists need of the fragments listed so far: about a hundred bytes a GOP. `visit` is the scheduler's.

    (key, size) by the suffix of the rendition.
    """

    visit: int
    listed: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


class PublishWorker(Worker):
    role = "publish"

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        super().__init__(output, device, run)
        self._fragments: dict[str, _Fragments] = {}
        self._captions = Captions(self.store)

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
        frames = [stop - first for first, stop in (gop_range(gop, plan.frames) for gop in range(gops))]
        sound, ledger = self._sound(plan), Ledger(self.store, plan.prefix(plan.heard))
        with ledger.voiding(sound):
            header, ranges = _read_index(ledger.load(sound, "index"), plan.gops)
        folder, finished = plan.hashes.stream[:16], gops == plan.gops
        texts, variants = {}, []
        for one in plan.renditions:
            found, key = listed[one.suffix][:gops], init_key(plan, one.suffix)
            fragments = [(_from_playlist(plan, part), count) for (part, _), count in zip(found, frames, strict=True)]
            name, init = f"{folder}/video{one.suffix}", _from_playlist(plan, key)
            texts[name] = playlists.video_playlist(init, fragments, finished, plan.publishing.chapters)
            bits = playlists.bit_rates([size for _, size in found], frames)
            codec, encoding = codec_string(self.store.get(key)), one.encoding
            variants.append(playlists.Variant(f"{name}.m3u8", codec, encoding.width, encoding.height, bits))
        main, *smaller = variants
        heard = _from_playlist(plan, sound.objects["hls"].key)
        audio = playlists.sound_playlist(heard, header, ranges, frames, finished)
        said = self._captions.listed(plan)
        both = playlists.index_playlist(
            main.path,
            f"{folder}/audio.m3u8",
            codec=main.codec,
            width=main.width,
            height=main.height,
            smaller=smaller,
            channels=sound.facts["channels"],
            video_bits=main.bits,
            sound_bits=playlists.bit_rates([size for _, size in ranges[:gops]], frames),
            language=plan.publishing.language,
            captions=f"{folder}/captions.m3u8" if said else None,
        )
        texts[f"{folder}/audio"] = audio
        if said:
            where = _from_playlist(plan, said[0])
            texts[f"{folder}/captions"] = playlists.captions_playlist(where, said[1], frames, finished)
        for name, text in (*texts.items(), ("index", both)):
            self.store.put(f"{plan.id}/hls/{name}.m3u8", text.encode())

    def _shown(self, plan: TitlePlan) -> int:
        """GOPs in the playlist that players see now."""
        try:
            return self.store.get(f"{plan.id}/hls/{plan.hashes.stream[:16]}/video.m3u8").count(b"#EXTINF")
        except MissingObject:
            return 0

    def _listed(self, plan: TitlePlan, gops: int) -> dict[str, list[tuple[str, int]]]:
        """(key, size) of the fragments of the first GOPs or more, by suffix."""
        listed = self._fragments[plan.hashes.stream].listed
        there = len(listed.setdefault("", []))
        ledger = Ledger(self.store, plan.prefix("stream"))
        for record in ledger.read_prefix(range(there * GOP, gops * GOP, GOP)):
            for one in plan.renditions:
                stored = record.objects[f"fragment{one.suffix}"]
                listed.setdefault(one.suffix, []).append((stored.key, stored.size))
        if len(listed[""]) < gops:
            raise DamagedObject(f"title {plan.id}: the record of GOP {len(listed[''])} is gone")
        return listed

    # -- the finished file ----------------------------------------------------------------------------------------

    def _finish(self, plan: TitlePlan) -> None:
        with tempfile.TemporaryDirectory(prefix="longtake-") as name:
            self._playlists(plan, plan.gops)
            files = {}
            credentials: Credentials | None = None  # of the file itself; its smaller renditions say the same
            for one in plan.renditions:
                final, said = self._marked(plan, self._assemble(plan, plan.gops, Path(name), one.suffix))
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
            more["loudness"] = self._sound(plan).facts
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

    def _assemble(self, plan: TitlePlan, gops: int, folder: Path, suffix: str = "") -> Path:
        """Fragments in order and the track into one file; each fragment is checked against its record on the way."""
        sound, track, target = self._sound(plan), folder / "track.m4a", folder / f"final{suffix}.mp4"
        with Ledger(self.store, plan.prefix(plan.heard)).voiding(sound):
            fetch_checked(self.store, sound.objects["track"], track, f"title {plan.id}, sound track")
        frames = gop_range(gops - 1, plan.frames)[1]

        def fragments() -> Iterator[bytes]:
            for gop in range(gops):
                self.alive()
                yield self._load(plan, self._record(plan, gop), f"fragment{suffix}")

        write_final(
            self.store.get(init_key(plan, suffix)),
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

    def _marked(self, plan: TitlePlan, final: Path) -> tuple[Path, Credentials | None]:
        """The file with signed credentials, and what they say, where marks are on.

        Whoever signs first keeps the statement in the store; who comes later puts that one in, so all files are equal.
        """
        if not plan.marks.wanted:
            return final, None
        whole, signed = sha256_of_file(final), final.with_name(f"signed-{final.name}")
        key = f"{plan.prefix('stream').rsplit('/', 1)[0]}/credentials-{plan.hashes.file[:8]}-{whole[:16]}.c2pa"
        facts = {"title": plan.id, **plan.marks.said(), **ingredients(plan)}
        with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
            sign(
                final,
                signed,
                identity(),
                title=plan.id,
                software="Longtake",
                version=__version__,
                facts=facts,
                ingredients=self._ingredients(plan, Path(folder)),
            )
        self.alive()
        box = statement_of(signed)[1]
        if not self.store.create(key, box):
            put_statement(signed, self.store.get(key))
        final.unlink()
        return signed, read_credentials(signed)

    def _ingredients(self, plan: TitlePlan, folder: Path) -> Iterator[Ingredient]:
        """The inputs, one at a time on disk."""
        files = [
            ("portrait", plan.portrait),
            *((f"audio {n + 1}", one) for n, one in enumerate(plan.audio[:MOST_NAMED])),
        ]
        for name, stored in files:
            self.alive()
            path = fetch_input(self.store, stored, folder, f"title {plan.id}: {name}")
            yield Ingredient(name, path, stored.sha256)
            path.unlink()

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

    def _sound(self, plan: TitlePlan) -> Record:
        record = Ledger(self.store, plan.prefix(plan.heard)).read(0)
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
            for key in self.store.list(f"{plan.id}/hls/{plan.hashes.stream[:16]}"):
                self.store.delete(key)
            self.store.delete(f"{plan.id}/hls/index.m3u8")

    def _put_json(self, key: str, facts: dict[str, Any]) -> None:
        self.store.put(key, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())


def _from_playlist(plan: TitlePlan, key: str) -> str:
    """A key as seen from `<id>/hls/<stream hash>/`, where the playlists of a stream lie."""
    return "../../" + key.removeprefix(f"{plan.id}/")


def _xmp(plan: TitlePlan) -> bytes:
    return provenance_xmp(plan.hashes.stream, SOFTWARE)


def _read_index(data: bytes, gops: int) -> tuple[int, list[tuple[int, int]]]:
    """Bytes of the sound's header, and (offset, size) of the sound of every GOP. Raises DamagedObject."""
    try:
        index = parse_json(data)
        header, ranges = int(index["init_bytes"]), [(int(offset), int(size)) for offset, size in index["ranges"]]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DamagedObject(f"the index of the sound's fragments is none ({type(error).__name__})") from error
    if len(ranges) < gops:
        raise DamagedObject(f"the index of the sound's fragments lists {len(ranges)} GOPs of {gops}")
    return header, ranges
