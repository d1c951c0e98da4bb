"""Small pictures of a title for its pages: one of its beginning, and a sheet that shows it as a whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from pipeline.core.errors import DamagedObject
from pipeline.core.timeline import FPS, GOP
from pipeline.media.encode import decode_frames
from pipeline.sources.portrait import jpeg

THUMB = 480  # pixels along the longer edge of the small picture of the beginning
TILE = 240  # … of a tile of the sheet: twice what a page shows, for dense screens
MOST_TILES = 12
COLUMNS = 6


def first_picture(init: bytes, fragment: bytes) -> np.ndarray:
    """The first picture of a fragment as uint8 RGB. Raises DamagedObject."""
    frame = next(decode_frames(init, [fragment]), None)
    if frame is None:
        raise DamagedObject("a fragment holds no picture; verify the title")
    return frame.to_ndarray(format="rgb24", src_colorspace="ITU709", src_color_range="MPEG", dst_color_range="JPEG")


def thumbnail(init: bytes, fragment: bytes, xmp: bytes = b"") -> bytes:
    """The first picture of a fragment as a small JPEG."""
    return jpeg(_shrunk(first_picture(init, fragment), THUMB), xmp)


def tiles_of(gops: int) -> list[int]:
    """The GOPs whose first pictures a sheet shows: evenly spread, the first and the last among them."""
    count = min(gops, MOST_TILES)
    return [round(tile * (gops - 1) / max(1, count - 1)) for tile in range(count)]


def contact_sheet(
    init: bytes, gops: int, load: Callable[[int], bytes], xmp: bytes = b""
) -> tuple[bytes, dict[str, object]]:
    """A sheet as JPEG and its facts: columns, and the seconds at which its tiles lie, row by row.

    `load` reads the fragment of a GOP; they are read one at a time.
    """
    numbers = tiles_of(gops)
    tiles = [_shrunk(first_picture(init, load(gop)), TILE) for gop in numbers]
    height, width = tiles[0].shape[:2]
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, tile in enumerate(tiles):
        y, x = place // columns * height, place % columns * width
        sheet[y : y + height, x : x + width] = tile
    seconds = [gop * GOP / FPS for gop in numbers]
    return jpeg(sheet, xmp), {"columns": columns, "rows": rows, "seconds": seconds, "tile": [width, height]}


def _shrunk(picture: np.ndarray, longest: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
