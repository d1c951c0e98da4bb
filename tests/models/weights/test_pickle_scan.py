"""Pickles that would take for ever are refused before they are read, whatever their form; others pass."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, dictionaries, floats, integers, lists, none, recursive, sampled_from, text
from hypothesis.strategies import tuples as pairs_of

from benchmarks.hostile.weights import archive_of, doubling
from models.weights import pickle_scan
from models.weights.loading import WeightsProblem, read
from tests.support.tiny_hallo2 import TINY_FAMILY

NET = next(file for file in TINY_FAMILY.tree if file.path.endswith("net.pth"))


def told(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(WeightsProblem) as error:
        read(path, NET)
    return str(error.value)


@pytest.mark.parametrize("form", [archive_of, bytes], ids=["archive", "older than 2020"])
def test_a_key_of_countless_values_is_refused(tmp_path: Path, form: Any) -> None:
    assert f"{NET.path}: refused: at byte 48 it nests more than 1,000 values" in told(
        tmp_path / "net.pth", form(doubling(60))
    )
    # As harmless as it is useless: what refuses this one is no longer the look at the pickle.
    assert "nests" not in told(tmp_path / "net.pth", form(doubling(4)))


@given(
    recursive(
        none() | booleans() | integers() | text() | floats(),
        lambda one: lists(one) | pairs_of(one, one) | dictionaries(text(), one),
        max_leaves=50,
    ),
    sampled_from((0, 2, 3, 4)),
)
def test_what_is_not_nested_much_passes(value: Any, protocol: int) -> None:
    pickle_scan.scan(pickle.dumps(value, protocol))


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_nesting_is_found_in_every_protocol(protocol: int) -> None:
    value: tuple[Any, ...] = ()
    for _ in range(20):
        value = (value, value, value, value)
    with pytest.raises(pickle_scan.PickleTooLarge, match="nests"):
        pickle_scan.scan(pickle.dumps(value, protocol))


def test_a_pickle_that_is_too_long_is_refused() -> None:
    with pytest.raises(pickle_scan.PickleTooLarge, match="steps"):
        pickle_scan.scan(b"\x80\x02" + b"N0" * pickle_scan.MOST_STEPS + b"N.")
    with pytest.raises(pickle_scan.PickleTooLarge, match="bytes"):
        pickle_scan.scan(b"N" * (pickle_scan.LARGEST + 1))
