"""Family `hallo2` through the pipeline: at tiny width in every run, at the published widths when slow tests are run."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.faces.face_finding import FoundFace
from models.families.noise_keys import noise_key
from models.families.protocol import ClipOptions, Hints, Lane, PictureOptions
from models.families.registry import FAMILIES, load_part
from models.image.masks import Box
from models.parts.clip_noise import PublishedNoise, keyed_normal, keyed_patches
from models.prompts.prompts import PromptProblem, Prompts
from models.speech.wav2vec import SAMPLES_A_FRAME, SpeechFeatures, normalise
from models.weights.synthetic_tree import write_tree
from pipeline.store.ledger import Ledger
from pipeline.store.opening import open_store
from pipeline.store.stage_view import StageView
from tests.conftest import render_inline, write_manifest
from tests.golden.cases import arrays
from tests.support.tiny_hallo2 import TINY, TINY_FAMILY

FACE = [20, 20, 40, 40]
SPEECH = np.random.default_rng(1).standard_normal(SAMPLES_A_FRAME * 40).astype(np.float32) * 0.1


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "tiny", TINY_FAMILY)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, small_looks: None) -> Path:
    """Weights with a text branch that has learned something. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("weights")
    write_tree(folder, TINY_FAMILY, text=True)
    return folder


@pytest.fixture(scope="module")
def prepare(tree: Path) -> Any:
    return load_part(TINY_FAMILY, "prepare", str(tree), "cpu")


@pytest.fixture(scope="module")
def chain(tree: Path) -> Any:
    return load_part(TINY_FAMILY, "chain", str(tree), "cpu")


@pytest.fixture(scope="module")
def conditioning(prepare: Any) -> dict[str, np.ndarray]:
    portrait = np.random.default_rng(0).integers(0, 255, (80, 96, 3), np.uint8)
    return prepare.conditioning(portrait, 64, Hints(face_box=(20, 20, 40, 40)))[0]


def lane(chain: Any, conditioning: dict[str, np.ndarray], **changes: Any) -> Lane:
    """Clip 0 of a title, as `changes` have it."""
    rng = np.random.default_rng(2)
    one = Lane(
        seed=5,
        clip=0,
        conditioning=conditioning,
        state=chain.start(conditioning, 5, 64),
        features=rng.standard_normal((20, 2, 16)).astype(np.float32),
        text=None,
        options=ClipOptions(1, 3.5, 64),
    )
    return replace(one, **changes)


# Through the pipeline --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rendered(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished title of 18 frames. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("rendered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "tiny", TINY_FAMILY)
        manifest = write_manifest(folder, [{"id": "one", "frames": 18, "face_box": FACE}], **settings(tree))
        assert render_inline(manifest) == 0
    return folder


def settings(tree: Path) -> dict[str, Any]:
    return {"family": "tiny", "weights": str(tree), "steps": 1, "background": "lanczos"}


def planes(folder: Path, title: str = "one") -> list[str]:
    """sha256 of every GOP's planes, of the plan that was rendered last."""
    store = open_store(str(folder / "out"))
    report = json.loads(store.get(f"{title}/report.json"))
    view = StageView(store, f"{title}/stream/{report['hashes']['stream'][:16]}/stream")
    return [record.facts["planes"] for record in view.unbroken(range(0, report["frames"], 48))]


def test_a_title_is_rendered_from_published_files(rendered: Path) -> None:
    report = json.loads((rendered / "out/one/report.json").read_text())
    assert report["frames"] == 18
    assert (rendered / "out/one/final.mp4").stat().st_size > 0
    assert any("face embedding" in note for note in report["notes"])
    assert any("lip_box" in note for note in report["notes"])
    assert report["stages"]["upscale"]["frames_without_face"] == 0


