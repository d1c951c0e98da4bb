"""From a checked manifest to title plans: inputs are read once, many at a time, remembered, and copied to the store.

Counting means decoding the whole audio, so `<id>/inputs.json` keeps what was found, file by file and title by title as
the survey goes; it is used again while address, size and time stamp (or ETag) of a file are the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from math import ceil, floor
from typing import Literal

from models.families.protocol import Family
from pipeline.core.daemon_pool import DaemonPool
from pipeline.core.errors import InputError, OutputError, Problem, StoreError
from pipeline.core.parallel import parallel_as_done, parallel_map
from pipeline.core.timeline import FPS, clip_of_second
from pipeline.intake.fitting import misfits, problem_of
from pipeline.intake.input_reader import InputReader, InputsRecord, Tell
from pipeline.intake.title_inputs import (
    InputFile,
    Inspected,
    TitleInputs,
    input_files,
    inputs_of,
    portrait_key,
    stored_input,
)
from pipeline.intake.weight_intake import NO_WEIGHTS, Weights
from pipeline.manifest.catalog import Catalog, Prompt, Title
from pipeline.manifest.film_shape import film_size
from pipeline.media.sound import joined_chapters
from pipeline.media.sound_in.padding import in_padded
from pipeline.media.tags import Chapter, continuous
from pipeline.provenance.signing_identity import signer_name
from pipeline.provenance.watermark import key_name, read_key
from pipeline.sources.inputs import name_of
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.gate_choice import gate_of
from pipeline.titles.metadata import Metadata, given_chapters, joined_tags, named
from pipeline.titles.title_hashes import Hashes, Retake, Speaker
from pipeline.titles.title_plan import TitlePlan, with_hashes

WRITE_EVERY = 5.0  # seconds between two writings of what was found
LAST_WORDS = 0.7  # seconds that an interrupted survey has to write what it found


def survey(
    catalog: Catalog, store: Store, tell: Tell = lambda text: None, *, keep: bool = False
) -> tuple[list[TitleInputs], list[Problem]]:
    """Look at the inputs of every title, many at once and each once; what cannot be used is returned as problems.

    With `keep`, inputs that had to be fetched are copied to the store in the same pass, and what was found is written
    every five seconds and when the survey is interrupted or took longer, so that whoever comes next goes on from there.
    A short one leaves nothing; `copy_inputs` keeps all of a catalog that can be rendered.
    """
    notes = dict(parallel_map(lambda title: (title.id, InputsRecord(store, title)), catalog.titles))
    asked: dict[tuple[str, str], list[tuple[Title, InputFile]]] = {}
    for title in catalog.titles:
        for file in input_files(title):
            asked.setdefault((file.url, file.place.partition("[")[0]), []).append((title, file))
    reader = InputReader(store, tell, keep)

    def look(askers: list[tuple[Title, InputFile]]) -> Inspected | InputError:
        known = (notes[title.id].find(file) for title, file in askers)
        try:
            return reader.look(askers[0][0].id, askers[0][1], [entry for entry in known if entry])
        except InputError as error:
            return error

    wrong: dict[tuple[str, str], InputError] = {}
    began = written = time.monotonic()
    try:
        for askers, found in parallel_as_done(look, asked.values()):
            for title, file in askers:
                if isinstance(found, InputError):
                    wrong[title.id, file.place] = found
                else:
                    notes[title.id].add(file, found)
            if keep and time.monotonic() - written > WRITE_EVERY:
                _write(notes.values())
                written = time.monotonic()
    except BaseException as error:
        if keep:
            hurried = isinstance(error, KeyboardInterrupt)
            answer = DaemonPool("notes").submit(lambda: _write(notes.values()))
            with suppress(TimeoutError):
                answer.result(LAST_WORDS if hurried else None)
        raise
    if keep and time.monotonic() - began > WRITE_EVERY:
        _write(notes.values())
    inputs, problems = _judged(catalog, notes, wrong)
    for one in inputs:
        captions = one.extras["captions"][1].get("note") if "captions" in one.extras else None
        for note in (*one.notes, *([captions] if captions else [])):
            tell(f"{one.title.id}: {note}")
    return inputs, problems


def _write(notes: Iterable[InputsRecord]) -> None:
    """What is new; whoever may only read can plan all the same."""
    with suppress(StoreError, OutputError):
        list(parallel_map(InputsRecord.write, notes))


def _judged(
    catalog: Catalog, notes: Mapping[str, InputsRecord], wrong: Mapping[tuple[str, str], InputError]
) -> tuple[list[TitleInputs], list[Problem]]:
    inputs: list[TitleInputs] = []
    problems: list[Problem] = []
    for title in catalog.titles:
        mine = [(file, wrong[title.id, file.place]) for file in input_files(title) if (title.id, file.place) in wrong]
        if mine:
            problems += [problem_of(error, catalog, title, file.place, file.matter) for file, error in mine]
            continue
        one = inputs_of(title, notes[title.id].found)
        if faults := misfits(catalog, one):
            problems += faults
        else:
            inputs.append(one)
    return inputs, problems


def copy_inputs(store: Store, inputs: Iterable[TitleInputs], tell: Tell = lambda text: None) -> None:
    """Copy what the store does not have of titles that were seen, then remember what was found.

    Raises InputError where an input is another one by now.
    """
    titles = list(inputs)
    reader = InputReader(store, tell)
    sources = {source.sha256: (one.title.id, source) for one in titles for source in one.sources}
    list(parallel_map(lambda named: reader.copy(*named), sources.values()))
    list(parallel_map(lambda one: _note(store, one).write(), titles))


def _note(store: Store, inputs: TitleInputs) -> InputsRecord:
    note = InputsRecord(store, inputs.title)
    for file, found in zip(input_files(inputs.title), inputs.found, strict=True):
        note.add(file, found)
    return note


def plan_title(family: Family, inputs: TitleInputs, weights: Weights = NO_WEIGHTS) -> TitlePlan:
    """The plan of a title whose inputs have been seen."""
    title, options = inputs.title, inputs.title.options
    embedding = stored_input(inputs.face_embedding) if inputs.face_embedding else None
    options = options.changed(film=film_size(options, inputs.portrait_size))
    if embedding:
        options = options.changed(face_embedding=embedding.sha256)  # hashes follow content, not addresses
    extras = {name: stored_input(source) for name, (source, _) in inputs.extras.items()}
    if image := extras.get("canvas_fill"):
        options = options.changed(canvas_fill=image.sha256)
    portrait, audio = stored_input(inputs.portrait), tuple(map(stored_input, inputs.audio))
    metadata = _metadata(inputs, extras)
    if metadata.cover:
        options = options.changed(cover=metadata.cover.sha256)
    if metadata.captions is None:  # what then has no effect must not change a hash
        options = options.changed(burn_captions=False)
    shipped = not weights.own and (bool(weights.files) or not family.tree)  # else they are made up by rule
    plan = TitlePlan(
        id=title.id,
        family=family.name,
        weights=weights.files,
        weights_hash=weights.hash or family.default_weights_hash(),
        seed=title.seed,
        priority=title.priority,
        frames=inputs.frames,
        prompts=_clips_of(title.prompts, inputs),
        options=options,
        portrait=portrait,
        audio=audio,
        audio_facts=inputs.joined,
        face_embedding=embedding,
        hashes=Hashes("", "", "", ""),  # they follow from the rest
        gate=gate_of(family, options, shipped),
        mark_key=key_name(read_key()),
        signer=signer_name() if options.marks == "on" else "",
        audio_names=tuple(name_of(source.url) for source in inputs.audio),
        canvas_image=image,
        portrait_reading=inputs.portrait_reading,
        canvas_reading=inputs.canvas_reading,
        metadata=metadata,
        own_weights=weights.own,
        given_title=title.title,
        given_chapters=tuple((one.start, one.title) for one in _given_chapters(inputs)),
        speakers=_speakers(inputs),
        retakes=_retakes(inputs),
    )
    return with_hashes(plan)


def _clips_of(prompts: Iterable[Prompt], inputs: TitleInputs) -> tuple[tuple[int, str], ...]:
    return tuple((clip_of_second(in_padded(prompt.at, inputs.joined)), prompt.text) for prompt in prompts)


def _retakes(inputs: TitleInputs) -> tuple[Retake, ...]:
    def frame(moment: Fraction) -> Fraction:
        return in_padded(moment, inputs.joined) * FPS

    return tuple(
        Retake(
            floor(frame(one.start)),
            min(ceil(frame(one.stop)), inputs.frames),
            inputs.title.seed if one.seed is None else one.seed,
            None if one.prompts is None else _clips_of(one.prompts, inputs),
            *_portrait(inputs, "retakes", number),
        )
        for number, one in enumerate(inputs.title.retakes)
    )


def _speakers(inputs: TitleInputs) -> tuple[Speaker, ...]:
    chapters = inputs.title.chapters
    if not any(one.portrait for one in chapters):
        return ()
    starts = [floor(in_padded(one.at, inputs.joined) * FPS) for one in chapters]
    return tuple(Speaker(start, *_portrait(inputs, "chapters", number)) for number, start in enumerate(starts))


def _portrait(inputs: TitleInputs, part: Literal["chapters", "retakes"], number: int) -> tuple[()] | tuple[Stored, str]:
    """That of a chapter or retake and how its numbers are taken; nothing where it has none of its own."""
    found = inputs.other_portraits.get(portrait_key(part, number))
    return (stored_input(found[0]), found[2]) if found else ()


def _given_chapters(inputs: TitleInputs) -> tuple[Chapter, ...]:
    found = [(in_padded(one.at, inputs.joined), one.title) for one in inputs.title.chapters]
    return given_chapters(found, inputs.frames)


def _metadata(inputs: TitleInputs, extras: Mapping[str, Stored]) -> Metadata:
    title, options = inputs.title, inputs.title.options
    names = [name_of(source.url) for source in inputs.audio]
    return Metadata(
        tags=named(joined_tags([fact.tags for fact in inputs.facts]), title.title, options.author),
        cover=extras.get("cover"),
        captions=extras.get("captions"),
        chapters=_given_chapters(inputs)
        or continuous(joined_chapters(names, inputs.joined), inputs.frames * 1000 // FPS),
        language=options.language,
        loudness=options.loudness,
    )
