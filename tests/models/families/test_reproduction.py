"""A portrait that the family's autoencoder cannot show: warned of on screen and in the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from PIL import Image

from models.data.drawn_portrait import draw_portrait
from models.families.protocol import Hints
from models.families.registry import MINI_FAMILY
from models.families.reproduction import Reproduction, is_warning, reproduction, warning
from models.parts.prepare import Prepare
from models.weights.shipped import shipped_weights
from models.weights.synthetic_tree import write_tree
from pipeline.intake.title_warnings import portrait_warnings
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.opening import open_store
from pipeline.store.record import Record
from pipeline.titles.report import PortraitNote, notes_of
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest

ROOT = Path(__file__).parents[3]
PHOTOGRAPH = ROOT / "benchmarks" / "photograph.png"
REACHED = ROOT / "models" / "training" / "reached"


def test_only_what_is_in_the_boxes_counts() -> None:
    portrait = np.full((3, 64, 64), 0.5, np.float32)
    shown = portrait.copy()
    shown[:, 40:44, 20:30] += 0.1
    face, mouth = np.array([10, 10, 50, 50], np.float32), np.array([20, 40, 30, 44], np.float32)
    found = reproduction(portrait, shown, face, mouth)
    assert found.mouth == pytest.approx(20, abs=0.01)
    assert found.face == pytest.approx(20 + 10 * np.log10(40), abs=0.01)
    assert found.below(Reproduction(30, 21))
    assert found.below(Reproduction(40, 19))
    assert not found.below(Reproduction(30, 19))
    assert "20.0 dB" in warning(found, Reproduction(30, 21))


def test_notes_of_records_know_what_they_are(tmp_path: Path) -> None:
    said = warning(Reproduction(20, 20), Reproduction(30, 21))
    store = open_store(str(tmp_path))
    plan = cast(
        TitlePlan,
        SimpleNamespace(
            id="x", in_scenes=False, portrait=SimpleNamespace(sha256="p"), prefix=lambda stage: f"x/{stage}/0"
        ),
    )
    ledger, attempt = Ledger(store, plan.prefix("conditioning")), new_attempt()
    objects = {"arrays": ledger.stage_object(0, attempt, "arrays", b"-")}
    facts = {"notes": ["the face is small", said]}
    ledger.commit(Record("conditioning", "x", "p", 0, 48, attempt, objects=objects, facts=facts))
    assert notes_of(store, plan) == [PortraitNote("the face is small"), PortraitNote(said, out_of_domain=True)]
    assert list(portrait_warnings(store, plan)) == [f"x: {said}"]


def test_a_box_beyond_the_edge_is_cut() -> None:
    portrait = np.zeros((3, 8, 8), np.float32)
    edge = np.array([7.9, 7.9, 20, 20], np.float32)
    assert reproduction(portrait, portrait, edge, edge).face == 100


@pytest.fixture(scope="module")
def prepare() -> Prepare:
    return Prepare(MINI_FAMILY, shipped_weights("mini") or str(REACHED), "cpu")


def test_a_drawn_portrait_is_in_the_domain(prepare: Prepare) -> None:
    drawn = draw_portrait("validation", 3, 512)
    _, notes = prepare.conditioning(drawn.picture, 512, Hints(drawn.face_box, drawn.lip_box))
    assert notes == []


def test_a_photograph_is_not(prepare: Prepare) -> None:
    photograph = np.asarray(Image.open(PHOTOGRAPH).convert("RGB"))
    _, notes = prepare.conditioning(photograph, 512, Hints((176, 62, 100, 128)))
    assert any(note.startswith("out of domain: the family's autoencoder shows this face with 2") for note in notes)


def test_weights_by_rule_are_not_judged() -> None:
    photograph = np.asarray(Image.open(PHOTOGRAPH).convert("RGB"))
    _, notes = Prepare(MINI_FAMILY, None, "cpu").conditioning(photograph, 512, Hints((176, 62, 100, 128)))
    assert not any(is_warning(note) for note in notes)


@pytest.mark.slow
def test_it_is_said_on_screen_and_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights"
    write_tree(weights, MINI_FAMILY, text=True)
    shutil.copy(Path(shipped_weights("mini") or REACHED) / "vae.safetensors", weights)
    sizes = {"resolution": 512, "base_size": 512, "steps": 1}
    title = {"frames": 4, "portrait": str(PHOTOGRAPH), "face_box": [176, 62, 100, 128]}
    manifest = write_manifest(tmp_path, [title], family="mini", weights=str(weights), **sizes)
    assert render_inline(manifest) == 0
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("title-0: out of domain: ") == 1
    report = json.loads((tmp_path / "out" / "title-0" / "report.json").read_text())
    assert any(is_warning(note) for note in report["notes"])
