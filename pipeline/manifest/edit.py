"""Changes to a manifest as it is written: its comments, its order and its quotes stay; blanks within braces may not."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.util import load_yaml_guess_indent

from pipeline.core.errors import UserError
from pipeline.manifest.fields import moment

# A key in the first column, and how far the first key below it is indented: the library asks lists alone.
_NESTED = re.compile(r"^[A-Za-z_]+:[ ]*(?:#.*)?\n(?:[ ]*(?:#.*)?\n)*([ ]+)[A-Za-z_]", re.MULTILINE)


def with_retake(text: str, name: str, retake: Mapping[str, Any]) -> str:
    """The manifest with one more retake of the title of that id, at its place in time.

    One of the very same stretch is changed, and keeps what `retake` does not say. `retake`: plain data, as a manifest
    has it. Raises UserError where the text is not written in a way that can be changed.
    """
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 10_000  # no line is broken
    try:
        data, indent, offset = load_yaml_guess_indent(text, yaml=editor)
        nested = _NESTED.search(text)
        editor.indent(mapping=len(nested[1]) if nested else 2, sequence=indent or 2, offset=offset or 0)
        title = next((one for one in data.get("titles", ()) if one.get("id") == name), None)
        if title is None:
            raise UserError(f"title {name} does not stand in the manifest itself; give its table a column `retakes`")
        if "retakes" not in title:  # behind the first key: comments behind the last one are about what follows
            title.insert(1, "retakes", CommentedSeq())
        retakes = title["retakes"]
        start, stop = moment(retake["from"]), moment(retake["to"])
        same = [at for at, one in enumerate(retakes) if (moment(one["from"]), moment(one["to"])) == (start, stop)]
        if same:
            retakes[same[0]].update(_written(retake))
        else:
            retakes.insert(sum(moment(one["from"]) < start for one in retakes), _written(retake))
        written = io.StringIO()
        editor.dump(data, written)
    except (YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise UserError(f"the manifest cannot be changed as it is written ({why}); write the retake by hand") from error
    if _rest(written.getvalue(), name) != _rest(text, name):
        raise UserError("the manifest would not stay as it is but for the retake; write the retake by hand")
    return written.getvalue()


def _rest(text: str, name: str) -> Any:
    """What a manifest says beside the retakes of a title, every value as it is written."""
    facts = yaml.load(text, Loader=yaml.BaseLoader)
    for title in facts["titles"]:
        if title.get("id") == name:
            title.pop("retakes", None)
    return facts


def _written(retake: Mapping[str, Any]) -> CommentedMap:
    """On one line, times in quotes."""
    found = CommentedMap(
        (name, DoubleQuotedScalarString(value) if isinstance(value, str) else value) for name, value in retake.items()
    )
    found.fa.set_flow_style()
    return found
