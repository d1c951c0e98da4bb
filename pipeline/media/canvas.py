"""The canvas: a square picture of the portrait placed on a wider or taller one, filled beside it.

What fills it stands still and is the same for every frame of a title: it follows from the plan alone, so any worker
that makes a GOP makes the same one, and it costs the encoder next to nothing. All arithmetic is in integers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from pipeline.media.scale import Scaler

CANVASES = {"1920x1080": (1920, 1080), "3840x2160": (3840, 2160), "1080x1920": (1080, 1920)}
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
BLUR = "blur"
_SMALL = 160  # pixels of the longer edge at which the fill is put out of focus
_RADIUS = 6  # at that size
_DIMMED = 0.7

# ITU-R BT.709-6 luma coefficients, in ten-thousandths.
_KR, _KG, _KB = 2126, 7152, 722


@dataclass(frozen=True)
class CanvasLayout:
    """A canvas of `width` x `height` pixels with a square of `side` pixels whose corner is at (x, y)."""

    width: int
    height: int
    side: int
    x: int
    y: int


def is_image(fill: str) -> bool:
    """Whether a `canvas_fill` names a picture: it is neither a colour nor `blur`."""
    return fill != BLUR and not COLOUR.fullmatch(fill)


def canvas_layout(canvas: str, place: str) -> CanvasLayout:
    """Where the portrait stands: as large as fits, moved along the longer edge, on even pixels.

    On an upright canvas `left` is the top and `right` the bottom.
    """
    width, height = CANVASES[canvas]
    side, free = min(width, height), abs(width - height)
    offset = {"left": 0, "centre": free // 4 * 2, "right": free}[place]
    return CanvasLayout(width, height, side, *((offset, 0) if width > height else (0, offset)))


def fill_planes(layout: CanvasLayout, fill: str, portrait: np.ndarray, image: np.ndarray | None) -> np.ndarray:
    """The empty canvas as yuv420p planes, uint8 [height·3/2, width].

    `portrait` and `image` are uint8 [h, w, 3]; `image` is what `fill` names, if it names one.
    """
    size = (layout.width, layout.height)
    if image is not None:
        picture = ImageOps.fit(Image.fromarray(image), size, Image.Resampling.LANCZOS)
    elif fill == BLUR:
        picture = _blurred(Image.fromarray(portrait), size)
    else:
        picture = Image.new("RGB", size, fill)
    return planes_of(np.asarray(picture))


def _blurred(portrait: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The portrait over the whole canvas, out of focus and dimmed."""
    width, height = (max(1, edge * _SMALL // max(size)) for edge in size)
    small = ImageOps.fit(portrait, (width, height), Image.Resampling.BOX)
    dimmed = ImageEnhance.Brightness(small.filter(ImageFilter.GaussianBlur(_RADIUS))).enhance(_DIMMED)
    return dimmed.resize(size, Image.Resampling.BICUBIC)


def planes_of(picture: np.ndarray) -> np.ndarray:
    """RGB, uint8 [h, w, 3] with even sides, as yuv420p planes: BT.709, limited range, chroma the mean of 2x2 pixels."""
    height, width, _ = picture.shape
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = _divided(219 * _luma(picture.astype(np.int64)), 255 * 10_000) + 16
    mean = picture.astype(np.int64).reshape(height // 2, 2, width // 2, 2, 3).sum((1, 3))  # of four pixels
    luma = _luma(mean)
    blue = _divided(224 * (10_000 * mean[..., 2] - luma), 4 * 255 * 2 * (10_000 - _KB))
    red = _divided(224 * (10_000 * mean[..., 0] - luma), 4 * 255 * 2 * (10_000 - _KR))
    chroma = np.stack([blue, red]) + 128
    planes[height:] = chroma.reshape(-1, width)
    return planes


def _luma(rgb: np.ndarray) -> np.ndarray:
    return _KR * rgb[..., 0] + _KG * rgb[..., 1] + _KB * rgb[..., 2]


def _divided(numerator: np.ndarray, denominator: int) -> np.ndarray:
    """The quotient, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)


class Canvas:
    """Puts frame after frame on the same fill."""

    def __init__(self, layout: CanvasLayout, fill: np.ndarray, resolution: int):
        self._layout, self._fill = layout, fill
        self._scaler = (
            Scaler((resolution, resolution), (layout.side, layout.side)) if resolution != layout.side else None
        )

    def on(self, planes: np.ndarray) -> np.ndarray:
        """yuv420p planes of a square picture → those of the canvas with it, in memory of their own."""
        if self._scaler is not None:
            planes = self._scaler(planes)
        at, side = self._layout, self._layout.side
        whole = self._fill.copy()
        whole[at.y : at.y + side, at.x : at.x + side] = planes[:side]
        half, chroma = side // 2, chroma_planes(whole, at.height)
        for plane, own in zip(chroma, chroma_planes(planes, side), strict=True):
            plane[at.y // 2 : at.y // 2 + half, at.x // 2 : at.x // 2 + half] = own
        return whole


def chroma_planes(planes: np.ndarray, height: int) -> np.ndarray:
    """Both chroma planes of yuv420p planes as a view, [2, height/2, width/2]."""
    return planes[height:].reshape(2, height // 2, planes.shape[1] // 2)
