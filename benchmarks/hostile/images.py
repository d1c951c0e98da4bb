"""Portraits: bombs, disguises, cut files, odd but valid pictures, and metadata that lies."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.hostile.case import Room, case, cases_in

SIDE = 96


def picture(mode: str = "RGB", size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Smooth colours, so that they also survive lossy formats."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([rows % 256, columns % 256, (rows + columns) % 256], -1).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, depth: int = 8, colour: int = 2, before: bytes = b"") -> bytes:
    """A PNG with this head and these (compressed) pixels; `before` are chunks ahead of them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """`count` zero bytes, compressed a thousandfold."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


@case("png of 60,000 x 60,000", "refused", "make the picture smaller")
def bomb(room: Room) -> list[str]:
    return room.portrait(png(60_000, 60_000, zlib.compress(b"\0" * 1000)))


@case("png of 2^31 x 2^31", "refused", "evil.png")
def giant(room: Room) -> list[str]:
    return room.portrait(png(2**31 - 1, 2**31 - 1, b""))


@case("png of 99 million pixels, 16 bits and alpha", "harmless", seconds=40, mebibytes=2200)
def most_deep(room: Room) -> list[str]:
    return room.portrait(png(9_950, 9_950, zeros(9_950 * (9_950 * 8 + 1)), depth=16, colour=6))


@case("png of 64 x 1,500,000", "refused", "evil.png")
def ribbon(room: Room) -> list[str]:
    return room.portrait(png(64, 1_500_000, zeros(1_500_000 * 193)))


@case("png whose pixels unfold to 1 GiB", "harmless")
def pixels_bomb(room: Room) -> list[str]:
    return room.portrait(png(SIDE, SIDE, zeros(1 << 30)))


@case("png with a text of 256 MiB", "refused", "damaged")
def text_bomb(room: Room) -> list[str]:
    return room.portrait(png(SIDE, SIDE, zeros(SIDE * 289), before=chunk(b"zTXt", b"a\0\0" + zeros(256 << 20))))


@case("png with a profile of 256 MiB", "refused", "damaged")
def profile_bomb(room: Room) -> list[str]:
    return room.portrait(png(SIDE, SIDE, zeros(SIDE * 289), before=chunk(b"iCCP", b"a\0\0" + zeros(256 << 20))))


@case("png with a chunk of 2 GiB claimed", "harmless")
def chunk_length(room: Room) -> list[str]:
    good = saved(picture(), "PNG")
    return room.portrait(good[:33] + b"\x7f\xff\xff\xffIDAT" + good[41:])


@case("png cut in half", "refused", "cut off")
def cut(room: Room) -> list[str]:
    good = saved(picture(), "PNG")
    return room.portrait(good[: len(good) // 2])


@case("png with wrong checksums", "refused", "damaged")
def checksum(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "PNG").replace(b"IDAT", b"IDAT\x01", 1))


@case("animated png", "refused", "an animation")
def apng(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "PNG", save_all=True, append_images=[picture().rotate(90)] * 3))


@case("animated webp", "refused", "an animation")
def awebp(room: Room) -> list[str]:
    frames = [picture().rotate(90)] * 3
    return room.portrait(saved(picture(), "WEBP", save_all=True, append_images=frames), "evil.webp")


@case("webp of 16,000 x 16,000", "refused", "make the picture smaller")
def webp_bomb(room: Room) -> list[str]:
    good = saved(picture(), "WEBP", lossless=True)
    at = good.index(b"VP8L") + 9
    bits = (15_999) | (15_999 << 14)
    return room.portrait(good[:at] + struct.pack("<I", bits) + good[at + 4 :], "evil.webp")


SVG = b"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96"><image href="%s"/><text>&x;</text></svg>"""


@case("svg named png, with external entities", "refused", "it is SVG")
def svg(room: Room) -> list[str]:
    return room.portrait(SVG % room.trap_url.encode())


@case("eps named png", "refused", "it is EPS")
def eps(room: Room) -> list[str]:
    mark = room.outside / "made"
    program = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 96\n({mark}) (w) file closefile showpage\n"
    return room.portrait(program.encode())


@case("pdf named jpg", "refused", "it is PDF")
def pdf(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "PDF"), "evil.jpg")


@case("tiff named png", "refused", "it is TIFF")
def tiff(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "TIFF"))


@case("gif named png", "refused", "it is GIF")
def gif(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "GIF"))


@case("xpm and other texts named png", "refused", "not a PNG, JPEG or WebP")
def xpm(room: Room) -> list[str]:
    return room.portrait(b'/* XPM */\nstatic char *x[] = {"96 96 1 1", "a c #ffffff"};\n')


@case("png that is a zip and a page too", "harmless")
def polyglot(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "PNG") + b"<script>alert(1)</script>PK\x05\x06" + bytes(18))