def test_weights_are_read_and_checked_once(rendered: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another title on the same output: the files in the store, and what is known of them, are used again."""
    manifest = write_manifest(rendered, [{"id": "two", "frames": 2, "face_box": FACE}], **settings(tree))
    assert render_inline(manifest) == 0
    assert "weights:" not in capsys.readouterr().err


def test_weights_are_a_part_of_the_plan(rendered: Path, tree: Path, tmp_path: Path) -> None:
    before = json.loads((rendered / "out/one/provenance.json").read_text())
    write_tree(tmp_path / "others", TINY_FAMILY, half=True)
    title = {"id": "one", "frames": 18, "face_box": FACE}
    manifest = write_manifest(tmp_path, [title], **settings(tmp_path / "others"))
    assert render_inline(manifest) == 0
    after = json.loads((tmp_path / "out/one/provenance.json").read_text())
    assert after["weights"] != before["weights"]
    assert after["hashes"]["sound"] == before["hashes"]["sound"]
    assert after["hashes"]["chain"] != before["hashes"]["chain"]
    assert planes(tmp_path) != planes(rendered)


def test_status_and_verify_know_the_weights(rendered: Path, tree: Path) -> None:
    from pipeline import status, verify

    manifest = write_manifest(rendered, [{"id": "one", "frames": 18, "face_box": FACE}], **settings(tree))
    assert status.run([str(manifest)]) == 0
    assert verify.run([str(manifest)]) == 0


# Text ------------------------------------------------------------------------------------------------------------


def test_a_branch_of_zeros_changes_no_bit(tree: Path, tmp_path: Path) -> None:
    """Rendered with prompts and a branch as training starts it, and without any branch."""
    write_tree(tmp_path / "zero", TINY_FAMILY, text=True, zero_text=True)
    write_tree(tmp_path / "none", TINY_FAMILY)
    title = {"id": "one", "frames": 18, "face_box": FACE}
    prompts = [{"at": 0, "text": "a smile"}, {"at": 0.64, "text": "serious"}]
    for name, prompted in (("zero", {"prompts": prompts}), ("none", {})):
        manifest = write_manifest(tmp_path / f"run-{name}", [title | prompted], **settings(tmp_path / name))
        assert render_inline(manifest) == 0
    assert planes(tmp_path / "run-zero") == planes(tmp_path / "run-none")


def test_a_trained_branch_hears_the_prompt(chain: Any, conditioning: dict[str, np.ndarray]) -> None:
    def latents(text: str | None) -> np.ndarray:
        return chain.next_clip([lane(chain, conditioning, text=text)])[0][0]

    silent, smiling = latents(None), latents("a smile")
    assert np.array_equal(latents("a smile"), smiling)
    assert not np.array_equal(smiling, silent)
    assert not np.array_equal(smiling, latents("tears"))


def test_a_prompt_without_a_branch_is_refused(tmp_path: Path, conditioning: dict[str, np.ndarray]) -> None:
    write_tree(tmp_path, TINY_FAMILY)
    chain = load_part(TINY_FAMILY, "chain", str(tmp_path), "cpu")
    with pytest.raises(PromptProblem, match="no text branch"):
        chain.next_clip([lane(chain, conditioning, text="a smile")])


def test_a_prompt_longer_than_the_text_model_reads_fails_its_title(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = [{"at": 0, "text": "a very long smile " * 5}]
    title = {"id": "one", "frames": 2, "face_box": FACE, "prompts": prompt}
    assert render_inline(write_manifest(tmp_path, [title], **settings(tree))) == 1
    told = capsys.readouterr().err
    assert "shorten it" in told
    assert "Traceback" not in told


def test_prompts_are_embedded_once() -> None:
    prompts = Prompts(8)
    assert torch.equal(prompts(["a", "b", "a"])[0], prompts(["a"])[0])
    assert prompts._one("a") is prompts._one("a")


# Random numbers --------------------------------------------------------------------------------------------------


def test_published_noise_is_the_script_s_in_any_order() -> None:
    recorded = arrays("random_order")
    noise = PublishedNoise(512, 4, 8)
    for clip in (2, 0, 1, 2):
        uniform, latents = noise(clip)
        assert np.array_equal(uniform[:8, :8], recorded[f"clip{clip}_mask_rand_8x8"])
        assert latents.shape == (16, 4, 64, 64)
        again = PublishedNoise(512, 4, 8)(clip)
        assert torch.equal(again[0], uniform)
        assert torch.equal(again[1], latents)


def test_published_noise_starts_as_recorded() -> None:
    """The first latents of clip 0 in half precision, channels before frames."""
    latents = PublishedNoise(512, 4, 8)(0)[1]
    assert latents[0, 0, 0, :4].tolist() == [0.3310546875, -1.0400390625, -0.67529296875, 0.1104125976562500]


def test_noise_source_is_the_title_s_choice(chain: Any, conditioning: dict[str, np.ndarray]) -> None:
    one = lane(chain, conditioning, clip=1)
    uniform, noise = chain._draw(one)
    assert torch.equal(noise, keyed_normal((16, 4, 8, 8), 5, "latents", 1))
    assert torch.equal(uniform, keyed_patches((64, 64), 1, 5, 1))
    assert noise_key(5, "latents", 1) != noise_key(5, "patches", 1)
    published = replace(one, options=replace(one.options, compat="published"))
    uniform, noise = chain._draw(published)
    expected = PublishedNoise(64, 4, 8)(1)
    assert torch.equal(uniform, expected[0])
    assert torch.equal(noise, expected[1])
    assert torch.equal(chain._draw(replace(published, seed=6))[1], noise)  # the script has no seed of its own


# The clip loop ---------------------------------------------------------------------------------------------------


def test_pixels_are_carried_and_dropped_outside_the_face_only(
    chain: Any, conditioning: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = lane(chain, conditioning)
    assert one.state["motion"].shape == (2, 3, 64, 64)
    assert np.array_equal(one.state["motion"][1], conditioning["portrait"])
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(chain._vae, "encode", lambda frames: seen.append(frames) or torch.zeros(2, 4, 8, 8))
    uniform = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    chain._motion(one, uniform)
    frames, portrait = seen[0], torch.from_numpy(conditioning["portrait"])
    face = torch.from_numpy(conditioning["region_mask"][0]) > 0
    assert 0.05 < face.float().mean() < 0.95
    assert torch.equal(frames[:, :, face], portrait[:, face].expand(2, -1, -1))
    outside = ~face & (uniform <= 0.25)
    assert not frames[:, :, outside].any()
    kept = ~face & (uniform > 0.25)
    assert torch.equal(frames[:, :, kept], portrait[:, kept].expand(2, -1, -1))


def test_what_a_clip_leaves_is_its_decoded_end(chain: Any, conditioning: dict[str, np.ndarray]) -> None:
    latents, state = chain.next_clip([lane(chain, conditioning)])[0]
    assert (latents.shape, latents.dtype) == ((16, 4, 8, 8), np.float16)
    assert state["motion"].shape == (2, 3, 64, 64)
    assert np.abs(state["motion"]).max() <= 1
    decoded = chain._vae.decode(torch.from_numpy(latents[-2:]).float()) * 2 - 1
    assert np.abs(decoded.numpy() - state["motion"]).max() < 0.05  # the state comes before the rounding to half
    follower = replace(lane(chain, conditioning), clip=1)
    after = chain.next_clip([replace(follower, state=state)])[0][0]
    assert not np.array_equal(after, chain.next_clip([follower])[0][0])


# Portrait and speech ---------------------------------------------------------------------------------------------


def test_an_embedding_from_a_file_reaches_the_networks(tree: Path, tmp_path: Path) -> None:
    embedding = np.random.default_rng(3).standard_normal(512)
    np.save(tmp_path / "face.npy", embedding)
    title = {"id": "one", "frames": 2, "face_box": FACE, "face_embedding": "face.npy"}
    assert render_inline(write_manifest(tmp_path, [title], **settings(tree))) == 0
    report = json.loads((tmp_path / "out/one/report.json").read_text())
    assert not any("embedding" in note for note in report["notes"])
    store = open_store(str(tmp_path / "out"))
    ledger = Ledger(store, f"one/chain/{report['hashes']['chain'][:16]}/conditioning")
    from pipeline.store.arrays import unpack

    record = ledger.read(0)
    assert record is not None
    kept = unpack(ledger.load(record, "arrays"), "arrays")["face_embedding"]
    assert np.array_equal(kept, embedding.astype(np.float32))


@pytest.mark.parametrize(
    ("values", "needle"),
    [
        (np.zeros((2, 512)), "shape [2, 512]"),
        (np.array([1.0, np.nan]), "not finite"),
        (np.array(["a"]), "holds <U1"),
        (np.array([{}], dtype=object), "cannot be read"),
    ],
)
def test_embeddings_that_are_none_are_refused(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], values: np.ndarray, needle: str
) -> None:
    np.save(tmp_path / "face.npy", values, allow_pickle=True)
    title = {"id": "one", "frames": 2, "face_box": FACE, "face_embedding": "face.npy"}
    assert render_inline(write_manifest(tmp_path, [title], **settings(tree))) == 2
    told = capsys.readouterr().err
    assert needle in told
    assert "face_embedding" in told


def test_an_embedding_of_another_length_fails_its_title(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "face.npy", np.zeros(7))
    title = {"id": "one", "frames": 2, "face_box": FACE, "face_embedding": "face.npy"}
    assert render_inline(write_manifest(tmp_path, [title], **settings(tree))) == 1
    assert "face_embedding has 7 numbers: 512" in capsys.readouterr().err


def test_the_choice_of_several_faces(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by default; the largest, as the published script has it."""
    points = np.array([[26, 30], [34, 30], [30, 34], [27, 38], [33, 38]], float)
    small, large = (
        FoundFace(Box(*corners), score, (points - 30) * scale + middle, np.full(512, scale, np.float32))
        for corners, score, scale, middle in (((2, 2, 22, 22), 0.9, 1.0, 12), ((30, 30, 70, 70), 0.8, 2.0, 50))
    )
    monkeypatch.setattr(prepare, "_faces", lambda image: [small, large])
    portrait = np.zeros((96, 96, 3), np.uint8)
    with pytest.raises(ValueError, match="2 faces were found"):
        prepare.conditioning(portrait, 64, Hints())
    found, notes = prepare.conditioning(portrait, 64, Hints(compat="published"))
    assert found["face_embedding"][0] == 2.0
    assert any("no face mesh" in note for note in notes)
    chosen, _ = prepare.conditioning(portrait, 64, Hints(face_box=(2, 2, 20, 20)))
    assert chosen["face_embedding"][0] == 1.0


def test_without_a_finder_of_its_own_the_restorer_s_detector_looks(prepare: Any) -> None:
    assert prepare._finder(Hints(face_box=(1, 1, 5, 5))) is None
    assert prepare._finder(Hints()) is not None


def test_speech_is_heard_as_published(prepare: Any) -> None:
    """Cut hard: the block at its own loudness, silence after that, and nothing of its neighbours."""
    net: SpeechFeatures = prepare._speech
    block = torch.from_numpy(SPEECH)
    wave = torch.nn.functional.pad(normalise(block), (0, 8 * SAMPLES_A_FRAME))
    with torch.no_grad():
        expected = net(wave, 48)
    found = prepare.features(SPEECH, 0, 40, 0, 8, 0.1)
    assert found.shape == (48, 2, 16)
    assert np.array_equal(found, expected.numpy())


def test_a_halo_is_heard_at_the_block_s_loudness(prepare: Any) -> None:
    left, frames, right = 5, 30, 5
    own = torch.from_numpy(SPEECH)[left * SAMPLES_A_FRAME : (left + frames) * SAMPLES_A_FRAME]
    wave = (torch.from_numpy(SPEECH) - own.mean()) / torch.sqrt(own.var(unbiased=False) + 1e-7)
    with torch.no_grad():
        expected = prepare._speech(wave, 40)[left : left + frames]
    found = prepare.features(SPEECH, left, frames, right, 0, 0.1)
    assert np.array_equal(found, expected.numpy())
    alone = prepare.features(own.numpy(), 0, frames, 0, 0, 0.1)
    assert not np.array_equal(found, alone)


# High resolution -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upscale(tree: Path) -> Any:
    return load_part(TINY_FAMILY, "upscale", str(tree), "cpu")


def test_faces_are_looked_for_once_a_frame(upscale: Any, conditioning: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = PictureOptions(64, 64, 0.5, "lanczos")
    calls: list[int] = []
    for one in upscale._upscalers.values():
        find = one.find_faces
        monkeypatch.setattr(one, "find_faces", lambda frames, find=find: calls.append(len(frames)) or find(frames))
    latents = np.random.default_rng(4).standard_normal((16, 4, 8, 8)).astype(np.float16)
    window = [upscale.decode(latents[place : place + 1], picture)[0] for place in range(16)]
    assert calls == [1] * 16
    for places in (range(2), range(4, 6)):
        assert len(list(upscale.restore(window, places, conditioning, picture))) == 2
    assert calls == [1] * 16


def test_a_frame_without_a_face_is_flagged_and_enlarged_all_the_same(upscale: Any, conditioning: Any) -> None:
    picture = PictureOptions(64, 128, 0.5, "x2")
    latents = np.random.default_rng(4).standard_normal((1, 4, 8, 8)).astype(np.float16)
    base = upscale.decode(latents, picture)[0]
    points = torch.tensor([[[24.0, 28], [40, 28], [32, 36], [26, 44], [38, 44]]])
    seen, unseen = base._replace(faces=points), base._replace(faces=points[:0])
    window = [seen] * 3 + [unseen] * 2 + [seen] * 11
    frames = list(upscale.restore(window, range(2, 6), conditioning, picture))
    assert [upscale.face_found(frame) for frame in frames] == [True, False, False, True]
    assert all(upscale.planes(frame).shape == (192, 128) for frame in frames)
    published = replace(picture, compat="published")
    frames = list(upscale.restore(window, range(2, 6), conditioning, published))
    assert all(upscale.face_found(frame) for frame in frames)  # there a frame takes the face before it


def test_frames_without_a_face_are_counted(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.restoration.upscale import Upscaler

    nobody = torch.zeros(0, 5, 2)
    monkeypatch.setattr(Upscaler, "find_faces", lambda self, frames: [nobody] * len(frames))
    title = {"id": "one", "frames": 3, "face_box": FACE}
    assert render_inline(write_manifest(tmp_path, [title], **settings(tree))) == 0
    report = json.loads((tmp_path / "out/one/report.json").read_text())
    assert report["stages"]["upscale"]["frames_without_face"] == 3


# At the published widths -----------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_published_widths_through_the_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """18 frames from a synthetic folder of all torch files in half precision: checked, loaded, rendered."""
    from pipeline.core.command import run_command
    from pipeline.main import group

    write_tree(tmp_path / "weights", FAMILIES["hallo2"], half=True)
    assert run_command(group, ["weights", "check", str(tmp_path / "weights"), "--json"]) == 0
    files = {entry["file"]: entry for entry in json.loads(capsys.readouterr().out)["files"]}
    assert files["hallo2/net.pth"]["tensors"] == 2656
    assert files["hallo2/net_g.pth"]["tensors"] == 623
    # Fidelity 0 does without the fusion layers, which are half of the restorer's work.
    options = {"steps": 2, "base_size": 128, "resolution": 128, "fidelity": 0, "face_box": FACE}
    manifest = write_manifest(
        tmp_path, [{"id": "one", "frames": 18}], family="hallo2", weights=str(tmp_path / "weights"), **options
    )
    assert render_inline(manifest) == 0
    report = json.loads((tmp_path / "out/one/report.json").read_text())
    assert report["frames"] == 18
    assert (tmp_path / "out/one/final.mp4").stat().st_size > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 16 << 20  # KiB


def test_the_tree_is_of_the_published_family() -> None:
    assert FAMILIES["hallo2"].networks is not None
    assert FAMILIES["hallo2"].networks.carry == "pixels"
    assert not FAMILIES["hallo2"].networks.drop_on_face
    assert {file.path for file in FAMILIES["hallo2"].tree} == {file.path for file in TINY_FAMILY.tree}
    assert TINY.chain.half_banks
