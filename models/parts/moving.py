"""The part that makes pictures of families that move the portrait's own pixels (`models.restoration.moving`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.diffusion.moved_latents import ASIDE
from models.faces.around import EYES
from models.families.protocol import Arrays, Family, PictureOptions
from models.image.film import Film
from models.image.masks import Box
from models.image.moving import Grid, Mover
from models.image.yuv import yuv420p
from models.parts.part import Part
from models.restoration.moving import Place, Stage, closed, content, fading, plate, shares_over

HALO = 2  # latents around a box that are decoded and restored with it, and thrown away


class MovedBase(NamedTuple):
    flow: Tensor  # [2, h, w], whole numbers
    share: Tensor  # [h, w], 0..255
    boxes: list[Tensor]  # of each box what its latents show, its halo too [3, H, W], 0..1


class MovedFrame(NamedTuple):
    picture: Tensor  # of the film's window, uint8 [3, H, W]
    title: _Title


class _Content(NamedTuple):
    """One box of a title."""

    box: tuple[int, int, int, int]  # in latents of the square
    seen: tuple[int, int, int, int]  # with its halo
    place: Place
    mover: Mover  # of the portrait as its own latents show it here
    soft: Tensor  # [H, W]
    lids: bool  # whether it is the eyes', which stay the portrait's while they are open


class _Title(NamedTuple):
    stage: Stage
    contents: list[_Content]
    planes: np.ndarray  # of the portrait at rest


class MovingUpscale(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        self._vae, self._restorer = self.ready("vae"), self.ready("restorer")
        self._title: tuple[object, _Title] | None = None  # with what it was made of

    def fit(self, options: PictureOptions, begun: Mapping[str, Any] | None) -> None:
        """Boxes are small: they fit wherever the portrait does."""

    def shrink(self) -> bool:
        return False

    def wider(self) -> None:
        """What is mixed here is held to whole grey levels: there is nothing that a wider type would mend."""

    def still(self, frames: list[MovedBase], conditioning: Arrays, options: PictureOptions) -> bool:
        """What is around the face's square is the portrait itself, in every frame."""
        return True

    @torch.inference_mode()
    def decode(self, latents: np.ndarray, options: PictureOptions, conditioning: Arrays) -> list[MovedBase]:
        """[n, c + 3, h, w] → n frames: flow, share and, decoded in one group of n, the boxes."""
        given = torch.from_numpy(latents).float().to(self.device)
        own, flow, share = given.split([given.shape[1] - ASIDE, 2, 1], dim=1)
        boxes = [self._decoded(own, _seen(box, own.shape[-1])) for box in _boxes_of(conditioning)]
        return [MovedBase(flow[n].long(), share[n, 0], [box[n] for box in boxes]) for n in range(len(given))]

    def _decoded(self, latents: Tensor, box: tuple[int, int, int, int]) -> Tensor:
        x0, y0, x1, y1 = box
        return self._vae.decode(latents[..., y0:y1, x0:x1].contiguous(), group=len(latents))

    @torch.inference_mode()
    def restore(
        self, window: list[MovedBase], places: range, conditioning: Arrays, options: PictureOptions
    ) -> Iterator[MovedFrame]:
        """16 frames → those at `places`, in the film's size."""
        title = self._title_of(conditioning, options)
        keep = slice(places.start, places.stop)
        restored = [
            self._restored(torch.stack([frame.boxes[number] for frame in window]), options.fidelity, keep)
            for number in range(len(title.contents))
        ]
        for place, *shown in zip(places, *restored, strict=True):
            frame = window[place]
            added = [
                (one.place, self._content(one, frame, picture))
                for one, picture in zip(title.contents, shown, strict=True)
            ]
            yield MovedFrame(title.stage.frame(frame.flow, added), title)

    def _restored(self, crops: Tensor, fidelity: float, keep: slice) -> Iterator[Tensor]:
        frames = self._restorer.restore(
            crops * 2 - 1, fidelity, self.config.upscale.adain, keep, self.config.upscale.group
        )
        return ((frame / 2 + 0.5).clamp(0, 1) for frame in frames)

    def _content(self, one: _Content, frame: MovedBase, shown: Tensor) -> Tensor:
        moved = one.mover(frame.flow).float() / 255
        shown, moved = (self._inner(one.box, one.seen, picture) for picture in (shown, moved))
        share = shares_over(frame.share, one.box, self.config.vae.factor) * one.soft
        return content(shown, moved, share * closed(shown, moved) if one.lids else share)

    def _inner(self, box: tuple[int, int, int, int], seen: tuple[int, int, int, int], picture: Tensor) -> Tensor:
        """A picture of a box with its halo, without it."""
        factor = self.config.vae.factor
        x0, y0, x1, y1 = ((edge - low) * factor for edge, low in zip(box, seen[:2] * 2, strict=True))
        return picture[..., y0:y1, x0:x1]

    def _title_of(self, conditioning: Arrays, options: PictureOptions) -> _Title:
        """The title's portrait, put where its frames will be; made at its first GOP, and kept for the others."""
        key = (conditioning["reference"].tobytes(), conditioning["crop_box"].tobytes(), options)
        if self._title is None or self._title[0] != key:
            self._title = key, self._made(conditioning, options)
        return self._title[1]

    def _made(self, conditioning: Arrays, options: PictureOptions) -> _Title:
        portrait, factor = conditioning["pixels"], self.config.vae.factor
        reference = torch.from_numpy(conditioning["reference"]).float().to(self.device)
        cells = reference.shape[-1]
        square = Box(*(float(edge) for edge in conditioning["crop_box"]))
        film = Film.of(portrait.shape[:2], square, options.film or (options.resolution, options.resolution))
        picture = plate(portrait, film).to(self.device)
        stage = Stage(picture, film, cells)
        contents = []
        for number, box in enumerate(_boxes_of(conditioning)):
            seen = _seen(box, cells)
            # As frames are decoded and restored: in whole groups and windows.
            group = reference.expand(self.family.decode_group, -1, -1, -1)
            window = self._decoded(group, seen)[:1].expand(16, -1, -1, -1)
            own = next(self._restored(window, options.fidelity, slice(0, 1)))
            own = (own * 255).round().to(torch.uint8)
            rows = Grid(seen[1] * factor, factor, own.shape[1])
            columns = Grid(seen[0] * factor, factor, own.shape[2])
            mover = Mover(own, (cells, cells), rows, columns)
            soft = fading(box, factor).to(self.device)
            contents.append(_Content(box, seen, stage.place(box, factor), mover, soft, lids=number == EYES))
        return _Title(stage, contents, yuv420p(picture.float() / 255).cpu().numpy())

    def face_found(self, frame: MovedFrame) -> bool:
        return True

    def planes(self, frame: MovedFrame) -> np.ndarray:
        """The portrait's own planes, and in the window the frame's."""
        at, whole = frame.title.stage.window, frame.title.planes.copy()
        own = yuv420p(frame.picture.float() / 255).cpu().numpy()
        height, width = frame.picture.shape[1:]
        whole[at.y0 : at.y1, at.x0 : at.x1] = own[:height]
        rows = whole.shape[0] * 2 // 3
        colours = whole[rows:].reshape(2, rows // 2, whole.shape[1] // 2)
        part = own[height:].reshape(2, height // 2, width // 2)
        colours[:, at.y0 // 2 : at.y1 // 2, at.x0 // 2 : at.x1 // 2] = part
        return whole


def _boxes_of(conditioning: Arrays) -> list[tuple[int, int, int, int]]:
    return [(int(x0), int(y0), int(x1), int(y1)) for x0, y0, x1, y1 in conditioning["content_boxes"]]


def _seen(box: tuple[int, int, int, int], cells: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    return max(0, x0 - HALO), max(0, y0 - HALO), min(cells, x1 + HALO), min(cells, y1 + HALO)
