"""What docs/ says about the manifest is made from the code and agrees with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.core.errors import ManifestError
from pipeline.manifest import docs as manifest_docs
from pipeline.manifest.catalog import load_manifest
from pipeline.manifest.option_fields import OptionFields, options_entering
from pipeline.manifest.yaml_text import parse_yaml
from tests.support.manifest_texts import FAMILIES, GIVEN, HEAD, TITLE


def test_generated_docs_are_current() -> None:
    for path, text in manifest_docs.files().items():
        assert path.read_text() == text, f"{path.name}: run `python -m pipeline.manifest --write-docs`"


PICTURE = {"resolution", "fidelity", "background", "enlarge", "plate", "canvas", "frame", "join"}
PICTURE |= {"canvas_place", "canvas_fill", "burn_captions"}


def test_every_option_is_in_the_table_and_enters_one_hash() -> None:
    table = manifest_docs.option_table()
    for name in OptionFields.model_fields:
        assert table.count(f"| `{name}` |") == 1
    by_stage = {stage: options_entering(stage) for stage in ("chain", "picture", "stream", "file", "none")}
    assert sorted(name for names in by_stage.values() for name in names) == sorted(OptionFields.model_fields)
    assert set(by_stage["stream"]) == {"codec", "crf", "effort", "renditions", "marks", "badge"}
    assert set(by_stage["picture"]) == PICTURE
    assert set(by_stage["file"]) == {"author", "cover", "language", "loudness", "subject", "consent"}
    scheduling, how = {"owner", "share", "due"}, {"compile", "guidance_devices"}
    others = {"preset", "segment_frames", "keep", "allow_mixed", "accept_short"}
    assert set(by_stage["none"]) == others | scheduling | how


def _valid_documents() -> list[Any]:
    root = manifest_docs.DOCS.parent
    blocks = re.findall(r"```yaml\n(version: 1.*?)```", (manifest_docs.DOCS / "manifest.md").read_text(), re.S)
    assert blocks
    texts = blocks + [path.read_text() for path in sorted((root / "examples").glob("*.yaml"))]
    return [parse_yaml(text.encode()).data for text in texts]


def test_the_schema_accepts_the_examples_and_every_option() -> None:
    schema = manifest_docs.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    base = yaml.safe_load(HEAD + TITLE)
    for document in (*_valid_documents(), base, base | {"defaults": GIVEN}):
        jsonschema.validate(document, schema)


def test_the_examples_load(tmp_path: Path) -> None:
    for document in _valid_documents():
        file = tmp_path / "m.yaml"
        file.write_text(json.dumps(document | {"family": "fake"}))
        assert load_manifest(file, families=FAMILIES).titles


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"unknown": 1},
        {"defaults": {"codec": "h265"}},
        {"defaults": {"segment_frames": 100}},
        {"titles": []},
        {"titles": [{"id": "../x", "portrait": "p", "audio": "a"}]},
        {"titles": [{"id": "x", "portrait": "p"}]},
        {"titles": [{"id": "x", "portrait": "p", "audio": []}]},
        {"titles": [{"id": "x", "portrait": "p", "audio": "a", "prompts": [{"at": "soon", "text": "x"}]}]},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(change: dict[str, Any], tmp_path: Path) -> None:
    document = yaml.safe_load(HEAD + TITLE) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, manifest_docs.json_schema())
    file = tmp_path / "m.yaml"
    file.write_text(json.dumps(document))
    with pytest.raises(ManifestError):
        load_manifest(file, families=FAMILIES)
