"""Smaller videos made in the same run: the same pictures, each in a file and an HLS rendition of its own."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml

from pipeline import verify
from pipeline.media.encode import Encoding, GopEncoder, encode_gop
from pipeline.media.inspect_media import inspect
from pipeline.media.sound_in.probe import probe
from tests.conftest import render_inline
from tests.support.crashes import same_after_kills
from tests.support.damage import flip, snapshot

Make = Callable[..., Path]
TITLE: dict[str, Any] = {"id": "talk", "frames": 97, "title": "A talk"}


def pictures(path: Path) -> list[np.ndarray]:
    options = {"allowed_extensions": "ALL", "extension_picky": "0"} if path.suffix == ".m3u8" else {}
    with av.open(str(path), options=options) as container:
        return [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]


@pytest.fixture
def rendered_smaller(fake_manifest: Make) -> Path:
    manifest = fake_manifest([TITLE], resolution=256, renditions=[96, 128])
    assert render_inline(manifest) == 0
    return manifest


def test_every_size_is_a_whole_film(rendered_smaller: Path) -> None:
    folder = rendered_smaller.parent / "out" / "talk"
    large = pictures(folder / "final.mp4")
    for size in (128, 96):
        path = folder / f"final-{size}.mp4"
        facts = inspect(path)
        assert (facts.codec, facts.width, facts.height) == ("h264", size, size)
        assert (facts.frames, facts.decoded, facts.faults) == (97, 97, ())
        assert facts.audio_seconds == Fraction(97, 25)
        assert dict(probe(path).tags)["title"] == "A talk"
        small = pictures(path)
        for frame in (0, 47, 48, 96):
            if size == 128:
                mean = large[frame].reshape(128, 2, 128, 2).mean((1, 3))
                assert np.abs(mean - small[frame]).mean() < 12
                assert np.abs(mean - small[(frame + 30) % 97]).mean() > 24, "another frame would differ"
    assert verify.run([str(rendered_smaller), "--planes"]) == 0


def test_the_ladder_of_the_stream(rendered_smaller: Path) -> None:
    folder = rendered_smaller.parent / "out" / "talk"
    index = (folder / "hls" / "index.m3u8").read_text().splitlines()
    listed = [(line, uri) for line, uri in pairwise(index) if line.startswith("#EXT-X-STREAM-INF")]
    assert [line.split("RESOLUTION=")[1].split(",")[0] for line, _ in listed] == ["256x256", "128x128", "96x96"]
    for _, uri in listed:
        shown = pictures(folder / "hls" / uri)
        name = uri.rpartition("/")[2].replace("video", "final").replace(".m3u8", ".mp4")
        assert all((a == b).all() for a, b in zip(shown, pictures(folder / name), strict=True))


def test_a_damaged_rendition_is_found_and_made_again(rendered_smaller: Path) -> None:
    folder = rendered_smaller.parent / "out" / "talk"
    before = {name: (folder / name).read_bytes() for name in ("final.mp4", "final-128.mp4", "final-96.mp4")}
    flip(sorted(folder.glob("stream/*/stream/objects/*fragment-96.m4s"))[1])
    assert verify.run([str(rendered_smaller)]) == 1
    for mark in (*folder.glob("stream/*/stream/00000048.0.json"), *folder.glob("stream/*/done/00000000.0.json")):
        mark.with_name(f"{mark.name}.void").touch()
    assert render_inline(rendered_smaller) == 0
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert verify.run([str(rendered_smaller)]) == 0


def test_sizes_can_be_taken_away(rendered_smaller: Path) -> None:
    folder = rendered_smaller.parent / "out" / "talk"
    chain = snapshot(folder / "chain")
    catalog = yaml.safe_load(rendered_smaller.read_text())
    catalog["defaults"]["renditions"] = [128]
    rendered_smaller.write_text(yaml.safe_dump(catalog))
    assert render_inline(rendered_smaller) == 0
    assert sorted(path.name for path in folder.glob("final*")) == ["final-128.mp4", "final.mp4"]
    assert snapshot(folder / "chain") == chain
    assert verify.run([str(rendered_smaller)]) == 0


def test_all_sizes_are_the_same_after_kills(rendered_smaller: Path, tmp_path: Path) -> None:
    same_after_kills(rendered_smaller, tmp_path, 60)


def test_an_encoder_beside_another_makes_the_same_bytes() -> None:
    noise = np.random.default_rng(0).integers(16, 236, (5, 96, 64), dtype=np.uint8)
    alone = encode_gop(Encoding("h264", 64, 64, 20), 48, noise)
    first, second = (GopEncoder(Encoding("h264", 64, 64, 20), 48) for _ in range(2))
    for picture in noise:
        first.add(picture)
        second.add(picture)
    assert first.finish() == second.finish() == alone
