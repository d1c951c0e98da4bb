"""Pictures whose colours an earlier version read otherwise: a title goes on in the colours that it began in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.api import run as api_run
from pipeline.intake import title_inputs
from pipeline.sources import portrait
from tests.conftest import render_inline, write_manifest
from tests.pipeline.sources.test_sent_pictures import grey_profile, ramp, saved, with_chunk

FRAMES = 49  # two GOPs
PICTURES: dict[str, Callable[[], bytes]] = {
    "16 bits of grey with a profile": lambda: saved(Image.fromarray(ramp(16)), icc_profile=grey_profile(1.0)),
    "16 bits of grey with gAMA": lambda: with_chunk(saved(Image.fromarray(ramp(16))), b"gAMA", (100_000).to_bytes(4)),
    "colours with gAMA": lambda: with_chunk(
        saved(Image.fromarray(ramp()).convert("RGB")), b"gAMA", (100_000).to_bytes(4)
    ),
    "colours with cICP": lambda: with_chunk(
        saved(Image.new("RGB", (128, 128), (200, 90, 40))), b"cICP", b"\x0c\x0d\0\1"
    ),
}


@contextmanager
def an_earlier_version() -> Iterator[None]:
    """It knew of nothing of this, and noted nothing of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portrait, "meaning", lambda image, data: "")
        patch.setattr(title_inputs, "reading_of", lambda path, where: "")
        patch.setattr(api_run, "note_plan", lambda store, plan: None)
        yield


def manifest_of(folder: Path, picture: bytes, key: str) -> Path:
    """A title whose canvas shows the picture, or its portrait out of focus."""
    folder.mkdir()
    (folder / "picture.png").write_bytes(picture)
    title = {"id": "one", "frames": FRAMES} | ({"portrait": "picture.png"} if key == "portrait" else {})
    fill = "picture.png" if key == "canvas_fill" else "blur"
    return write_manifest(folder, [title], canvas="1920x1080", resolution=1080, canvas_fill=fill)


def planes_of(folder: Path) -> dict[str, list[str]]:
    """Of each stream the sums of its pictures."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("out/one/stream/*/stream/*.json")):
        found.setdefault(path.parts[-3], []).append(json.loads(path.read_text())["facts"]["planes"])
    return found


@pytest.mark.parametrize("key", ["canvas_fill", "portrait"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if number else ()) for number, name in enumerate(PICTURES)]
)
def test_a_title_that_was_begun_keeps_its_colours(tmp_path: Path, name: str, key: str) -> None:
    picture = PICTURES[name]()
    before, mixed, now = (manifest_of(tmp_path / word, picture, key) for word in ("before", "mixed", "now"))
    with an_earlier_version():
        assert render_inline(before) == 0
        assert render_inline(mixed, "--preview", "2") == 0
    assert render_inline(mixed) == 0
    assert render_inline(now) == 0
    assert planes_of(tmp_path / "mixed") == planes_of(tmp_path / "before")
    assert len(next(iter(planes_of(tmp_path / "mixed").values()))) == 2
    ((old, was),) = planes_of(tmp_path / "before").items()
    ((new, is_now),) = planes_of(tmp_path / "now").items()
    assert old != new
    assert not set(was) & set(is_now), "it is read in another way now"


def test_what_is_looked_at_anew_is_another_title(tmp_path: Path) -> None:
    """Nothing tells how inputs were read but what was remembered of them: without it all pictures are made anew."""
    manifest = manifest_of(tmp_path / "one", PICTURES["colours with gAMA"](), "canvas_fill")
    with an_earlier_version():
        assert render_inline(manifest, "--preview", "2") == 0
    (tmp_path / "one/out/one/inputs.json").unlink()
    assert render_inline(manifest) == 0
    assert sorted(map(len, planes_of(tmp_path / "one").values())) == [1, 2]
    chains = list((tmp_path / "one/out/one/chain").iterdir())
    assert len(chains) == 1, "what was sampled stays"


def test_plain_pictures_have_the_hashes_that_they_had(tmp_path: Path) -> None:
    for number, key in enumerate(("canvas_fill", "portrait")):
        picture = saved(Image.fromarray(np.full((96, 96, 3), 90, np.uint8)))
        manifest = manifest_of(tmp_path / str(number), picture, key)
        with an_earlier_version():
            assert render_inline(manifest, "--preview", "2") == 0
        (tmp_path / str(number) / "out/one/inputs.json").unlink()
        assert render_inline(manifest) == 0
        assert list(map(len, planes_of(tmp_path / str(number)).values())) == [2]
