"""Backgrounds that stand still: which GOPs those are, and what is shown of frame and plate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.families.protocol import PictureOptions
from models.families.registry import MINI_FAMILY, load_part
from models.image.masks import Box
from models.image.resample import resize_lanczos
from models.restoration.plate import laid_over, region_of, stands_still
from pipeline.titles import title_hashes
from tests.conftest import render_inline, write_manifest

FACE = Box(40, 36, 88, 92)
SIDE = 128


def grow(part: Tensor, target: tuple[int, int]) -> Tensor:
    return resize_lanczos(part, target)


def photo(frames: int = 1, seed: int = 7, side: int = SIDE) -> Tensor:
    coarse = torch.rand(frames, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").mul(0.4).add(0.3)


@given(
    st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(0, 500), st.floats(0, 500)),
    st.sampled_from((128, 256, 512)),
    st.sampled_from((512, 1024, 1080, 2048, 2160, 4096)),
)
def test_a_region_holds_the_face_and_falls_on_whole_pixels(
    edges: tuple[float, float, float, float], side: int, resolution: int
) -> None:
    (x0, x1), (y0, y1) = sorted(edges[:2]), sorted(edges[2:])
    region = region_of(Box(x0, y0, x1, y1), 512, side, resolution)
    scale = side / 512
    assert region.top <= y0 * scale
    assert region.left <= x0 * scale
    assert region.bottom >= y1 * scale
    assert region.right >= x1 * scale
    assert all(0 <= edge <= side for edge in region)
    assert all(edge % 2 == 0 and edge * resolution % side == 0 for edge in region)


class TestStillness:
    def test_what_moves_in_the_face_does_not_count(self) -> None:
        portrait = photo()[0]
        frames = portrait.repeat(4, 1, 1, 1)
        frames[2, :, 40:90, 44:84] = 0
        assert stands_still(frames, portrait, FACE)

    @pytest.mark.parametrize("place", [slice(0, 16), slice(112, 128)])
    def test_one_small_change_anywhere_else_does(self, place: slice) -> None:
        portrait = photo()[0]
        frames = portrait.repeat(4, 1, 1, 1)
        frames[2, :, place, place] += 0.05
        assert not stands_still(frames, portrait, FACE)

    def test_so_does_a_little_everywhere(self) -> None:
        portrait = photo()[0]
        assert stands_still(portrait[None] + 1 / 255, portrait, FACE)
        assert not stands_still(portrait[None] + 2 / 255, portrait, FACE)

    def test_a_face_that_fills_the_picture_needs_no_plate(self) -> None:
        portrait = photo()[0]
        assert not stands_still(portrait[None], portrait, Box(4, 4, 124, 124))

    def test_order_does_not_matter(self) -> None:
        portrait = photo()[0]
        frames = portrait + torch.linspace(0, 0.02, 6)[:, None, None, None]
        kept = frames.clone()
        assert stands_still(frames, portrait, FACE) == stands_still(frames.flip(0), portrait, FACE)
        assert torch.equal(frames, kept)


class TestLayingOver:
    @pytest.mark.parametrize("resolution", [128, 256, 270, 512])
    def test_over_its_own_plate_a_frame_is_itself(self, resolution: int) -> None:
        frames = photo(2)
        whole = grow(frames, (resolution, resolution))
        for frame, picture in zip(frames, whole, strict=True):
            shown = laid_over(picture, frame[None], FACE, SIDE, grow)[0]
            assert torch.allclose(shown, picture, atol=1e-5)

    def test_the_face_is_the_frame_s_and_the_rest_the_plate_s(self) -> None:
        frames, plate = photo(2), torch.zeros(3, 256, 256)
        shown = laid_over(plate, frames, FACE, SIDE, grow)
        assert torch.allclose(shown[:, :, 88:168, 96:160], grow(frames, (256, 256))[:, :, 88:168, 96:160], atol=1e-5)
        region = region_of(FACE, SIDE, SIDE, 256).times(2, 1)
        region.of(shown).zero_()
        assert not shown.any()
        assert not plate.any()

    def test_the_edge_is_soft_but_for_the_picture_s_own(self) -> None:
        shown = laid_over(torch.zeros(3, 512, 512), torch.ones(1, 3, SIDE, SIDE), Box(0, 30, 60, 90), SIDE, grow)[0]
        assert torch.allclose(shown[:, 240, :240], torch.tensor(1.0))
        assert float(shown[0, 240].diff().abs().max()) < 0.1

    def test_a_frame_is_the_same_in_any_company(self) -> None:
        frames, plate = photo(3), photo(seed=9, side=256)[0]
        both = laid_over(plate, frames, FACE, SIDE, grow)
        alone = laid_over(plate, frames[1:2], FACE, SIDE, grow)
        assert torch.equal(both[1], alone[0])


@pytest.mark.parametrize("moves", [False, True])
def test_the_small_family_s_pictures_keep_close_to_the_whole_path(moves: bool) -> None:
    part: Any = load_part(MINI_FAMILY, "upscale", None, "cpu")
    random = np.random.default_rng(2)
    reference = random.standard_normal(MINI_FAMILY.latent_shape(128)).astype(np.float32)
    drift = random.standard_normal((16, *reference.shape)) * (0.5 if moves else 0.0)
    latents = (reference + drift).astype(np.float16)
    conditioning = {"face_box": np.array([40, 36, 88, 92], np.float32), "reference": reference}
    on = PictureOptions(128, 256, 0.7, "x2", plate="on")
    frames = [frame for k in range(0, 16, 4) for frame in part.decode(latents[k : k + 4], on)]
    assert part.still(frames, conditioning, on) == (not moves)
    off = PictureOptions(128, 256, 0.7, "x2")
    plain, plated = (
        torch.stack([frame.picture for frame in part.restore(frames, range(4, 6), conditioning, options)])
        for options in (off, on)
    )
    psnr = -10 * torch.log10((plain - plated).square().mean())
    assert psnr > 40 if not moves else psnr < 40


# In a render -----------------------------------------------------------------------------------------------------


def rendered(folder: Path, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Report and records of a title of 3 GOPs."""
    manifest = write_manifest(folder, [{"id": "one", "frames": 120}], **options)
    assert render_inline(manifest) == 0
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("out/one/stream/*/stream/*.json"))]
    return json.loads((folder / "out/one/report.json").read_text()), records


def test_gops_on_the_plate_are_recorded_and_counted(tmp_path: Path) -> None:
    plain, off = rendered(tmp_path / "off")
    report, on = rendered(tmp_path / "on", plate="on")
    assert all("plate" not in record["facts"] for record in off)
    assert "gops_on_plate" not in plain["stages"]["upscale"]
    assert report["stages"]["upscale"]["gops_on_plate"] == sum(record["facts"]["plate"] for record in on)
    for one, other in zip(off, on, strict=True):  # only where it was used is the picture another
        assert (one["facts"]["planes"] != other["facts"]["planes"]) == other["facts"]["plate"]
    assert plain["hashes"]["chain"] == report["hashes"]["chain"]
    assert plain["hashes"]["picture"] != report["hashes"]["picture"]


def test_without_a_plate_hashes_are_what_they_were_before_there_was_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, _ = rendered(tmp_path / "now")
    entering = title_hashes.options_entering
    monkeypatch.setattr(
        title_hashes, "options_entering", lambda level: [one for one in entering(level) if one != "plate"]
    )
    before, _ = rendered(tmp_path / "before")
    assert now["hashes"] == before["hashes"]
