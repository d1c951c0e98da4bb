"""Portraits as pixels: PNG, JPEG or WebP from anywhere, upright, within bounds."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP")
SMALLEST = 64  # pixels of the shorter edge
MOST_PIXELS = 80_000_000  # a 9,000 x 8,800 scan; beyond lie decompression bombs
BACKGROUND = (255, 255, 255)  # under transparent pixels


def read_portrait(source: Path | bytes, where: str) -> np.ndarray:
    """uint8 [H, W, 3] RGB, turned as its EXIF orientation says; transparency is laid on white.

    Raises InputError, with `where` in front, for what is no such picture, is damaged, too small or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise InputError(
                        f"{where}: {width}x{height} pixels; expected at most {MOST_PIXELS:,} in all; scale it down"
                    )
                if min(width, height) < SMALLEST:
                    raise InputError(
                        f"{where}: {width}x{height} pixels; expected at least {SMALLEST} along each edge; "
                        "use a larger picture"
                    )
                image.load()
                return _rgb(ImageOps.exif_transpose(image))
    except InputError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(f"{where}: claims more than {MOST_PIXELS:,} pixels; scale it down") from None
    except UnidentifiedImageError:
        raise InputError(f"{where}: is no PNG, JPEG or WebP picture; save it as one of these") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InputError(f"{where}: cannot be decoded ({error}); save the picture again") from None


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit grey
        grey = (np.asarray(image).astype(np.float64) / 257).round().clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(ground, image)
    return np.ascontiguousarray(np.asarray(image.convert("RGB")))
