"""A small plate that everybody can see: AI-generated."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TEXT = "AI-generated"
_HEIGHT = 0.045  # of the short side
_MARGIN = 0.03
_PLATE, _INK = 30, 225  # luma
_COVER = 0.72  # how much of the plate covers the picture


class Badge:
    """The plate for frames of one size; drawn once, put on every frame."""

    def __init__(self, width: int, height: int):
        short = min(width, height)
        tall = max(round(short * _HEIGHT / 2) * 2, 8)
        font = ImageFont.load_default(tall * 0.62)
        left, top, right, bottom = font.getbbox(TEXT)
        wide = min(int((right - left + tall * 0.9) // 2 * 2), width)
        plate = Image.new("L", (wide, tall), _PLATE)
        middle = ((wide - (right - left)) / 2 - left, (tall - (bottom - top)) / 2 - top)
        ImageDraw.Draw(plate).text(middle, TEXT, fill=_INK, font=font)
        shape = Image.new("L", (wide, tall), 0)
        ImageDraw.Draw(shape).rounded_rectangle((0, 0, wide - 1, tall - 1), tall * 0.25, fill=round(256 * _COVER))
        self._luma = np.asarray(plate, np.int32)
        ink = np.where(self._luma > _PLATE, (self._luma - _PLATE) * 256 // (_INK - _PLATE), 0)
        self._cover = np.maximum(np.asarray(shape, np.int32), ink)
        self._place = round(short * _MARGIN / 2) * 2
        self._width, self._height = width, height

    def draw(self, planes: np.ndarray) -> None:
        """Onto planes uint8 [height·3/2, width] (yuv420p), in place: top left."""
        tall, wide = self._luma.shape
        start = self._place
        _blend(planes[: self._height][start : start + tall, start : start + wide], self._luma, self._cover)
        colours = planes[self._height :].reshape(2, self._height // 2, self._width // 2)
        cover = self._cover.reshape(tall // 2, 2, wide // 2, 2).mean((1, 3)).astype(np.int32)
        for plane in colours:
            part = plane[start // 2 : (start + tall) // 2, start // 2 : (start + wide) // 2]
            _blend(part, np.full_like(cover, 128), cover)


def _blend(part: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    height, width = part.shape
    cover = cover[:height, :width]
    part[:] = (part * (256 - cover) + colour[:height, :width] * cover + 128) >> 8
