"""The HLS playlists of a title, written anew as it grows; views of what is committed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actors.captions import Captions
from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.core.timeline import GOP, gop_range
from pipeline.media import playlists
from pipeline.media.boxes import codec_string
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, Stored
from pipeline.store.small_json import parse_json
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

# Titles of which it is remembered what was listed: two hundred bytes a GOP. Any idle worker writes a playlist, so in
# the end every one would know all titles of a catalog by heart.
MOST_HELD = 8


@dataclass
class _Fragments:
    """What playlists need of the fragments listed so far. `visit` is the scheduler's.

    `listed`: (key, size) by the suffix of the rendition. `shown`: GOPs in the playlist that players see, as far as this
    worker knows; None before it has looked.
    """

    visit: int
    shown: int | None = None
    listed: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


class Playlists:
    """Playlists of the titles that a worker has in hand; remembers what it has listed of each."""

    def __init__(self, store: Store, captions: Captions):
        self.store, self._captions = store, captions
        self._fragments: OrderedDict[str, _Fragments] = OrderedDict()

    def visit(self, plan: TitlePlan, visit: int) -> None:
        """Forget what was listed before this visit: it may have been damaged and made again."""
        known = self._fragments.get(plan.hashes.stream)
        if known is None or known.visit != visit:
            self._fragments[plan.hashes.stream] = _Fragments(visit)
        self._fragments.move_to_end(plan.hashes.stream)
        while len(self._fragments) > MOST_HELD:
            self._fragments.popitem(last=False)

    def forget(self, plan: TitlePlan) -> None:
        self._fragments.pop(plan.hashes.stream, None)

    def write(
        self,
        plan: TitlePlan,
        gops: int,
        read: Mapping[str, Sequence[Stored]] | None = None,
        known: Mapping[int, bytes] | None = None,
    ) -> None:
        """List the first `gops` GOPs; the title's own index then points at this stream.

        `read`: fragments of every rendition by its suffix, where they have been read already. `known`: some records of
        fragments by first frame.
        """
        if read:
            listed = {suffix: [(one.key, one.size) for one in found] for suffix, found in read.items()}
        else:
            listed = self._listed(plan, gops, known or {})
        frames = [stop - first for first, stop in (gop_range(gop, plan.frames) for gop in range(gops))]
        sound, ledger = sound_of(self.store, plan), Ledger(self.store, plan.prefix(plan.heard))
        with ledger.voiding(sound):
            header, ranges = _read_index(ledger.load(sound, "index"), plan.gops)
        folder, finished = plan.hashes.stream[:16], gops == plan.gops
        texts, variants = {}, []
        for one in plan.renditions:
            found, key = listed[one.suffix][:gops], plan.init_key(one.suffix)
            fragments = [(_from_playlist(plan, part), count) for (part, _), count in zip(found, frames, strict=True)]
            name, init = f"{folder}/video{one.suffix}", _from_playlist(plan, key)
            texts[name] = playlists.video_playlist(init, fragments, finished, plan.metadata.chapters)
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
            language=plan.metadata.language,
            captions=f"{folder}/captions.m3u8" if said else None,
        )
        texts[f"{folder}/audio"] = audio
        if said:
            where = _from_playlist(plan, said[0])
            texts[f"{folder}/captions"] = playlists.captions_playlist(where, said[1], frames, finished)
        for name, text in (*texts.items(), ("index", both)):
            self.store.put(f"{plan.id}/hls/{name}.m3u8", text.encode())
        self._fragments[plan.hashes.stream].shown = gops

    def shown(self, plan: TitlePlan) -> int:
        """GOPs in the playlist that players see, read once a visit: within one, numbers only grow, whoever writes."""
        known = self._fragments[plan.hashes.stream]
        if known.shown is None:
            try:
                text = self.store.get(f"{plan.id}/hls/{plan.hashes.stream[:16]}/video.m3u8")
            except MissingObject:
                text = b""
            known.shown = text.count(b"#EXTINF")
        return known.shown

    def _listed(self, plan: TitlePlan, gops: int, known: Mapping[int, bytes]) -> dict[str, list[tuple[str, int]]]:
        """(key, size) of the fragments of the first GOPs or more, by suffix."""
        listed = self._fragments[plan.hashes.stream].listed
        there = len(listed.setdefault("", []))
        view = StageView(self.store, plan.prefix("stream"), checkpoint=True).give(known)
        for record in view.unbroken(range(there * GOP, gops * GOP, GOP)):
            for one in plan.renditions:
                stored = record.objects[f"fragment{one.suffix}"]
                listed.setdefault(one.suffix, []).append((stored.key, stored.size))
        if len(listed[""]) < gops:
            raise DamagedObject(f"title {plan.id}: the record of GOP {len(listed[''])} is gone")
        return listed


def sound_of(store: Store, plan: TitlePlan) -> Record:
    """The record of the sound that people hear. Raises DamagedObject where it is gone."""
    record = Ledger(store, plan.prefix(plan.heard)).read(0)
    if record is None:
        raise DamagedObject(f"title {plan.id}: the record of its sound is gone")
    return record


def _from_playlist(plan: TitlePlan, key: str) -> str:
    """A key as seen from `<id>/hls/<stream hash>/`, where the playlists of a stream lie."""
    return "../../" + key.removeprefix(f"{plan.id}/")


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
