"""`python make_hashes.py FOLDER`: writes hashes.json, what commit eea74a0 plans for `plans-*.yaml`, into FOLDER.

Run in a checkout of that commit with this folder copied somewhere else; its imports are those of that commit.
"""

# ruff: noqa: I001 - these modules are where that commit has them
from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from models.families import FAMILIES
from models.shipped import shipped_weights
from pipeline import encode, ffmpeg, watermark
from pipeline.intake import plan_title, survey
from pipeline.manifest import load_manifest
from pipeline.options import OptionFields
from pipeline.records import sha256_of_file
from pipeline.store import open_store
from pipeline.titles import TitlePlan, weights_hash
from pipeline.weight_intake import Weights

HERE = Path(__file__).parent
STAGES = ("sound", "loudness", "conditioning", "features", "chain", "stream", "done")
OWN_KEY = "a key of the operator's own"


def told(plan: TitlePlan) -> dict[str, Any]:
    facts = {
        name: getattr(plan, name) for name in ("seed", "frames", "clips", "gops", "blocks", "weights_hash", "mark_key")
    }
    places = {stage: plan.prefix(stage) for stage in STAGES}
    return facts | {"payload": plan.marks.payload, "hashes": asdict(plan.hashes), "places": places}


def planned(family: str, weights: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as output:
        catalog = load_manifest(HERE / f"plans-{family}.yaml", families=FAMILIES, output=output)
        seen, problems = survey(catalog, open_store(output))
        assert not problems, problems
        return {one.title.id: told(plan_title(FAMILIES[family], one, Weights(hash=weights))) for one in seen}


def check_every_option() -> None:
    """Every option of that commit is given in some plan."""
    given: set[str] = set()
    for path in HERE.glob("plans-*.yaml"):
        data = yaml.safe_load(path.read_text())
        for entry in (data.get("defaults", {}), *data.get("titles_from", ()), *data["titles"]):
            given |= entry.keys()
    assert given >= OptionFields.model_fields.keys(), OptionFields.model_fields.keys() - given


def main() -> None:
    check_every_option()
    os.environ.pop(watermark.KEY, None)
    shipped = Path(shipped_weights("mini") or "")
    files = [(path.name, sha256_of_file(path)) for path in shipped.glob("*.safetensors")]
    weights = {"fake": None, "mini": weights_hash(files), "hallo2": "0123456789abcdef" * 4}
    plans = {family: planned(family, hash_) for family, hash_ in weights.items()}
    os.environ[watermark.KEY] = OWN_KEY
    facts = {
        "commit": "eea74a0",
        "builds": {"ffmpeg": ffmpeg.version()} | {codec: encode._build(codec) for codec in encode.CODECS},
        "weights": weights,
        "plans": plans,
        "own_key": OWN_KEY,
        "with_own_key": planned("fake", None),
    }
    (Path(sys.argv[1]) / "hashes.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(sum(map(len, plans.values())), "plans")


if __name__ == "__main__":
    main()
