"""From a checked manifest to title plans: inputs are counted and hashed once, remembered, and copied to the store.

Counting means decoding the whole audio, so `<id>/inputs.json` keeps what was found; it is used again while address,
size and time stamp (or ETag) of every file are the same.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from models.families.protocol import Family
from pipeline.core.errors import DamagedObject, InputError, MissingObject, Problem
from pipeline.core.redact import redact
from pipeline.core.timeline import FPS, clip_of_second, frames_of
from pipeline.intake.remembered import usable_entries
from pipeline.intake.weight_intake import NO_WEIGHTS, Weights
from pipeline.intake.weight_tree import FoundTree
from pipeline.manifest.catalog import Catalog, Title, check_prompts
from pipeline.media.burn import cannot_be_drawn
from pipeline.media.canvas import is_image
from pipeline.media.sound import AudioFacts, joined_chapters, probe
from pipeline.media.tags import Chapter, continuous
from pipeline.provenance.signing_identity import signer_name
from pipeline.provenance.watermark import key_name, read_key
from pipeline.sources.captions import LARGEST_CAPTIONS, clock, read_captions
from pipeline.sources.embedding import read_embedding
from pipeline.sources.inputs import LARGEST, LARGEST_PORTRAIT, SourceFile, fetch, stamp_of
from pipeline.sources.portrait import read_portrait
from pipeline.store.record import Stored
from pipeline.store.small_json import get_json, put_changed
from pipeline.store.store import Store
from pipeline.titles.publishing import Publishing, given_chapters, named
from pipeline.titles.title_plan import TitlePlan, title_hashes

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Seen:
    """A title's inputs as found: `facts` belong to `audio`, file by file. `extras`: further files by their key, with
    what was found in them."""

    title: Title
    portrait: SourceFile
    portrait_size: tuple[int, int]
    audio: tuple[SourceFile, ...]
    facts: tuple[AudioFacts, ...]
    face_embedding: SourceFile | None
    extras: Mapping[str, tuple[SourceFile, Any]]

    @property
    def frames(self) -> int:
        return frames_of((fact.samples, fact.rate) for fact in self.facts)

    @property
    def sources(self) -> tuple[SourceFile, ...]:
        return (*self.main_sources, *(source for source, _ in self.extras.values()))

    @property
    def main_sources(self) -> tuple[SourceFile, ...]:
        more = (self.face_embedding,) if self.face_embedding else ()
        return (self.portrait, *self.audio, *more)


def survey(catalog: Catalog, store: Store, tell: Tell = lambda text: None) -> tuple[list[Seen], list[Problem]]:
    """Look at the inputs of every title; what cannot be used is returned as problems. Writes nothing."""
    seen: list[Seen] = []
    problems: list[Problem] = []
    for title in catalog.titles:
        found, wrong = _survey(catalog, title, store, tell)
        problems += wrong
        if found is not None:
            seen.append(found)
    return seen, problems


def _survey(catalog: Catalog, title: Title, store: Store, tell: Tell) -> tuple[Seen | None, list[Problem]]:
    known = remembered(store, title)
    problems: list[Problem] = []

    def look(
        key: str, url: str, read: Callable[[Path], Any], kind: type = dict, largest: int = LARGEST
    ) -> tuple[SourceFile, Any] | None:
        """The file and what `read` makes of it, found now or remembered, then of this kind."""
        try:
            size, stamp = stamp_of(url, largest)
            entry = known.get(redact(url))
            if entry and (entry["size"], entry["stamp"]) == (size, stamp) and isinstance(entry["facts"], kind):
                return SourceFile(url, entry["sha256"], size, stamp), entry["facts"]
            tell(f"{title.id}: reading {redact(url)}")
            with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
                path, source = fetch(url, Path(folder), largest)
                return source, read(Path(path))
        except InputError as error:
            problems.append(Problem(catalog.place(f"{title.key}.{key}"), str(error)))
            return None

    portrait = look("portrait", title.portrait, lambda path: _size(path, title.portrait), list, LARGEST_PORTRAIT)
    audio = [look(f"audio[{number}]", url, probe) for number, url in enumerate(title.audio)]
    embedding_url = title.options.face_embedding
    embedding = look("face_embedding", embedding_url, _check_embedding, type(None)) if embedding_url else None
    extras = {}
    for name, url in extra_urls(title).items():
        looked = (_read_captions, dict, LARGEST_CAPTIONS) if name == "captions" else (_size, list, LARGEST_PORTRAIT)
        read, kind, largest = looked
        if extra := look(name, url, partial(read, url=url), kind, largest):
            extras[name] = extra
    if problems or portrait is None:
        return None, problems
    found = [item for item in audio if item is not None]
    seen = Seen(
        title,
        portrait[0],
        (portrait[1][0], portrait[1][1]),
        tuple(source for source, _ in found),
        tuple(facts if isinstance(facts, AudioFacts) else AudioFacts.from_dict(facts) for _, facts in found),
        embedding[0] if embedding else None,
        extras,
    )
    problems += check_prompts(title, seen.frames, catalog.place)
    problems += _check_boxes(catalog, seen) + _check_captions(catalog, seen)
    return (None if problems else seen), problems


def extra_urls(title: Title) -> dict[str, str]:
    """Addresses of the files that a title names beside portrait, audio and embedding, by their key."""
    fill = title.options.canvas_fill
    named = {"canvas_fill": fill if is_image(fill) else None, "cover": title.options.cover, "captions": title.captions}
    return {name: url for name, url in named.items() if url}


def _read_captions(path: Path, url: str) -> dict[str, Any]:
    """What must be known of captions to check them against their title."""
    cues = read_captions(path, redact(url))
    last = cues[-1]
    return {"cues": len(cues), "last": last.start, "line": last.line, "cannot_be_drawn": cannot_be_drawn(cues)}


def _check_captions(catalog: Catalog, seen: Seen) -> list[Problem]:
    if "captions" not in seen.extras:
        return []
    title, facts, end = seen.title, seen.extras["captions"][1], seen.frames * 1000 // FPS
    problems = []
    if facts["last"] >= end:
        problems.append(
            f"the cue of line {facts['line']} begins at {clock(facts['last'])}, the title ends at {clock(end)}; "
            "give the captions of this sound"
        )
    if title.options.burn_captions and facts["cannot_be_drawn"]:
        problems.append(
            f"holds {facts['cannot_be_drawn'][:20]!r}, which the font of captions in the picture has not; leave "
            "burn_captions out: players draw the text track with fonts of their own"
        )
    return [Problem(catalog.place(f"{title.key}.captions"), text) for text in problems]


def _check_embedding(path: Path) -> None:
    read_embedding(path, path.name)


def _size(path: Path, url: str) -> tuple[int, int]:
    height, width, _ = read_portrait(path, redact(url)).shape
    return width, height


def _check_boxes(catalog: Catalog, seen: Seen) -> list[Problem]:
    width, height = seen.portrait_size
    problems = []
    for name in ("face_box", "lip_box"):
        box = getattr(seen.title.options, name)
        if box and (box[0] + box[2] > width or box[1] + box[3] > height):
            text = (
                f"value {list(box)}: reaches beyond the portrait of {width}x{height} pixels; "
                "expected [x, y, width, height] inside it"
            )
            problems.append(Problem(catalog.place(f"{seen.title.key}.{name}"), text))
    return problems


def remembered(store: Store, title: Title) -> dict[str, dict[str, Any]]:
    """Entries of the title's inputs record by redacted address; nothing where there is none of use."""
    try:
        return usable_entries(get_json(store, f"{title.id}/inputs.json"))
    except (MissingObject, DamagedObject):
        return {}


