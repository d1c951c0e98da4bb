"""What a title became, from its records: `report.json`, the provenance sidecar, and the facts of a run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from models.families.reproduction import is_warning
from pipeline import __version__
from pipeline.media.final_file import NOTICE, SOURCE_TYPE
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, Stored
from pipeline.store.store import Store
from pipeline.titles.gate_facts import GateCount
from pipeline.titles.scenes import read_scenes
from pipeline.titles.title_hashes import digest
from pipeline.titles.title_plan import TitlePlan

SOFTWARE = f"Longtake {__version__}"


def title_report(plan: TitlePlan, run: str, stages: Mapping[str, object], more: dict[str, object]) -> dict[str, object]:
    """The report of a finished title; `stages` are the facts of its chain and of its stream (`stage_facts`)."""
    return {
        "id": plan.id,
        "family": plan.family,
        "note": plan.constants.note,
        "frames": plan.frames,
        "seconds": plan.frames / 25,
        "gops": plan.gops,
        "hashes": asdict(plan.hashes),
        "seed": plan.seed,
        "options": plan.plain_options,
        "publishing": plan.metadata.described(),
        **plan.marks.said(),
        "run": run,
        "stages": stages,
        **more,
    }


def stage_facts(run: str, records: Iterable[Record]) -> dict[str, object]:
    """Units of a stage: made by this run or found from former ones, made anew after damage, time and place."""
    made_here = total = again = 0
    seconds = 0.0
    hosts: Counter[str] = Counter()
    faceless: int | None = None
    plated: int | None = None
    gate = GateCount()
    for record in records:
        gate.add(record, record.first)
        total += 1
        made_here += record.made.get("run") == run
        again += record.generation > 0
        took = record.made.get("seconds")
        seconds += took if isinstance(took, int | float) else 0.0
        hosts[str(record.made.get("host"))] += 1
        if isinstance(without := record.facts.get("no_face"), list):
            faceless = (faceless or 0) + len(without)
        if isinstance(plate := record.facts.get("plate"), bool):
            plated = (plated or 0) + plate
    return {
        "gops": total,
        "made_in_this_run": made_here,
        "reused": total - made_here,
        "made_anew_after_damage": again,
        "worker_seconds": round(seconds, 3),
        "hosts": dict(hosts),
        **({} if faceless is None else {"frames_without_face": faceless}),
        **({} if plated is None else {"gops_on_plate": plated}),
        **({"gate": told} if (told := gate.told()) else {}),
    }


def provenance(plan: TitlePlan, final_sha256: str) -> dict[str, object]:
    """The sidecar: what the file is, and what it was made of. Holds no addresses, only contents."""
    return {
        "digital_source_type": SOURCE_TYPE,
        "statement": NOTICE,
        "software": SOFTWARE,
        "title": plan.id,
        **plan.marks.said(),
        "file": {"name": "final.mp4", "sha256": final_sha256},
        **ingredients(plan),
    }


def ingredients(plan: TitlePlan) -> dict[str, object]:
    """What a title was made of, as it stands in the sidecar and in the file's credentials."""
    return {
        "inputs": {
            "portrait": plan.portrait.sha256,
            **({"other portraits": [one.sha256 for one in plan.portraits[1:]]} if plan.portraits[1:] else {}),
            "audio": [one.sha256 for one in plan.audio],
            **{name: stored.sha256 for name, stored in _further_inputs(plan).items() if stored},
        },
        "family": plan.family,
        "weights": plan.weights_hash,
        "prompts": [{"clip": clip, "text": text} for clip, text in plan.prompts],
        "seed": plan.seed,
        **({"retakes": [one.identity() for one in plan.retakes]} if plan.retakes else {}),
        "options": plan.plain_options,
        "hashes": {name: getattr(plan.hashes, name) for name in ("sound", "chain", "picture", "stream")},
    }


def _further_inputs(plan: TitlePlan) -> dict[str, Stored | None]:
    return {"canvas_fill": plan.canvas_image, "cover": plan.metadata.cover, "captions": plan.metadata.captions}


class RecordsDigest:
    """Of what a title is made of: the sha256 of the objects of every record of its chain and stream, in order."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()

    def hear(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, taken in as they pass."""
        for record in records:
            objects = sorted(stored.sha256 for stored in record.objects.values())
            self._whole.update(digest([record.stage, record.first, objects]).encode())
            yield record

    def read(self) -> str:
        return self._whole.hexdigest()


@dataclass(frozen=True)
class PortraitNote:
    """`out_of_domain`: the family cannot show the portrait; other notes say what was approximated."""

    text: str
    out_of_domain: bool = False


def notes_of(store: Store, plan: TitlePlan) -> list[PortraitNote]:
    """What was noted when the portrait was prepared."""
    # One scene a portrait: in all others of it the same was noted.
    parts = {one.portrait.sha256: one for one in reversed(read_scenes(store, plan) or (plan,))}
    texts = dict[str, None]()
    for part in reversed(parts.values()):
        record = Ledger(store, part.prefix("conditioning")).read(0)
        notes = record.facts.get("notes") if record else None
        texts |= {note: None for note in notes if isinstance(note, str)} if isinstance(notes, list) else {}
    return [PortraitNote(text, out_of_domain=is_warning(text)) for text in texts]