@case("jpeg of 65,500 x 65,500", "refused", "make the picture smaller")
def jpeg_bomb(room: Room) -> list[str]:
    good = saved(picture(), "JPEG")
    at = good.index(b"\xff\xc0") + 5
    return room.portrait(good[:at] + struct.pack(">HH", 65_500, 65_500) + good[at + 4 :], "evil.jpg")


@case("jpeg that ends early", "refused", "export it again")
def jpeg_cut(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "JPEG")[:900], "evil.jpg")


@case("jpeg of 5,000 scans", "refused", "scans")
def jpeg_scans(room: Room) -> list[str]:
    """Every scan has the decoder pass over 64 million pixels again; a whole one takes a few bytes."""
    side = 8_000
    head = b"\xff\xd8\xff\xdb\x00\x43\x00" + bytes([1] * 64)
    head += b"\xff\xc2" + struct.pack(">HBHHBBBB", 11, 8, side, side, 1, 1, 0x11, 0)
    # Two code tables with one code each: the difference 0, and the end of a band of 2^14 blocks or more.
    head += b"\xff\xc4" + struct.pack(">HB", 20, 0x00) + bytes([1] + [0] * 15) + b"\x00"
    head += b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + bytes([1] + [0] * 15) + b"\xe0"
    blocks = (side // 8) ** 2
    first = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0x00, 0, 0, 0) + bytes(blocks // 8 + 1)
    run = "0" + "1" * 14  # the code, then 14 bits that lengthen the run
    bits = (run * (blocks // 32_767 + 1)).ljust(8 * 64 * 8, "1")
    band = int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0x00, 1, 63, 0) + band
    return room.portrait(head + first + scan * 5_000 + b"\xff\xd9", "evil.jpg")


@case("jpeg in CMYK", "harmless")
def cmyk(room: Room) -> list[str]:
    return room.portrait(saved(picture("CMYK"), "JPEG"), "evil.jpg")


@case("png of 16 bit grey", "harmless")
def grey(room: Room) -> list[str]:
    return room.portrait(saved(Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)), "PNG"))


@case("png with a palette that is too short", "harmless")
def palette(room: Room) -> list[str]:
    rows = zlib.compress((b"\0" + b"\xff" * SIDE) * SIDE)
    return room.portrait(png(SIDE, SIDE, rows, 8, 3, chunk(b"PLTE", bytes(3))))


ORIENTATION = struct.pack("<HHII", 0x0112, 3, 1, 65_535)


def _exif(entries: bytes, count: int) -> bytes:
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, count) + entries


@case("exif of 65,535 entries", "harmless")
def exif_many(room: Room) -> list[str]:
    entry = struct.pack("<HHII", 0x0112, 2, 0xFFFFFFF0, 8)
    return room.portrait(saved(picture(), "JPEG", exif=_exif(entry * 5_000, 65_535)), "evil.jpg")


@case("exif that refers to itself", "harmless")
def exif_loop(room: Room) -> list[str]:
    entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x0112, 3, 1, 6)
    return room.portrait(saved(picture(), "JPEG", exif=_exif(entries + struct.pack("<I", 8), 2)), "evil.jpg")


@case("exif orientation 65,535", "harmless")
def exif_orientation(room: Room) -> list[str]:
    return room.portrait(saved(picture(), "JPEG", exif=_exif(ORIENTATION, 1)), "evil.jpg")


@case("profile of noise", "harmless")
def profile_noise(room: Room) -> list[str]:
    noise = np.random.default_rng(0).integers(0, 256, 4_000, dtype=np.uint8).tobytes()
    return room.portrait(saved(picture(), "PNG", icc_profile=noise))


@case("profile with a billion tables", "harmless")
def profile_tables(room: Room) -> list[str]:
    head = bytearray(struct.pack(">I", 1 << 30) + bytes(124))
    head[12:24], head[36:40] = b"mntrRGB XYZ ", b"acsp"
    tables = struct.pack(">I", 0x3FFFFFFF) + struct.pack(">4sII", b"rTRC", 0xFFFFFFF0, 0xFFFFFFF0) * 50
    return room.portrait(saved(picture(), "PNG", icc_profile=bytes(head) + tables))


@case("profile of another kind of colour", "harmless")
def profile_cmyk(room: Room) -> list[str]:
    head = bytearray(struct.pack(">I", 132) + bytes(128))
    head[12:24], head[36:40] = b"prtrCMYKLab ", b"acsp"
    return room.portrait(saved(picture(), "JPEG", icc_profile=bytes(head)), "evil.jpg")


@case("a megabyte of comments", "harmless")
def comments(room: Room) -> list[str]:
    good = saved(picture(), "JPEG")
    return room.portrait(good[:2] + (b"\xff\xfe\xff\xff" + b"x" * 65_533) * 16 + good[2:], "evil.jpg")


@case("portrait of noise", "refused", "not a PNG, JPEG or WebP")
def noise(room: Room) -> list[str]:
    return room.portrait(np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8).tobytes())


CASES = cases_in(globals())
