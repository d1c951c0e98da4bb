"""The part that makes pictures of families that move a photograph (`models.puppet.composed`), in the film's own size.

The portrait is brought to the film's size once a title; of each frame the square around its face is composed there, on
the processor, whatever the device. Around the square nothing ever changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from zlib import crc32

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.diffusion.movement_record import read
from models.faces.around import cut_out
from models.families.protocol import Arrays, Family, PictureOptions
from models.image.film import Film, Window
from models.image.masks import Box
from models.image.yuv import yuv420p_of_bytes
from models.parts.part import Part
from models.parts.photograph import contours_of, told_of
from models.puppet.composed import Composer, Told
from models.puppet.teeth import own_teeth, read_teeth


class ComposedFrame(NamedTuple):
    picture: NDArray[np.uint8]  # of the film's window [h w 3]
    title: _Title


class _Title(NamedTuple):
    composer: Composer
    corner: tuple[int, int]  # of the composer's square, in the film
    window: Window
    planes: np.ndarray  # of the portrait at rest


class ComposingUpscale(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, "cpu")
        cv2.setNumThreads(family.threads)
        self._title: tuple[object, _Title] | None = None  # with what it was made of

    def numerics(self) -> dict[str, Any]:
        return super().numerics() | {"opencv": cv2.__version__}

    def fit(self, options: PictureOptions, begun: Mapping[str, Any] | None) -> None:
        """A square and its fields fit wherever the portrait does."""

    def shrink(self) -> bool:
        return False

    def wider(self) -> None:
        """Pictures are whole numbers: there is nothing that a wider type would mend."""

    def still(self, frames: list[Told], conditioning: Arrays, options: PictureOptions) -> bool:
        """What is around the face's square is the portrait itself, in every frame."""
        return True

    def decode(self, latents: np.ndarray, options: PictureOptions, conditioning: Arrays) -> list[Told]:
        """[n, 3, h, w] → what is told of n frames."""
        own = contours_of(conditioning["landmarks"].astype(np.float64), conditioning["portrait"].shape[-1])
        return told_of(*read(torch.from_numpy(latents), own))

    def restore(
        self, window: list[Told], places: range, conditioning: Arrays, options: PictureOptions
    ) -> Iterator[ComposedFrame]:
        """16 frames → those at `places`, in the film's size."""
        title = self._title_of(conditioning, options)
        (x, y), at = title.corner, title.window
        for place in places:
            square = title.composer.picture_of(window[place])
            yield ComposedFrame(square[at.y0 - y : at.y1 - y, at.x0 - x : at.x1 - x], title)

    def face_found(self, frame: ComposedFrame) -> bool:
        return True

    def planes(self, frame: ComposedFrame) -> np.ndarray:
        """The portrait's own planes, and in the window the frame's."""
        at, whole = frame.title.window, frame.title.planes.copy()
        own = yuv420p_of_bytes(frame.picture)
        height, width = frame.picture.shape[:2]
        whole[at.y0 : at.y1, at.x0 : at.x1] = own[:height]
        rows = whole.shape[0] * 2 // 3
        colours = whole[rows:].reshape(2, rows // 2, whole.shape[1] // 2)
        part = own[height:].reshape(2, height // 2, width // 2)
        colours[:, at.y0 // 2 : at.y1 // 2, at.x0 // 2 : at.x1 // 2] = part
        return whole

    def _title_of(self, conditioning: Arrays, options: PictureOptions) -> _Title:
        """The title's portrait, put where its frames will be; made at its first GOP, and kept for the others."""
        arrays = ("pixels", "landmarks", "crop_box", "teeth", "portrait")
        key = (*(crc32(conditioning[name].tobytes()) for name in arrays), options)
        if self._title is None or self._title[0] != key:
            self._title = key, _made(conditioning, options)
        return self._title[1]


def _plate(portrait: NDArray[np.uint8], film: Film) -> NDArray[np.uint8]:
    """The portrait [h, w, 3] in the film's size [H W 3]."""
    left, top, right, bottom = film.shown
    size = (film.width, film.height)
    picture = Image.fromarray(portrait).resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))
    return np.ascontiguousarray(picture)


def _made(conditioning: Arrays, options: PictureOptions) -> _Title:
    portrait = conditioning["pixels"]
    square = Box(*(float(edge) for edge in conditioning["crop_box"]))
    film = Film.of(portrait.shape[:2], square, options.film or (options.resolution, options.resolution))
    picture = _plate(portrait, film)
    at = film.window
    side = round(film.square.width)
    corner = (min(round(film.square.x0), at.x0), min(round(film.square.y0), at.y0))
    side = max(side, at.x1 - corner[0], at.y1 - corner[1])
    # From the square that was prepared to the film: pixels have their middle at whole numbers in both.
    scale = film.square.width / conditioning["portrait"].shape[-1]
    landmarks = conditioning["landmarks"].astype(np.float64) * scale
    landmarks[:, :2] += np.array([film.square.x0 - corner[0], film.square.y0 - corner[1]]) + (scale - 1) / 2
    inside = cut_out(picture, Box(corner[0], corner[1], corner[0] + side, corner[1] + side))
    teeth = own_teeth(inside, landmarks, read_teeth()[int(conditioning["teeth"][0])])
    return _Title(Composer(inside, landmarks, teeth), corner, at, yuv420p_of_bytes(picture))
