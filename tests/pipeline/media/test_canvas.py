"""The portrait on a canvas: where it stands, what fills the rest, and that no crash changes a frame of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from models.image.yuv import yuv420p
from pipeline.media.canvas import CANVASES, Canvas, canvas_layout, chroma_planes, fill_planes, planes_of
from pipeline.media.scale import Scaler
from tests.conftest import render_inline
from tests.support.crashes import same_after_kills

Make = Callable[..., Path]
PLACES = ("left", "centre", "right")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(16, 236, shape, dtype=np.uint8)


def test_a_picture_becomes_the_planes_that_the_networks_make_of_it() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    expected = yuv420p(torch.from_numpy(picture).permute(2, 0, 1).double() / 255).numpy()
    difference = np.abs(planes_of(picture).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001  # halves may be rounded either way


@pytest.mark.parametrize("canvas", CANVASES)
def test_the_portrait_stands_where_it_was_placed(canvas: str) -> None:
    black = fill_planes(canvas_layout(canvas, "left"), "#000000", noise(8, 8, 3), None)
    corners = []
    for place in PLACES:
        at = canvas_layout(canvas, place)
        assert at.side == min(at.width, at.height)
        assert at.x % 2 == at.y % 2 == 0
        picture = noise(at.side * 3 // 2, at.side)
        whole = Canvas(at, black, at.side).on(picture)
        square = np.s_[at.y : at.y + at.side, at.x : at.x + at.side]
        half = np.s_[:, at.y // 2 : (at.y + at.side) // 2, at.x // 2 : (at.x + at.side) // 2]
        assert (whole[square] == picture[: at.side]).all()
        assert (chroma_planes(whole, at.height)[half] == chroma_planes(picture, at.side)).all()
        whole[square] = 16
        assert (whole[: at.height] == 16).all()
        corners.append(max(at.x, at.y))
    assert corners == [0, (max(at.width, at.height) - at.side) // 2, max(at.width, at.height) - at.side]


def test_another_resolution_is_brought_to_the_size_of_the_canvas() -> None:
    at = canvas_layout("1920x1080", "right")
    fill = fill_planes(at, "#ffffff", noise(8, 8, 3), None)
    canvas = Canvas(at, fill, 512)
    picture = np.full((768, 512), 90, np.uint8)
    whole = canvas.on(picture)
    assert (whole[:1080, 840:] == 90).all()
    assert (whole[:1080, :840] == 235).all()
    assert (canvas.on(picture) == whole).all()


def test_scaling_does_not_depend_on_what_was_scaled_before() -> None:
    first, second = Scaler((96, 96), (64, 64)), Scaler((96, 96), (64, 64))
    pictures = [noise(144, 96), 255 - noise(144, 96)]
    first(pictures[1])
    assert (first(pictures[0]) == second(pictures[0])).all()


def test_a_blurred_fill_is_a_dim_shadow_of_the_portrait() -> None:
    portrait = np.zeros((90, 70, 3), np.uint8)
    portrait[:, :35], portrait[:, 35:] = (200, 40, 40), (40, 40, 200)
    at = canvas_layout("1920x1080", "centre")
    planes = fill_planes(at, "blur", portrait, None)
    blue, red = chroma_planes(planes, at.height)
    assert red[:, 10].min() > 140 > 126 > red[:, -10].max()
    assert blue[:, -10].min() > 140 > 128 > blue[:, 10].max()
    steps = np.diff(planes[: at.height].astype(int), axis=1)
    assert np.abs(steps).max() <= 2, "nothing in it is sharp"


def seen(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_canvas_filled_by_a_picture(fake_manifest: Make, tmp_path: Path) -> None:
    desk = np.zeros((300, 400, 3), np.uint8)
    desk[:150], desk[150:] = (230, 20, 20), (20, 20, 230)
    Image.fromarray(desk).save(tmp_path / "desk.png")
    canvas = {"canvas": "1080x1920", "canvas_place": "left", "canvas_fill": "desk.png"}
    manifest = fake_manifest([20], resolution=512, **canvas)
    assert render_inline(manifest) == 0
    folder = manifest.parent / "out" / "title-0"
    pictures = seen(folder / "final.mp4")
    assert len(pictures) == 20
    assert all(picture.shape == (1920, 1080, 3) for picture in pictures)
    for picture in pictures[::7]:
        assert np.abs(picture[1100:].astype(int) - (20, 20, 230)).mean() < 3
    assert np.std(pictures[0][:1080]) > 30, "the portrait"
    assert "RESOLUTION=1080x1920" in (folder / "hls" / "index.m3u8").read_text()
    with Image.open(folder / "poster.jpg") as poster:
        assert poster.size == (1080, 1920)
    chains, streams = list((folder / "chain").iterdir()), list((folder / "stream").iterdir())
    # another picture in the file is another title's worth of pictures, of the same chain
    Image.fromarray(255 - desk).save(tmp_path / "desk.png")
    assert render_inline(manifest) == 0
    assert list((folder / "chain").iterdir()) == chains
    assert len(list((folder / "stream").iterdir())) == len(streams) + 1
    assert np.abs(seen(folder / "final.mp4")[-1][1100:].astype(int) - (235, 235, 25)).mean() < 3


def test_what_has_no_effect_makes_no_other_pictures(fake_manifest: Make) -> None:
    assert render_inline(fake_manifest([10])) == 0
    manifest = fake_manifest([10], canvas_place="left", canvas_fill="#ff0000")
    assert render_inline(manifest) == 0
    assert len(list(manifest.parent.glob("out/title-0/stream/*"))) == 1


def test_a_fill_that_is_no_picture_is_refused(
    fake_manifest: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "desk.png").write_bytes(b"GIF89a nothing")
    assert render_inline(fake_manifest([10], canvas="1920x1080", canvas_fill="desk.png")) == 2
    assert "titles[0].canvas_fill: desk.png: not a PNG, JPEG or WebP picture" in capsys.readouterr().err.replace(
        f"{tmp_path}/", ""
    )
    assert not (tmp_path / "out" / "title-0").exists()


def test_frames_on_a_canvas_are_the_same_after_kills(fake_manifest: Make, tmp_path: Path) -> None:
    manifest = fake_manifest([50], canvas="1920x1080", canvas_place="right", segment_frames=48, crf=45)
    same_after_kills(manifest, tmp_path, 50, 80)
