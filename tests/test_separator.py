"""Voices out of music: what goes into the network, and how chunks are joined."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.separator import CLEARED, Separator, Sizes, sizes_of

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