def stored_input(source: SourceFile) -> Stored:
    """Where an input lies in the output store: by content, shared between titles."""
    return Stored(f"_inputs/{source.sha256}", source.sha256, source.size)


def copy_inputs(store: Store, seen: Seen, tell: Tell = lambda text: None) -> None:
    """Copy what the store does not have, then remember what was found."""
    for source in seen.sources:
        stored = stored_input(source)
        if not store.exists(stored.key):
            tell(f"{seen.title.id}: copying {redact(source.url)} to the output")
            with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
                path, now = fetch(source.url, Path(folder))
                if now.sha256 != source.sha256:
                    raise InputError(f"{redact(source.url)} changed while it was being read; run again")
                store.put_file(stored.key, Path(path))
    facts: list[Any] = [list(seen.portrait_size), *map(asdict, seen.facts), None]
    found = [*zip(seen.main_sources, facts, strict=False), *seen.extras.values()]
    files = [
        {"url": redact(s.url), "sha256": s.sha256, "size": s.size, "stamp": s.stamp, "facts": fact} for s, fact in found
    ]
    data = (json.dumps({"files": files, "frames": seen.frames}, indent=1) + "\n").encode()
    put_changed(store, f"{seen.title.id}/inputs.json", data)


def without_impossible(catalog: Catalog, seen: list[Seen], found: FoundTree | None) -> tuple[list[Seen], list[Problem]]:
    """The titles that can be rendered with these weights; prompts need a text branch, separating needs a separator."""
    problems, kept = [], []
    for one in seen:
        mine = _prompts_without_text(catalog, one, found) + _voices_without_separator(catalog, one, found)
        problems += mine
        if not mine:
            kept.append(one)
    return kept, problems


