"""Whatever comes in, nothing but a ManifestError comes out."""

from __future__ import annotations

import json
import string
from typing import Any

import fsspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError, Problem
from pipeline.manifest.catalog import load_valid_titles
from pipeline.manifest.option_fields import OptionFields
from tests.support.manifest_texts import FAMILIES

_WORDS = "id portrait audio prompts at text version output family titles defaults weights seed priority unknown"
_KEYS = st.sampled_from([*OptionFields.model_fields, *_WORDS.split()])
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["mini", "plain", "a", "1:00:00", "h264", "s3://a:b@c", "x.png", "::", "con"])
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(max_size=5), inner, max_size=6)
)
_TITLES = st.lists(st.dictionaries(_KEYS, _VALUES, max_size=8) | _VALUES, max_size=3)


def _load_anything(content: bytes) -> None:
    address = "memory://test_manifest_fuzz/m.yaml"
    fsspec.filesystem("memory").pipe_file("/test_manifest_fuzz/m.yaml", content)
    try:
        load_valid_titles(address, families=FAMILIES)
        problems: tuple[Problem, ...] = (Problem(address, "none", kind="manifest"),)
    except ManifestError as error:
        problems = error.problems
    assert problems
    assert all(problem.place.startswith(address) and "\n" not in str(problem) for problem in problems)


_FUZZ = settings(derandomize=True, deadline=None, max_examples=200)


@_FUZZ
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(content: bytes) -> None:
    _load_anything(content)


@_FUZZ
@given(st.text(alphabet=string.ascii_letters + string.digits + " \n:-[]{}&*!|>'\"?#%@`,<~.", max_size=200))
def test_arbitrary_yaml_like_text_raises_nothing_else(content: str) -> None:
    _load_anything(content.encode())


@_FUZZ
@given(_TITLES, st.dictionaries(_KEYS, _VALUES, max_size=4), st.booleans())
def test_arbitrary_manifests_raise_nothing_else(titles: list[Any], more: dict[str, Any], as_json: bool) -> None:
    data = {"version": 1, "output": "o", "family": "mini", "titles": titles} | more
    text = json.dumps(data) if as_json else yaml.safe_dump(data, allow_unicode=True)
    _load_anything(text.encode("utf-8", "replace"))
