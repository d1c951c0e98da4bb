"""Portraits: read from files that nobody vouches for, turned upright and made RGB."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from pipeline.core.errors import InputError
from pipeline.sources.colour import TooBright, converted, grey_table, meaning

FORMATS = ("PNG", "JPEG", "WEBP")
LARGEST_FILE = 256 << 20  # bytes
MOST_PIXELS = 100_000_000  # a small file can unfold to any size
MOST_STRETCHED = 8
MOST_SCANS = 100  # of a JPEG: a few bytes can have the decoder pass over all pixels once more; encoders make ten
SMALLEST = 64  # pixels of the shorter edge
BACKGROUND = (255, 255, 255)  # behind what is transparent
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError, MemoryError)


def read_portrait(source: str | Path | bytes, where: str, reading: str | None = None) -> np.ndarray:
    """A PNG, JPEG or WebP still as uint8 [height, width, 3] RGB (sRGB), upright by its EXIF orientation.

    `where` names the portrait in messages. `reading`: what `reading_of` said when a title was planned, so that all of
    it shows the same colours; empty is as versions read that knew of none. By default what the file says now.
    Raises InputError for everything that cannot be used, with the remedy.
    """
    data = _bytes(source, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own words about large or odd files; ours follow
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check(image, where)
                if image.format in ("JPEG", "MPO") and (scans := data.count(b"\xff\xda")) > MOST_SCANS:
                    raise InputError(f"a JPEG of {scans:,} scans, at most {MOST_SCANS}", "save it anew", place=where)
                try:
                    image.load()
                except OSError:
                    if (whole := _ended(data)) is None:
                        raise
                    return read_portrait(whole, where, reading)
                meant = meaning(image, data) if reading is None else reading
                return np.asarray(_rgb(ImageOps.exif_transpose(image), meant))
        except TooBright as bright:
            raise InputError(
                f"a picture for HDR screens ({bright})", "export it as an ordinary one, in sRGB", place=where
            ) from None
        except Image.UnidentifiedImageError:
            raise InputError(
                f"not a PNG, JPEG or WebP picture ({_looks_like(data)})", "convert it to one of these", place=where
            ) from None
        except Image.DecompressionBombError:
            raise _too_large(where, "more than twice that") from None
        except _DAMAGED as error:
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise InputError(f"the picture is damaged or cut off ({reason})", "export it again", place=where) from None


def reading_of(source: str | Path | bytes, where: str) -> str:
    """What in a picture earlier versions did not heed: it enters the hash of what is made of it. Empty for most."""
    data = _bytes(source, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return meaning(image, data)


def _bytes(source: str | Path | bytes, where: str) -> bytes:
    if not isinstance(source, bytes):
        path = Path(source)
        try:
            if not path.is_file():
                raise InputError("no such file", "give the path of a PNG, JPEG or WebP picture", place=where)
            with path.open("rb") as stream:
                source = stream.read(LARGEST_FILE + 1)
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", "check the path and its permissions", place=where
            ) from None
    if not source:
        raise InputError("the file is empty (0 bytes)", "give a PNG, JPEG or WebP picture", place=where)
    if len(source) > LARGEST_FILE:
        raise InputError(f"larger than {LARGEST_FILE >> 20} MiB", "make the picture smaller", place=where)
    return source


def _too_large(where: str, pixels: str) -> InputError:
    text = f"{pixels} pixels, at most {MOST_PIXELS // 1_000_000} million can be used"
    return InputError(text, "make the picture smaller", place=where)


def _check(image: Image.Image, where: str) -> None:
    """Everything that the header tells, before any pixel is unpacked."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_large(where, f"{width}×{height}")
    if min(width, height) < SMALLEST:
        raise InputError(
            f"{where}: {width}×{height} pixels; both edges must have {SMALLEST} or more, 512 or more look good"
        )
    if max(width, height) > MOST_STRETCHED * min(width, height):
        raise InputError(
            f"{width}×{height} pixels; one edge is over {MOST_STRETCHED} times the other",
            "cut out the face",
            place=where,
        )
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: a still with a preview in the same file
        raise InputError("an animation", "give one still picture", place=where)


def _ended(data: bytes) -> bytes | None:
    """A JPEG that lacks its last two bytes, with them; None where anything else is missing.

    What is missing of the pixels would be read from what follows: then other bytes there give other pixels.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    base, pixels = data.removesuffix(b"\xff"), []
    for more in (b"", b"\xa5" * 64, b"\x3c" * 64):
        with Image.open(io.BytesIO(base + more + b"\xff\xd9"), formats=("JPEG",)) as image:
            pixels.append(image.tobytes())
    return base + b"\xff\xd9" if len(set(pixels)) == 1 else None


def _rgb(image: Image.Image, meant: str) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits of grey; the library would clip instead of scaling
        return _of_sixteen_bits(np.asarray(image).astype(np.int64), meant, profile)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*BACKGROUND, 255)), image)
    if image.mode != "CMYK":
        image = image.convert("RGB")
    try:
        if meant not in ("", "srgb"):
            return converted(image, meant, profile)
        if profile and not meant:
            found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(image, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
            image = made or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        pass  # a broken profile, or one of another colour space: the numbers are taken as sRGB, as browsers do
    return image.convert("RGB")


def _of_sixteen_bits(grey: np.ndarray, meant: str, profile: bytes | None) -> Image.Image:
    if meant == "grey profile" and profile:
        try:
            levels = np.interp(grey / 257, np.arange(256), 255 * grey_table(profile))
            return Image.fromarray(np.rint(levels).astype(np.uint8)).convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # as below
    image = Image.fromarray(np.clip(grey >> 8, 0, 255).astype(np.uint8)).convert("RGB")
    return image if meant in ("", "srgb", "grey profile") else converted(image, meant, profile)


def _looks_like(data: bytes) -> str:
    starts = {b"GIF8": "GIF", b"%!PS": "EPS", b"BM": "BMP", b"II*": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF"}
    for start, name in starts.items():
        if data.startswith(start):
            return f"it is {name}"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "it is HEIC or AVIF"
    if b"<svg" in data[:1024].lower():
        return "it is SVG"
    return "its first bytes are of none of them"


def jpeg(image: np.ndarray, xmp: bytes = b"") -> bytes:
    """A picture, uint8 [height, width, 3], as JPEG; `xmp` is embedded where given."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=92, subsampling=0, **({"xmp": xmp} if xmp else {}))
    return buffer.getvalue()


def fitted(image: np.ndarray, edge: int) -> np.ndarray:
    """A picture, uint8 [height, width, 3], made smaller where an edge of it is longer than `edge` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return np.asarray(picture)
