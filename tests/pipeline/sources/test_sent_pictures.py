"""Pictures whose numbers are not sRGB, and JPEGs without their last two bytes."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from models.families.registry import FAMILIES
from pipeline.core.errors import InputError
from pipeline.intake.cached_plan import cached_plan
from pipeline.intake.survey import copy_inputs, plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.sources.portrait import read_portrait
from pipeline.store.opening import open_store
from tests.conftest import write_manifest

SIZE = 128


def ramp(depth: int = 8) -> np.ndarray:
    levels = np.linspace(0, (1 << depth) - 1, SIZE * SIZE).reshape(SIZE, SIZE)
    return levels.astype(np.uint8 if depth == 8 else np.uint16)


def grey_profile(gamma: float) -> bytes:
    """A profile of grey with a curve of one power, written by hand: the library makes none."""

    def tag(kind: bytes, body: bytes) -> bytes:
        return kind + bytes(4) + body

    white = tag(b"XYZ ", struct.pack(">3i", 63190, 65536, 54061))
    curve = tag(b"curv", struct.pack(">IH", 1, round(gamma * 256))) + bytes(2)
    name = tag(b"desc", struct.pack(">I", 5) + b"grey\0" + bytes(78)) + bytes(1)
    parts = [(b"desc", name), (b"wtpt", white), (b"kTRC", curve)]
    table, body, at = struct.pack(">I", len(parts)), b"", 128 + 4 + 12 * len(parts)
    for kind, data in parts:
        data += bytes(-len(data) % 4)
        table += kind + struct.pack(">II", at + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def encoded(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + chunk + png[33:]


def saved(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.6])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "LA", "16 bits"])
def test_profiles_of_grey(gamma: float, kind: str) -> None:
    profile = grey_profile(gamma)
    image = Image.fromarray(ramp(16 if kind == "16 bits" else 8))
    if kind == "LA":
        image.putalpha(255)
    data = saved(
        image, "JPEG" if kind == "JPEG" else "PNG", icc_profile=profile, **({"quality": 100} if kind == "JPEG" else {})
    )
    want = encoded((ramp() / 255.0) ** gamma)
    found = read_portrait(data, "p")
    assert np.abs(found[..., 0] - want)[8:].mean() < 2
    assert np.ptp(found, axis=2).max() <= 2


@pytest.mark.parametrize("gamma", [1.0, 0.55556, 0.38])
def test_gamma_of_png(gamma: float) -> None:
    png = saved(Image.fromarray(ramp()).convert("RGB"))
    found = read_portrait(with_chunk(png, b"gAMA", struct.pack(">I", round(gamma * 100_000))), "p")
    assert np.abs(found[..., 1] - encoded((ramp() / 255) ** (1 / gamma))).max() < 1.5
    assert np.array_equal(read_portrait(with_chunk(png, b"gAMA", struct.pack(">I", 45455)), "p")[..., 0], ramp())
    told = with_chunk(with_chunk(png, b"gAMA", struct.pack(">I", 100_000)), b"sRGB", b"\0")
    assert np.array_equal(read_portrait(told, "p")[..., 0], ramp())


def test_primaries_and_transfer_of_png() -> None:
    png = saved(Image.new("RGB", (SIZE, SIZE), (200, 100, 50)))
    assert read_portrait(with_chunk(png, b"cICP", bytes([1, 13, 0, 1])), "p")[0, 0].tolist() == [200, 100, 50]
    wide = saved(
        Image.new("RGB", (SIZE, SIZE), (200, 100, 50)),
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    )
    for data in (png, wide):  # the chunk goes before a profile
        p3 = read_portrait(with_chunk(data, b"cICP", bytes([12, 13, 0, 1])), "p")[0, 0].astype(int)
        assert np.abs(p3 - [215, 93, 31]).max() <= 2
    linear = read_portrait(with_chunk(png, b"cICP", bytes([1, 8, 0, 1])), "p")[0, 0]
    assert np.abs(linear - encoded(np.array([200, 100, 50]) / 255)).max() < 1.5
    for transfer, name in ((16, "PQ"), (18, "HLG")):
        with pytest.raises(InputError, match=rf"HDR screens \({name}\)"):
            read_portrait(with_chunk(png, b"cICP", bytes([9, transfer, 0, 1])), "p")
    assert read_portrait(with_chunk(png, b"cICP", bytes([77, 99, 0, 1])), "p")[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("more", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 4}])
def test_a_jpeg_without_its_end(more: dict[str, object]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), "JPEG", quality=90, **more)
    whole = read_portrait(data, "p")
    for cut in (1, 2):
        assert np.array_equal(read_portrait(data[:-cut], "p"), whole)
    for cut in (8, 100, len(data) // 2):
        with pytest.raises(InputError, match="damaged or cut off"):
            read_portrait(data[:-cut], "p")


def test_how_a_picture_is_read_enters_its_hash(tmp_path: Path) -> None:
    """Only where it is read otherwise than by earlier versions; and it is remembered with the rest."""
    manifest = write_manifest(tmp_path, [10])
    profile = grey_profile(1.8)
    found = {}
    for name, more in {"plain": {}, "grey": {"icc_profile": profile}}.items():
        (tmp_path / "portrait-0.png").write_bytes(saved(Image.fromarray(ramp()), **more))
        catalog = load_manifest(manifest, families=FAMILIES)
        store = open_store(catalog.output)
        ((seen,), problems) = survey(catalog, store)
        assert not problems
        copy_inputs(store, [seen])
        plan = plan_title(FAMILIES["fake"], seen)
        again = cached_plan(catalog, store, catalog.titles[0]).plan
        assert again is not None
        assert again.hashes == plan.hashes
        without = plan_title(FAMILIES["fake"], replace(seen, portrait_facts=(SIZE, SIZE)))
        found[name] = plan.hashes.chain == without.hashes.chain
        assert plan.hashes.sound == without.hashes.sound
    assert found == {"plain": True, "grey": False}
