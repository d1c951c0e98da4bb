"""The pictures that pages show: which moments a contact sheet shows, and that its tiles are theirs."""

from __future__ import annotations

import io
import json

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.media.stills import MOST_TILES, tiles_of
from pipeline.sources.portrait import jpeg
from tests.conftest import Rendered


@pytest.mark.parametrize(("gops", "tiles"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (23, list(range(0, 24, 2)))])
def test_tiles_are_spread_over_the_title(gops: int, tiles: list[int]) -> None:
    assert tiles_of(gops) == tiles


def test_a_long_title_has_as_many_tiles_as_fit() -> None:
    tiles = tiles_of(18_750)
    assert len(tiles) == MOST_TILES == len(set(tiles))
    assert (tiles[0], tiles[-1]) == (0, 18_749)


def test_the_sheet_of_a_finished_title(finished: Rendered) -> None:
    folder = finished.output / finished.title
    facts = json.loads((folder / "report.json").read_text())["contact"]
    assert facts == {"columns": 3, "rows": 1, "seconds": [0.0, 1.92, 3.84], "tile": [64, 64]}
    sheet = np.asarray(Image.open(folder / "contact.jpg")).astype(int)
    assert sheet.shape == (64, 192, 3)
    with av.open(str(folder / "final.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for tile, frame in enumerate((0, 48, 96)):
        seen = sheet[:, tile * 64 : (tile + 1) * 64]
        near = np.asarray(Image.open(io.BytesIO(jpeg(frames[frame])))).astype(int)
        assert np.abs(seen - near).mean() < 6
    assert Image.open(folder / "thumb.jpg").size == (64, 64)
    assert b"trainedAlgorithmicMedia" in (folder / "contact.jpg").read_bytes()
    assert b"trainedAlgorithmicMedia" in (folder / "thumb.jpg").read_bytes()
