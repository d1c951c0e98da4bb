"""Takes of drawn people, and the clips that training draws from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.autoencoder.vae import Vae
from models.data import takes
from models.data.drawn_takes import Drawing, draw_take
from models.data.take_pool import EYES, LIPS, Pool
from models.data.takes import AFTER, BEFORE, Take
from models.drawn.splits import split_of
from models.families.mini import MINI
from models.speech.spectrum import SAMPLES_A_FRAME
from tests.support.training_speech import corpus

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, FRAMES = 64, 19


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Drawing:
    return Drawing(corpus(tmp_path_factory.mktemp("speech")), "train", SIZE, FRAMES, 2)


@pytest.fixture(scope="module")
def take(drawing: Drawing) -> Take:
    return draw_take(0, drawing)


def test_the_same_number_is_the_same_take(take: Take, drawing: Drawing) -> None:
    again, other = draw_take(0, drawing), draw_take(1, drawing)
    assert torch.equal(again.frames, take.frames)
    assert torch.equal(again.speech, take.speech)
    assert again.prompt == take.prompt
    assert not torch.equal(other.frames, take.frames)


def test_splits_never_meet(drawing: Drawing) -> None:
    seeds = {split: int(draw_take(0, replace(drawing, split=split, frames=1)).name.split("-")[1])
             for split in ("train", "validation", "test")}  # fmt: skip
    assert all(split_of(seed) == split for split, seed in seeds.items())


def test_lips_and_eyes_are_in_their_boxes(take: Take) -> None:
    lips, left, right = take.fine_boxes.unbind(1)
    assert (lips[:, 1] > left[:, 3]).all()  # the mouth is below the eyes
    assert (left[:, 2] < right[:, 0]).all()
    assert (take.fine_boxes[..., 2:] > take.fine_boxes[..., :2]).all()
    faces = take.face_boxes
    assert (faces[:, :2] < take.lip_boxes[:, :2]).all()
    assert (faces[:, 2:] > take.lip_boxes[:, 2:]).all()


def test_a_file_gives_the_take_back(take: Take, tmp_path: Path) -> None:
    found = takes.read(takes.write(take, tmp_path))
    assert found.name == take.name
    assert found.prompt == take.prompt
    assert found.before == BEFORE
    assert found.frames.shape == (FRAMES, 3, SIZE, SIZE)
    assert (found.frames.float() - take.frames.float()).abs().mean() < 3
    assert len(found.speech) == (BEFORE + FRAMES + AFTER) * SAMPLES_A_FRAME
    assert torch.allclose(found.speech, take.speech.clamp(-1, 1), atol=1e-4)
    assert found.truth is not None
    assert take.truth is not None
    assert torch.equal(found.truth, take.truth)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no takes"):
        takes.paths(tmp_path)
    save_file({"weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"is no take: it lacks \['fine_boxes', 'frames'"):
        takes.read(tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def pool(take: Take, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("takes")
    takes.write(take, folder)
    torch.manual_seed(0)
    vae = Vae(replace(MINI.vae, shrink=1)).eval().requires_grad_(False)
    vae.start_rough()
    weights = folder / "weights"
    save_file(vae.model.state_dict(), weights)
    pool = Pool(folder, vae, weights, MINI, torch.device("cpu"))
    assert len(list(folder.glob("latents-*/*.safetensors"))) == 1
    return pool


def test_examples_are_consecutive_and_led_by_their_motion_frames(pool: Pool) -> None:
    generator = torch.Generator().manual_seed(0)
    chosen = pool.draw(3, 16, generator)
    found = pool.examples(chosen, generator)
    talk, side = pool.talks[0], SIZE // 8
    assert found.latents.shape == (3, 16, 8, side, side)
    for row, (_, places) in enumerate(chosen):
        assert places == list(range(places[0], places[0] + 16))
        assert torch.equal(found.latents[row], talk.latents[places].float())
        assert torch.equal(found.motion[row], talk.latents[[places[0] - 2, places[0] - 1]].float())
        assert torch.equal(found.audio[row, 0, 2], talk.features[talk.before + places[0]].float())
        assert any(torch.equal(found.reference[row], one.float()) for one in talk.portraits)
    assert found.region.shape == (3, 3, 2 * SIZE, 2 * SIZE)  # masks are of the family's size
    assert [mask.shape for mask in found.masks[0]] == [(3, (side // 2 >> level) ** 2) for level in range(3)]


def test_a_title_begins_with_its_portrait(pool: Pool) -> None:
    generator = torch.Generator().manual_seed(0)
    found = pool.examples(pool.draw(2, 16, generator), generator, start=1.0)
    assert torch.equal(found.motion, found.reference[:, None].expand_as(found.motion))


def test_lips_count_most(pool: Pool) -> None:
    weights = pool.talks[0].importance.float()
    assert set(weights.unique().tolist()) == {1.0, EYES, LIPS}