def _prompts_without_text(catalog: Catalog, seen: Seen, found: FoundTree | None) -> list[Problem]:
    if not seen.title.prompts or found is None or found.has("text"):
        return []
    name = next((file.path for file in found.absent if file.network == "text"), "text branch")
    remedy = f"without which family {catalog.family} takes no prompts; remove `prompts`, or use weights that have it"
    text = f"{len(seen.title.prompts)} given, but the weights at {redact(found.url)} have no {name}, {remedy}"
    return [Problem(catalog.place(f"{seen.title.key}.prompts"), text)]


def _voices_without_separator(catalog: Catalog, seen: Seen, found: FoundTree | None) -> list[Problem]:
    if seen.title.options.vocals == "as_is" or (found is not None and found.has("separator")):
        return []
    where = f"the weights at {redact(found.url)} have" if found else f"family {catalog.family} has"
    text = (
        f"value separate: {where} no separator of voice and music (audio_separator/Kim_Vocal_2.onnx and its table); "
        "expected as_is; speech without music under it needs no separation"
    )
    return [Problem(catalog.place(f"{seen.title.key}.vocals"), text)]


def plan_title(family: Family, seen: Seen, weights: Weights = NO_WEIGHTS) -> TitlePlan:
    """The plan of a title whose inputs have been seen."""
    title, options = seen.title, seen.title.options
    embedding = stored_input(seen.face_embedding) if seen.face_embedding else None
    if embedding:
        options = replace(options, face_embedding=embedding.sha256)  # hashes follow content, not addresses
    extras = {name: stored_input(source) for name, (source, _) in seen.extras.items()}
    if image := extras.get("canvas_fill"):
        options = replace(options, canvas_fill=image.sha256)
    portrait, audio = stored_input(seen.portrait), tuple(map(stored_input, seen.audio))
    publishing = _publishing(seen, extras)
    if publishing.cover:
        options = replace(options, cover=publishing.cover.sha256)
    if publishing.captions is None:  # what then has no effect must not change a hash
        options = replace(options, burn_captions=False)
    prompts = tuple((clip_of_second(prompt.at), prompt.text) for prompt in title.prompts)
    mark_key = key_name(read_key())
    signer = signer_name() if options.marks == "on" else ""
    weights_hash = weights.hash or family.default_weights_hash()
    return TitlePlan(
        id=title.id,
        family=family.name,
        weights=weights.files,
        weights_hash=weights_hash,
        seed=title.seed,
        priority=title.priority,
        frames=seen.frames,
        prompts=prompts,
        options=options,
        portrait=portrait,
        audio=audio,
        audio_facts=seen.facts,
        face_embedding=embedding,
        hashes=title_hashes(
            family=family,
            weights=weights_hash,
            seed=title.seed,
            frames=seen.frames,
            prompts=prompts,
            options=options,
            portrait=portrait,
            audio=audio,
            publishing=publishing,
            title=title.id,
            mark_key=mark_key,
            signer=signer,
        ),
        mark_key=mark_key,
        signer=signer,
        canvas_image=image,
        publishing=publishing,
        own_weights=weights.own,
        given_title=title.title,
        given_chapters=tuple((one.start, one.title) for one in _given_chapters(seen)),
    )


def _given_chapters(seen: Seen) -> tuple[Chapter, ...]:
    return given_chapters([(one.at, one.text) for one in seen.title.chapters], seen.frames)


def _publishing(seen: Seen, extras: Mapping[str, Stored]) -> Publishing:
    title, options = seen.title, seen.title.options
    parts = [f"part {number + 1}" for number in range(len(seen.facts))]
    return Publishing(
        tags=named(seen.facts[0].tags, title.title, options.author),
        cover=extras.get("cover"),
        captions=extras.get("captions"),
        chapters=_given_chapters(seen) or continuous(joined_chapters(parts, seen.facts), seen.frames * 1000 // FPS),
        language=options.language,
        loudness=options.loudness,
    )
