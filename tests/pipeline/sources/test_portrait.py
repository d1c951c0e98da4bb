"""Portraits in: formats, orientation, transparency, refusals, and the square around the face."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.core.errors import InputError
from pipeline.sources.portrait import jpeg, read_portrait


def painted(width: int = 96, height: int = 128) -> np.ndarray:
    """Left half red, right half blue, a green block at the top left: tells every turn and flip."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 0] = 200
    picture[:, width // 2 :, 2] = 200
    picture[: height // 4, : width // 4] = (0, 200, 0)
    return picture


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 98, "subsampling": 0})],
)
def test_every_format_is_read(tmp_path: Path, kind: str, options: dict) -> None:
    data = saved(Image.fromarray(painted()), kind, **options)
    picture = read_portrait(data, "p")
    assert picture.shape == (128, 96, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - painted()).mean() < 3
    path = tmp_path / "no_extension"
    path.write_bytes(data)
    assert np.array_equal(read_portrait(path, "p"), picture)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    turned = Image.fromarray(painted())
    if orientation in undo:
        turned = turned.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "JPEG"):
        picture = read_portrait(saved(turned, kind, exif=exif.tobytes()), "p")
        assert picture.shape == (128, 96, 3)
        assert np.abs(picture.astype(int) - painted()).mean() < 5


def test_transparency_shows_white() -> None:
    layers = np.dstack([painted(), np.full((128, 96), 255, np.uint8)])
    layers[64:, :, 3] = 0
    layers[63, :, 3] = 128
    for image in (Image.fromarray(layers), Image.fromarray(layers).convert("LA")):
        for kind in ("PNG", "WEBP"):
            picture = read_portrait(saved(image, kind, **({"lossless": True} if kind == "WEBP" else {})), "p")
            assert (picture[70:] == 255).all()
            assert picture[63].max() <= 255
            assert picture[32, 40].max() < 255
    indexed = Image.fromarray(painted()).quantize(8)
    hidden = indexed.getpixel((0, 0))
    picture = read_portrait(saved(indexed, "PNG", transparency=hidden), "p")
    assert (picture[5, 5] == 255).all()
    assert picture[100, 10] == pytest.approx([200, 0, 0], abs=3)


def test_sixteen_bits_grey_palette_and_print_colours_are_read() -> None:
    ramp = np.linspace(0, 65535, 96 * 128).reshape(128, 96).astype(np.uint16)
    picture = read_portrait(saved(Image.fromarray(ramp), "PNG"), "p")
    assert np.array_equal(picture[..., 0], (ramp >> 8).astype(np.uint8))
    # 16 bits a colour, which the library cannot write
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.stack([ramp, ramp[::-1], ramp], axis=-1))
    picture = read_portrait(_png(96, 128, 16, 2, rows), "p")
    assert np.abs(picture[..., 1].astype(int) - (ramp[::-1] >> 8)).max() <= 1
    cmyk = read_portrait(saved(Image.fromarray(painted()).convert("CMYK"), "JPEG", quality=98), "p")
    assert np.abs(cmyk.astype(int) - painted()).mean() < 12
    one_bit = read_portrait(saved(Image.fromarray(painted()).convert("1"), "PNG"), "p")
    assert set(np.unique(one_bit)) == {0, 255}


def test_colours_of_a_profile_become_srgb() -> None:
    red = Image.new("RGB", (64, 64), (200, 0, 0))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"____").replace(b"bXYZ", b"rXYZ").replace(b"____", b"bXYZ")  # red is called blue
    assert read_portrait(saved(red, "PNG", icc_profile=srgb), "p")[0, 0] == pytest.approx([200, 0, 0], abs=1)
    assert read_portrait(saved(red, "PNG", icc_profile=swapped), "p")[0, 0] == pytest.approx([0, 0, 200], abs=1)
    assert tuple(read_portrait(saved(red, "PNG", icc_profile=b"rubbish"), "p")[0, 0]) == (200, 0, 0)


def _png(width: int, height: int, bits: int, kind: int, rows: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _bad() -> list[tuple[str, bytes, str]]:
    good = Image.fromarray(painted())
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8))
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    spoilt = bytearray(saved(noise, "PNG"))
    spoilt[5000:5200] = bytes(200)
    return [
        ("empty", b"", "0 bytes"),
        ("text", b"hello" * 100, "not a PNG"),
        ("gif", saved(good, "GIF"), "it is GIF"),
        ("bmp", saved(good, "BMP"), "it is BMP"),
        ("tiff", saved(good, "TIFF"), "it is TIFF"),
        ("svg", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "it is SVG"),
        ("eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is EPS"),
        ("heic", b"\0\0\0\x18ftypheic" + bytes(100), "HEIC"),
        ("small", saved(good.resize((63, 200)), "PNG"), "63×200"),
        ("bomb", _png(60_000, 60_000, 1, 0, b"\0"), "100 million"),
        ("large", _png(11_000, 10_000, 1, 0, b"\0"), "11000×10000"),
        ("cut png", saved(noise, "PNG")[:20_000], "export it again"),
        ("cut jpeg", saved(noise, "JPEG")[:9_000], "export it again"),
        ("cut webp", saved(noise, "WEBP")[:9_000], "export it again"),
        ("spoilt png", bytes(spoilt), "export it again"),
        ("moving png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:]), "animation"),
        ("moving webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]), "animation"),
    ]


@pytest.mark.parametrize(("name", "data", "text"), _bad(), ids=[name for name, _, _ in _bad()])
def test_what_cannot_be_used_is_named(name: str, data: bytes, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        read_portrait(data, "titles.yaml:3: portrait")
    assert str(caught.value).startswith("titles.yaml:3: portrait: ")


def test_missing_files_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(InputError, match=r"^x: no such file"):
            read_portrait(path, "x")


def test_jpeg() -> None:
    data = jpeg(painted(), b"<x:xmpmeta/>")
    assert b"<x:xmpmeta/>" in data
    assert np.abs(read_portrait(data, "p").astype(int) - painted()).mean() < 4
