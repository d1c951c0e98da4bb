"""What docs/ says about the manifest, made from the fields themselves: option table and JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel, JsonValue

from pipeline.manifest.fields import REQUIRED, ChapterFields, ManifestFields, PromptFields, RetakeFields, TitleFields
from pipeline.manifest.option_fields import OptionFields
from pipeline.manifest.options import MANY_STEPS, PRESETS

DOCS = Path(__file__).resolve().parents[2] / "docs"

_TABLE_HEAD = """# Options

Made by `python -m pipeline.manifest --write-docs`; a test keeps it current. How a manifest is
written: [manifest.md](manifest.md).

Options stand under `defaults`, for all titles, or in a title, which wins. The last column says which hash an option
enters. Changing one that enters

- **chain** renders the title anew,
- **picture** upscales and encodes anew from the stored latents,
- **stream** does the same: pixels are not kept, so another encoding upscales again but never samples again,
- **file** renders nothing anew: the finished file and the playlists are written again from what was rendered,
- **none** changes nothing that is there.

| option | values | default | meaning | hash |
|---|---|---|---|---|
"""


_PRESETS_HEAD = f"""

What a preset gives, where a title does not say otherwise. Steps are a share of the family's own, rounded up;
`deep_every` is 1 where fewer than {MANY_STEPS} are taken. [performance.md](performance.md) has what each is worth and
what it costs.

| preset | steps | guided_share | deep_every |
|---|---|---|---|
"""


def option_table() -> str:
    """docs/options.md."""
    rows = [
        f"| `{name}` | {_cell(str(extra['expected']))} | {_cell(_plain(extra['shown_default']))} | {_cell(text)} "
        f"| {extra['enters']} |"
        for name, text, extra in _described(OptionFields)
    ]
    presets = [
        f"| `{name}` | ×{one.steps:g} | {one.guided_share:g} | {one.deep_every} |" for name, one in PRESETS.items()
    ]
    return _TABLE_HEAD + "\n".join(rows) + _PRESETS_HEAD + "\n".join(presets) + "\n"


def json_schema() -> dict[str, object]:
    """docs/manifest.schema.json. What depends on the family, on other keys or on files only the commands check."""
    schema = ManifestFields.model_json_schema()
    definitions = schema.pop("$defs")
    for model in (ManifestFields, TitleFields, PromptFields, ChapterFields, RetakeFields, OptionFields):
        described = schema if model is ManifestFields else definitions[model.__name__]
        described["additionalProperties"] = False
        if model is ManifestFields:  # titles may come from elsewhere, and `titles` then gives single keys of them
            described["required"] = [name for name in REQUIRED[model] if name != "titles"]
            described["anyOf"] = [{"required": ["titles"]}, {"required": ["titles_from"]}]
        elif model in REQUIRED:
            described["required"] = list(REQUIRED[model])
        for name, text, extra in _described(model):
            rule = described["properties"][name]
            for key in ("default", "title", "expected", "enters", "shown_default"):
                rule.pop(key, None)
            rule["description"] = text + f" Expected: {extra['expected']}."
            if "shown_default" in extra:
                rule["description"] += f" Default: {_plain(extra['shown_default'])}. Enters hash: {extra['enters']}."
        described.pop("title", None)
        described.pop("description", None)
    schema["properties"]["version"] = {"const": 1, "description": schema["properties"]["version"]["description"]}
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Longtake manifest"}
    return title | schema | {"$defs": definitions}


def files() -> dict[Path, str]:
    """Every generated file and what belongs in it."""
    return {
        DOCS / "options.md": option_table(),
        DOCS / "manifest.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def _described(model: type[BaseModel]) -> Iterator[tuple[str, str, dict[str, JsonValue]]]:
    for name, field in model.model_fields.items():
        assert isinstance(field.json_schema_extra, dict)
        assert field.description
        yield name, field.description, field.json_schema_extra


def _plain(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


@click.command(help="Describe the manifest's options.")
@click.option("--write-docs", is_flag=True, help="Write docs/options.md and docs/manifest.schema.json.")
def main(write_docs: bool) -> None:
    if not write_docs:
        click.echo(option_table(), nl=False)
        return
    for path, text in files().items():
        path.write_text(text)
        click.echo(f"wrote {path}")
