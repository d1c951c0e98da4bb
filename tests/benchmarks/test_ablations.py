"""Arms of the ablations differ in what they say and in nothing else; intervals are of people."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.ablations.__main__ import BASE, main
from benchmarks.ablations.arms import ARMS, Arm
from benchmarks.ablations.drift import COLUMNS, interval, table
from models.families.mini import MINI
from models.training.denoising import Options
from models.training.settings import read_settings

ROOT = Path(__file__).parents[2]


def test_arms_differ_in_their_own_options_only() -> None:
    base = read_settings(ROOT / BASE)
    made = [asdict(arm.settings(base, Path("out") / arm.name, 5)) for arm in ARMS]
    for arm, settings in zip(ARMS, made, strict=True):
        options = settings.pop("options")
        assert {name: options.pop(name) for name in arm.options()} == arm.options()
        assert options == base.options
        assert settings.pop("out") == f"out/{arm.name}"
    assert all(one == made[0] for one in made)
    assert made[0]["steps"] == 5
    assert len({tuple(arm.options().values()) for arm in ARMS}) == len(ARMS)
    assert {name for arm in ARMS for name in arm.options()} <= set(Options.__dataclass_fields__)


def test_an_arm_renders_as_it_was_trained() -> None:
    family = Arm("x", 0.5, 4, 0.1, "").family()
    assert family.networks is not None
    assert (family.networks.drop_rate, family.networks.patch, family.networks.motion_noise) == (0.5, 4, 0.1)
    assert family.networks.chain == MINI.chain  # weights of all arms fit


def test_intervals_are_of_people() -> None:
    mean, low, high = interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert 1 <= low < 2.5 < high <= 4
    assert interval([7.0]) == (7.0, 7.0, 7.0)
    narrow, wide = interval([2.0, 2.1] * 8), interval([0.0, 4.1] * 8)
    assert narrow[2] - narrow[1] < wide[2] - wide[1]


def test_the_table_names_every_arm() -> None:
    found = {"none": [dict.fromkeys(COLUMNS, 1.0)], "both": [dict.fromkeys(COLUMNS, 0.5)]}
    lines = table(found).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| none | 1.000 (1.000 … 1.000)")
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("text", ["stage: chain1\nout: x\nsteps: 1\nbatch: 1\n", "stage: chain2\nsteps: 1\nbatch: 1\n"])
def test_another_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    ended = CliRunner().invoke(main, [str(path)])
    assert ended.exit_code == 2
    assert "stage is chain1" in ended.output or "out" in ended.output
