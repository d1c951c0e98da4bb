"""What a title is made of, as its page shows it: inputs, prompts, options, hashes, weights and their licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import PurePosixPath

from models.families.weight_files import WeightFile
from pipeline.core.timeline import CLIP, FPS
from pipeline.manifest.option_fields import OptionFields, extra
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.title_folders import read_json
from pipeline.titles.title_plan import TitlePlan


def facts_of(plan: TitlePlan, names: Mapping[str, str]) -> dict[str, object]:
    """`names`: what the inputs' files are called, by sha256."""
    options = plan.plain_options
    return {
        "family": plan.family,
        "note": plan.constants.note,
        "frames": plan.frames,
        "seed": str(plan.seed),  # 63 bits: more than a number in a page holds
        "width": plan.encoding.width,
        "height": plan.encoding.height,
        "tags": [list(tag) for tag in plan.metadata.tags],
        "language": plan.metadata.language,
        "chapters": [
            {"at": one.start / 1000, "end": one.end / 1000, "title": one.title} for one in plan.metadata.chapters
        ],
        "inputs": [_input(role, stored, names) for role, stored in _inputs(plan)],
        "prompts": [{"at": clip * CLIP / FPS, "text": text} for clip, text in plan.prompts],
        "options": [
            {"name": name, "value": _shown(value), "enters": extra(name)["enters"]}
            for name, value in options.items()
            if name in OptionFields.model_fields
        ],
        "hashes": asdict(plan.hashes),
        "weights": {"hash": plan.weights_hash, "files": [_weight(plan, name, one) for name, one in plan.weights]},
    }


def input_names(store: Store, title: str) -> dict[str, str]:
    """What the inputs' files are called, by sha256; their folders are nobody's business."""
    files = (read_json(store, f"{title}/inputs.json") or {}).get("files")
    found = [one for one in files if isinstance(one, dict)] if isinstance(files, list) else []
    return {str(one.get("sha256")): PurePosixPath(str(one.get("url", "")).split("?")[0]).name for one in found}


def _inputs(plan: TitlePlan) -> Iterator[tuple[str, Stored]]:
    yield from (("portrait", one) for one in plan.portraits)
    yield from (("audio", one) for one in plan.audio)
    more = {
        "face embedding": plan.face_embedding,
        "canvas": plan.canvas_image,
        "cover": plan.metadata.cover,
        "captions": getattr(plan.metadata, "captions", None),
    }
    yield from ((role, stored) for role, stored in more.items() if stored)


def _input(role: str, stored: Stored, names: Mapping[str, str]) -> dict[str, object]:
    return {"role": role, "name": names.get(stored.sha256, ""), "sha256": stored.sha256, "size": stored.size}


def _weight(plan: TitlePlan, name: str, stored: Stored) -> dict[str, object]:
    known: dict[str, WeightFile] = {path: file for file in plan.constants.tree for path in file.paths}
    file = known.get(name)
    told = {key: asdict(file)[key] for key in ("purpose", "licence", "commercial")} if file else {}
    return {"name": name, "sha256": stored.sha256, "size": stored.size, **told}


def _shown(value: object) -> str:
    match value:
        case None:
            return "—"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(str, value))
    return str(value)
