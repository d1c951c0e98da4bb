"""Voices out of music: what goes into the network, how chunks are joined, and what becomes of it in a render."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.families.registry import FAMILIES
from models.speech.separator import CLEARED, Separator, Sizes, sizes_of
from models.weights.synthetic_tree import write_tree
from pipeline.media.sound import read_speech
from tests.conftest import render_inline, write_manifest
from tests.support.tiny_hallo2 import TINY_FAMILY
from tests.support.tiny_onnx import one_operator

SIZES = Sizes(fft=2048, bins=700, hops=16, gain=1.0)
ENTRY = {"mdx_n_fft_scale_set": 7680, "mdx_dim_f_set": 3072, "mdx_dim_t_set": 8, "compensate": 1.009,
         "primary_stem": "Vocals"}  # fmt: skip


class Session:
    """An onnxruntime session whose network keeps the given channels' spectra."""

    def __init__(self, keep: float = 1.0) -> None:
        self.keep, self.shapes = keep, set()

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "input"})()]

    def run(self, names: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.shapes.add(given["input"].shape)
        assert not given["input"][:, :, :CLEARED].any()
        return [given["input"] * np.float32(self.keep)]


def sound(samples: int) -> np.ndarray:
    time = np.arange(samples) / 44_100
    tones = [np.sin(2 * np.pi * pitch * time) for pitch in (440.0, 1250.0)]
    return np.stack([0.3 * tones[0] + 0.2 * tones[1], 0.25 * tones[1]], axis=1).astype(np.float32)


def cut(wave: np.ndarray, *lengths: int) -> list[np.ndarray]:
    return np.split(wave, np.cumsum(lengths))


@pytest.mark.parametrize("samples", [1, 3000, 15 * 1024, 100_000])
def test_a_network_that_keeps_all_gives_all_back(samples: int) -> None:
    wave, session = sound(samples), Session()
    found = np.concatenate(list(Separator(session, SIZES)(cut(wave, samples // 3, samples // 5))))
    assert found.shape == wave.shape
    inner = slice(1024, -1024)  # tones that begin at once have every frequency at their ends
    if samples > 4096:
        assert np.abs(found[inner] - wave[inner]).max() < 2e-3
    assert session.shapes == {(1, 4, SIZES.bins, SIZES.hops)}


def test_blocks_do_not_matter() -> None:
    wave = sound(60_000)
    whole = np.concatenate(list(Separator(Session(), SIZES)([wave])))
    parts = np.concatenate(list(Separator(Session(), SIZES)(cut(wave, *[777] * 70))))
    assert np.array_equal(whole, parts)


def test_the_gain_is_the_tables() -> None:
    wave = sound(40_000)
    sizes = Sizes(SIZES.fft, SIZES.bins, SIZES.hops, 2.0)
    plain, louder = (np.concatenate(list(Separator(Session(), one)([wave]))) for one in (SIZES, sizes))
    np.testing.assert_allclose(louder, 2 * plain, atol=1e-6)


def test_nothing_gives_nothing() -> None:
    assert sum(len(block) for block in Separator(Session(), SIZES)([])) == 0


def test_sizes_are_found_by_the_networks_hash(tmp_path: Path) -> None:
    network, table = tmp_path / "Kim_Vocal_2.onnx", tmp_path / "mdx_model_data.json"
    network.write_bytes(b"network" * 100)
    key = hashlib.md5(b"network" * 100, usedforsecurity=False).hexdigest()
    table.write_text(json.dumps({key: ENTRY}))
    assert sizes_of(network, table) == Sizes(7680, 3072, 256, 1.009)
    table.write_text(json.dumps({key: ENTRY | {"primary_stem": "Other"}}))
    with pytest.raises(ValueError, match="gives 'Other', expected a network that gives 'Vocals'"):
        sizes_of(network, table)
    table.write_text(json.dumps({"another": ENTRY}))
    with pytest.raises(ValueError, match=r"does not tell the sizes of Kim_Vocal_2\.onnx"):
        sizes_of(network, table)


# In a render -----------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_looks: None) -> Path:
    """A tiny published folder, its separator a real file whose network turns every sound over."""
    monkeypatch.setitem(FAMILIES, "tiny", TINY_FAMILY)
    folder = tmp_path / "weights"
    write_tree(folder, TINY_FAMILY)
    place = folder / "audio_separator"
    place.mkdir()
    network = one_operator("Neg", (1, 4, 700, 16))
    (place / "Kim_Vocal_2.onnx").write_bytes(network)
    key = hashlib.md5(network, usedforsecurity=False).hexdigest()
    entry = ENTRY | {"mdx_n_fft_scale_set": 2048, "mdx_dim_f_set": 700, "mdx_dim_t_set": 4, "compensate": 1.0}
    (place / "mdx_model_data.json").write_text(json.dumps({key: entry}))
    return folder


def rendered(folder: Path, weights: Path, vocals: str) -> tuple[np.ndarray, bytes]:
    """The speech that drives the face, and the sound track."""
    folder.mkdir()
    title = {"id": "one", "frames": 18, "face_box": [20, 20, 40, 40]}
    options = {"family": "tiny", "weights": str(weights), "steps": 1, "background": "lanczos", "vocals": vocals}
    assert render_inline(write_manifest(folder, [title], **options)) == 0
    (speech,) = (folder / "out/one/sound").glob("*/objects/*speech.pcm")
    (track,) = (folder / "out/one/sound").glob("*/objects/*track.m4a")
    return read_speech(speech.read_bytes()), track.read_bytes()


def test_the_face_hears_voices_and_the_track_stays(weights: Path, tmp_path: Path) -> None:
    plain, track = rendered(tmp_path / "plain", weights, "as_is")
    voices, same = rendered(tmp_path / "voices", weights, "separate")
    assert track == same
    assert len(voices) == len(plain) == 18 * 640
    inner = slice(1000, -1000)
    assert np.corrcoef(voices[inner], plain[inner])[0, 1] < -0.95  # what the network made of it


def test_a_table_that_does_not_fit_is_said(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights / "audio_separator/mdx_model_data.json").write_text("{}")
    title = {"id": "one", "frames": 18, "face_box": [20, 20, 40, 40], "vocals": "separate"}
    manifest = write_manifest(tmp_path, [title], family="tiny", weights=str(weights), steps=1)
    assert render_inline(manifest) == 1
    told = capsys.readouterr().err
    assert "mdx_model_data.json does not tell the sizes of Kim_Vocal_2.onnx" in told
    assert "Traceback" not in told


def test_no_table_no_separator(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights / "audio_separator/mdx_model_data.json").unlink()
    assert render_inline(write_manifest(tmp_path, [4], family="tiny", weights=str(weights))) == 2
    assert "audio_separator/mdx_model_data.json is missing" in capsys.readouterr().err
