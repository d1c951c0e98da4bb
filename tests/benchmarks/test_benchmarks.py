"""Benchmarks by name: each is found, and says machine and versions beside its figures."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from benchmarks.run import BENCHMARKS, main


def test_every_name_is_a_benchmark_with_json() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    for name in BENCHMARKS:
        assert f"\n  {name}" in listed
        told = CliRunner().invoke(main, [name, "--help"])
        assert told.exit_code == 0, told.output
        assert "--json" in told.output


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["store", "--runs", "2"], "objects"),
        (["audio", "--minutes", "0.2"], "seconds_a_minute"),
        (["encode", "--codec", "h264", "--size", "64", "--frames", "2"], "encodings"),
    ],
)
def test_figures_come_with_the_machine(arguments: list[str], key: str) -> None:
    plain = CliRunner().invoke(main, arguments)
    assert plain.exit_code == 0, plain.output
    assert plain.output.startswith(f"{arguments[0]}: processor ")
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert found["benchmark"] == arguments[0]
    assert found[key]
    assert {"processor", "cores", "load", "python"} <= set(found["machine"])


def test_a_name_that_is_none_is_refused() -> None:
    assert CliRunner().invoke(main, ["nothing"]).exit_code == 2
