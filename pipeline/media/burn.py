"""Captions drawn into the picture: white letters with a dark edge near its lower border, on yuv420p planes.

The letters come from Source Sans Pro (SIL Open Font License 1.1), which a package brings along, so every worker draws
the same ones. It has Latin, Greek and Cyrillic letters; what it has not is refused before anything is rendered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import font_source_sans_pro
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.timeline import FPS
from pipeline.media.canvas import chroma_planes
from pipeline.sources.captions import Cue

_LETTERS = 20  # a line's height in the shorter edge of the picture
_MARGIN = 0.06  # of the height below the text, and of the width on both sides
_EDGE = 14  # the letters' size in widths of their edge
_NO_SUCH = "\ue123"  # of private use: what is drawn for it is drawn for all that the font has not


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont:
    path = font_source_sans_pro.font_files_ttf["SourceSansProSemibold"]
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def cannot_be_drawn(cues: Sequence[Cue]) -> str:
    """The characters of captions that the font does not have, each once."""
    font = _font(24)

    def drawn(character: str) -> tuple[tuple[int, int], bytes]:
        mask = font.getmask(character)
        return mask.size, bytes(mask)

    missing, used = drawn(_NO_SUCH), {character for cue in cues for character in cue.plain}
    return "".join(sorted(c for c in used if not c.isspace() and drawn(c) == missing))


@dataclass(frozen=True)
class _Drawing:
    """What a cue covers: rows from `top` on and columns from `left` on, all even; alpha 0..255 of edge and letters."""

    top: int
    left: int
    edge: np.ndarray
    letters: np.ndarray


class Burner:
    """Draws the captions of a title; the cue in hand is drawn once and laid over every frame that it is shown in."""

    def __init__(self, cues: Sequence[Cue], width: int, height: int):
        self._cues, self._starts = cues, [cue.start for cue in cues]
        self._width, self._height = width, height
        self._drawn: tuple[int, _Drawing] | None = None

    def on(self, planes: np.ndarray, frame: int) -> np.ndarray:
        """yuv420p planes of a frame → the same with what is said in it; those given stay as they are."""
        time = frame * 1000 // FPS
        index = bisect_right(self._starts, time) - 1
        if index < 0 or time >= self._cues[index].end:
            return planes
        if self._drawn is None or self._drawn[0] != index:
            self._drawn = index, self._drawing(self._cues[index].plain)
        drawing, planes = self._drawn[1], planes.copy()
        rows, columns = drawing.letters.shape
        luma = planes[drawing.top : drawing.top + rows, drawing.left : drawing.left + columns]
        luma[:] = _over(_over(luma, 16, drawing.edge), 235, drawing.letters)
        cover = np.maximum(drawing.edge, drawing.letters).astype(np.uint16)
        cover = (cover.reshape(rows // 2, 2, columns // 2, 2).sum((1, 3)) + 2) // 4
        top, left = drawing.top // 2, drawing.left // 2
        for plane in chroma_planes(planes, self._height):
            part = plane[top : top + rows // 2, left : left + columns // 2]
            part[:] = _over(part, 128, cover)
        return planes

    def _drawing(self, text: str) -> _Drawing:
        size = max(8, min(self._width, self._height) // _LETTERS)
        font, edge = _font(size), max(1, size // _EDGE)
        lines = "\n".join(_wrapped(text, font, int(self._width * (1 - 2 * _MARGIN))))
        pictures = []
        for stroke in (edge, 0):
            picture = Image.new("L", (self._width, self._height))
            place = (self._width // 2, int(self._height * (1 - _MARGIN)))
            draw = ImageDraw.Draw(picture)
            draw.multiline_text(place, lines, 255, font, anchor="md", align="center", stroke_width=stroke)
            pictures.append(np.asarray(picture))
        rows, columns = np.nonzero(pictures[0].any(1))[0], np.nonzero(pictures[0].any(0))[0]
        top, left = rows[0] // 2 * 2, columns[0] // 2 * 2
        bottom, right = (rows[-1] // 2 + 1) * 2, (columns[-1] // 2 + 1) * 2
        return _Drawing(int(top), int(left), *(picture[top:bottom, left:right] for picture in pictures))


def _over(below: np.ndarray, value: int, alpha: np.ndarray) -> np.ndarray:
    alpha = alpha.astype(np.uint16)
    return ((below * (255 - alpha) + value * alpha + 127) // 255).astype(np.uint8)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines that are no wider than `width` pixels, broken between words, and inside a word that is wider."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            while font.getlength(word) > width:
                fits = next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
                if line:
                    lines.append(line)
                    line = ""
                lines.append(word[:fits])
                word = word[fits:]
            longer = f"{line} {word}".strip()
            if font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        if line:
            lines.append(line)
    return lines
