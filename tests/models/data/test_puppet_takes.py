"""Takes of photographs that speak: what they hold, that they come out again, and that a network learns from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from models.data import takes
from models.data.landmark_faces import portraits_of
from models.data.movement_pool import MovementPool, own_contours, talk
from models.data.puppet_takes import Filming, film
from models.data.speech import Corpus
from models.diffusion.movement import (
    BLINK,
    CALMER,
    CELLS,
    NUMBERS,
    MovementConfig,
    MovementNet,
    at_points,
    border,
    decided_blinks,
    windows,
)
from models.families.noise_keys import noise_key
from models.puppet.face_map import face_map
from models.training.denoising import trained_autoencoder
from models.training.movement import TrainingStage, said
from models.training.settings import BadSettings, Settings
from tests.support.portrait_folder import portrait_folder

ROOT = Path(__file__).parents[3]
VAE = ROOT / "models" / "shipped" / "mini" / "vae.safetensors"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("speech")
    (folder / "anna").mkdir()
    shutil.copy(ROOT / "examples" / "speech.flac", folder / "anna" / "one.flac")
    return Corpus(folder)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portrait_folder(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, faces: Path) -> Path:
    target = tmp_path_factory.mktemp("takes")
    filming = Filming(corpus, "train", size=256, frames=6)
    for one in portraits_of(faces, "train", movable=True)[:2]:
        take = film(one, 0, filming)
        assert take is not None
        takes.write(take, target)
    return target


def test_a_take_holds_how_a_portrait_was_moved(folder: Path) -> None:
    for take in takes.read_all(folder):
        movement = take.movement
        assert movement is not None
        assert movement.flow.shape == (6, 2, CELLS, CELLS)
        assert movement.flow.abs().max() > 1
        # The border of the square stands still: its cells' means reach only a little way in.
        assert movement.flow[:, :, 0].abs().max() < 0.5 * movement.flow.abs().max()
        assert movement.lips.shape == (6, 2, 11, 2)
        assert movement.lids.shape == (6, 2, 2, 9, 2)
        assert take.truth is not None
        assert take.truth.shape == (6, len(NUMBERS))
        # Contours lie where the frame's boxes are, in pixels of 512 against 256.
        lips = movement.lips.flatten(1, 2) / 2
        assert (lips.amin(1) >= take.fine_boxes[:, 0, :2]).all()
        assert (lips.amax(1) <= take.fine_boxes[:, 0, 2:]).all()


def test_the_same_number_gives_the_same_take(corpus: Corpus, faces: Path) -> None:
    one = portraits_of(faces, "train", movable=True)[0]
    filming = Filming(corpus, "train", size=128, frames=2, prompted=1.0)
    first, again, other = film(one, 3, filming), film(one, 3, filming), film(one, 4, filming)
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first.frames, again.frames)
    assert first.prompt == again.prompt != ""
    assert not torch.equal(first.frames, other.frames)


def test_a_map_tells_where_the_face_is(folder: Path) -> None:
    take = next(takes.read_all(folder))
    assert take.movement is not None
    landmarks = take.movement.landmarks.double()
    maps = face_map(landmarks.numpy(), 512)
    x, y = (int(value) // 16 for value in landmarks[1, :2])
    assert maps[2, y, x] == 1
    assert maps[2, 0, 0] == 0
    assert abs(maps[0, y, x]) < 0.2  # the nose lies in the middle
    half = face_map((landmarks / 2).numpy(), 256)
    assert abs(maps - half).max() < 0.05  # whatever the picture's size


def test_a_blink_is_whole_or_none() -> None:
    logits = torch.full((60,), -2.0)
    logits[5:9] = torch.tensor([1.6, 2.0, 1.6, 1.6])
    logits[12] = 3.0  # too soon after the first
    logits[20] = 0.5  # not sure enough
    logits[40] = 2.0
    closed = decided_blinks(logits)
    assert closed[5:9].tolist() == pytest.approx(list(BLINK))
    assert closed[40:44].tolist() == pytest.approx(list(BLINK))
    assert closed.sum() == pytest.approx(2 * sum(BLINK))
    assert decided_blinks(torch.full((3,), 2.0))[1] == 1.0


def test_nothing_moves_at_the_edge_and_silence_is_before_the_first_frame() -> None:
    edge = border(torch.zeros(1))
    assert edge[0].abs().max() == 0
    assert edge[:, -1].abs().max() == 0
    assert edge[16, 16] == 1
    config = MovementConfig()
    heard = torch.zeros(20, 7, 80)
    first = windows(heard, [0], config)
    assert (first[0, : config.past] == -1).all()
    assert (first[0, config.past :] == 0).all()
    flow = torch.zeros(1, 2, CELLS, CELLS)
    flow[:, 0] = torch.arange(CELLS) * 2.0
    assert at_points(flow, torch.tensor([[[8 * 16 + 7.5, 100.0]]]))[0, 0].tolist() == pytest.approx([16, 0])


def test_the_stage_learns_and_stays_within_its_border(folder: Path, tmp_path: Path) -> None:
    options = {"takes": str(folder), "checks": str(folder), "vae": str(VAE), "frames": 2}
    torch.manual_seed(0)
    stage = TrainingStage(Settings("movement", str(tmp_path), 60, 2, options=options), torch.device("cpu"))
    optimiser = torch.optim.AdamW(stage.network.parameters(), lr=2e-3)
    losses = []
    for step in range(40):
        batch = stage.batch(step, torch.Generator().manual_seed(noise_key(0, "batch", step)))
        loss, _ = stage.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])
    net = stage.network
    assert isinstance(net, MovementNet)
    found = said(net, batch)
    assert found.flow[:, :, 0].abs().max() == 0
    assert found.lips.shape[1:] == (2, 11, 2)
    assert {"face", "lips_r", "blink_error"} <= set(stage.score(net)) | {"lips_r"}
    (file,) = stage.weights(net).values()
    assert sum(value.numel() for value in file.values()) * 2 < 4e6
    with pytest.raises(BadSettings, match="expected a folder of puppet takes"):
        TrainingStage(Settings("movement", "", 1, 1, options={"takes": str(tmp_path / "no")}), torch.device("cpu"))


def test_a_take_without_movement_is_refused(folder: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    take = next(takes.read_all(folder))
    takes.write(replace(take, movement=None), tmp_path)
    with pytest.raises(ValueError, match="puppet_takes"):
        MovementPool(tmp_path, trained_autoencoder(VAE), MovementConfig())
    assert own_contours(torch.arange(478)[:, None].expand(-1, 2).float()).shape == (58, 2)


def test_how_loud_a_take_was_recorded_does_not_count(folder: Path) -> None:
    """A title's speech is brought to one level before it is heard, and so is a take's."""
    from dataclasses import replace

    take = next(takes.read_all(folder))
    vae = trained_autoencoder(VAE)
    one, softer = talk(take, vae), talk(replace(take, speech=take.speech * 0.6), vae)
    assert (one.heard - softer.heard).abs().max() < 0.02


def test_what_hears_learns_alone(folder: Path, tmp_path: Path) -> None:
    options = {"takes": str(folder), "checks": str(folder), "vae": str(VAE), "frames": 2, "learns": "hearing"}
    stage = TrainingStage(Settings("movement", str(tmp_path), 60, 2, options=options), torch.device("cpu"))
    loss, _ = stage.loss(stage.batch(0, torch.Generator().manual_seed(1)))
    loss.backward()
    learning = {name.partition(".")[0] for name, one in stage.network.named_parameters() if one.grad is not None}
    assert learning == {"hearing", "numbers", "blink"}


def test_a_mouth_told_to_open_very_wide_is_calmed_and_nothing_else_changes() -> None:
    torch.manual_seed(3)
    net = MovementNet().eval()
    with torch.no_grad():
        codes = torch.randn(40, net.config.code) * 3
        before, after = net.told(codes)[0], net.told(net.calmer(codes))[0]
    opening, rounding = NUMBERS.index("opening"), NUMBERS.index("rounding")
    for place in (opening, rounding):
        most, share = CALMER[NUMBERS[place]]
        expected = before[:, place].clamp_max(most) + share * (before[:, place] - most).clamp_min(0)
        torch.testing.assert_close(after[:, place], expected, atol=1e-4, rtol=1e-3)
    others = [place for place in range(len(NUMBERS)) if place not in (opening, rounding)]
    torch.testing.assert_close(after[:, others], before[:, others], atol=1e-4, rtol=1e-3)
    assert (before[:, opening] > CALMER["opening"][0]).any()
