"""What the gates of `photo` and `mini` find in a chain that goes wrong at a GOP, and that they find nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from actors.chain import ChainWorker
from actors.prepare import PrepareWorker
from benchmarks.talking.titles import EXAMPLE, sitter
from models.families.protocol import Lane
from models.families.registry import FAMILIES
from models.parts.chain import Chain
from models.parts.movement_chain import MovementChain
from pipeline.intake.survey import copy_inputs, plan_title, survey
from pipeline.intake.weight_intake import find_weights, take_weights
from pipeline.manifest.catalog import load_manifest
from pipeline.scheduler.work import Job, Work
from pipeline.store.local import LocalStore
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import write_manifest

GOPS, SPOILT = 4, 2  # of which one is spoilt
Spoil = Callable[[np.ndarray], np.ndarray]


def title(folder: Path, family: str) -> tuple[LocalStore, TitlePlan]:
    """A title of the examples, prepared: of family `mini` a drawn person."""
    folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {"portrait": str(EXAMPLE.parent / "photograph.png")}
    if family == "mini":
        who = sitter(3)
        Image.fromarray(who.picture).save(folder / "drawn.png")
        about = {"portrait": "drawn.png", "face_box": list(who.face_box), "lip_box": list(who.lip_box)}
    manifest = write_manifest(
        folder, [{"id": "a", "audio": str(EXAMPLE), **about}], family=family, resolution=512, base_size=512
    )
    catalog = load_manifest(manifest, families=FAMILIES)
    store = LocalStore(catalog.output)
    (seen,), problems = survey(catalog, store)
    assert not problems
    copy_inputs(store, [seen], print)
    weights = take_weights(FAMILIES[family], find_weights(FAMILIES[family], None), store, print)
    plan = plan_title(FAMILIES[family], seen, weights)
    assert plan.gate
    worker = PrepareWorker(catalog.output)
    for kind in ("sound", "conditioning", "features"):
        (outcome,) = worker.run(Work(0, kind, (Job("a", kind),)), {"a": plan})
        assert outcome.failure is None, outcome
    return store, plan


def chained(store: LocalStore, plan: TitlePlan) -> list[dict[str, Any]]:
    """What the records of the first GOPs say of the gate."""
    worker, gop = ChainWorker(str(store.root)), 0
    for _ in range(40):
        if gop == GOPS:
            break
        (outcome,) = worker.run(Work(0, "chain", (Job("a", "chain", gop),), 1), {"a": plan})
        assert outcome.failure is None, outcome.failure
        gop += len(outcome.done)
    found = [json.loads(path.read_text()) for path in sorted(Path(str(store.root)).glob("a/chain/*/chain/0*.json"))]
    return [one["facts"]["gate"] for one in found]


def spoil(patch: pytest.MonkeyPatch, part: type[Any], tries: int, how: Spoil, state: bool = False) -> None:
    """The first tries of a GOP come out spoilt; `state`: what the next clip starts from as well."""
    plain = part.next_clip

    def next_clip(self: Any, lanes: list[Lane | None]) -> Any:
        made = plain(self, lanes)
        return [
            one if one is None or lane is None or lane.clip // 3 != SPOILT or lane.attempt >= tries else spoilt(one)
            for lane, one in zip(lanes, made, strict=True)
        ]

    def spoilt(one: tuple[np.ndarray, dict[str, np.ndarray]]) -> Any:
        latents = how(one[0]).astype(one[0].dtype)
        return latents, {"motion": latents[-2:].astype(np.float32)} if state else one[1]

    patch.setattr(part, "next_clip", next_clip)


def noisy(by: float) -> Spoil:
    return lambda latents: latents + by * np.random.default_rng(0).standard_normal(latents.shape)


def black_frame(latents: np.ndarray) -> np.ndarray:
    spoilt = latents.copy()
    spoilt[7], spoilt[7, :3] = 0, -2
    return spoilt


def mirrored(latents: np.ndarray) -> np.ndarray:
    """Somebody else: the same face from the other side."""
    return latents[..., ::-1]


MOVED: dict[str, Spoil] = {
    "frozen": lambda latents: latents[:1].repeat(16, 0),
    "nothing": np.zeros_like,
    "noise": noisy(3),
    "too far": lambda latents: latents * 3,
    "torn": lambda latents: np.concatenate([latents[:, :, :16], np.roll(latents[:, :, 16:], 8, 3)], 2),
}
DRAWN: dict[str, Spoil] = {
    "frozen": lambda latents: latents[:1].repeat(16, 0),
    "black": lambda latents: np.stack([black_frame(latents)[7]] * 16),
    "a black frame": black_frame,
    "noise": noisy(0.4),
    "fade": lambda latents: latents.mean((2, 3), keepdims=True) * 0.5 + latents * 0.5,
    "another person": mirrored,
}


@pytest.mark.parametrize("kind", MOVED)
def test_a_photograph_that_moves_wrongly_is_sampled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store, plan = title(tmp_path, "photo")
    spoil(monkeypatch, MovementChain, 1, MOVED[kind])
    found = chained(store, plan)
    assert [len(one.get("refused", ())) for one in found] == [0, 0, 1, 0]
    assert not any("outside" in one or "new_start" in one for one in found)


def test_a_photograph_that_begins_anew_goes_on_without_a_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, plan = title(tmp_path, "photo")
    tries = FAMILIES["photo"].gate.tries  # type: ignore[union-attr]
    spoil(monkeypatch, MovementChain, 1 + tries, np.zeros_like)
    found = chained(store, plan)
    assert ["new_start" in one for one in found] == [False, False, True, False]
    assert not any("outside" in one for one in found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DRAWN)
def test_a_drawn_face_that_goes_wrong_is_sampled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store, plan = title(tmp_path, "mini")
    spoil(monkeypatch, Chain, 1, DRAWN[kind], state=True)
    found = chained(store, plan)
    assert [len(one.get("refused", ())) for one in found] == [0, 0, 1, 0]
    assert not any("outside" in one or "new_start" in one for one in found)


@pytest.mark.slow
def test_a_drawn_face_that_begins_anew_comes_out_of_the_frame_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step into the new start, nor in it, is larger than steps are in speech."""
    store, plan = title(tmp_path, "mini")
    spoil(monkeypatch, Chain, 4, DRAWN["fade"], state=True)
    found = chained(store, plan)
    assert ["new_start" in one for one in found] == [False, False, True, False]
    from actors.titles import TitleReader

    reader = TitleReader(store, plan)
    latents = np.concatenate([reader.latents(gop)[1].astype(np.float32) for gop in range(GOPS)])
    steps = np.sqrt(np.square(np.diff(latents, axis=0)).mean((1, 2, 3)))
    joined = steps[SPOILT * 48 - 1 : SPOILT * 48 + 12]
    assert joined.max() <= 1.3 * np.delete(steps, np.s_[SPOILT * 48 - 1 : SPOILT * 48 + 12]).max()
