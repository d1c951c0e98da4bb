"""The part that makes pictures: latents are decoded, windows of frames restored, enlarged and handed on as planes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.faces.detection import Seen
from models.families.finite import NotFinite
from models.families.memory_plan import Fitted, Pieces
from models.families.protocol import Arrays, Family, PictureOptions
from models.image.masks import Box
from models.image.wider import in_bfloat16
from models.image.yuv import yuv420p
from models.parts.part import Part
from models.restoration.plate import stands_still
from models.restoration.upscale import UpscaledFrame, Upscaler


class BaseFrame(NamedTuple):
    picture: Tensor  # [3, S, S], 0..1
    faces: Seen | Tensor  # what was seen of them, once; or their landmarks [k, 5, 2]


class Upscale(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        config = self.config
        self._vae = self.ready("vae")
        networks = (
            self.ready("restorer"),
            self.ready("enlarger"),
            self.ready("detector") if config.detector else None,
            self.ready("parser") if config.parser else None,
        )
        published = replace(config.upscale, face_choice="published")
        self._upscalers = {"none": Upscaler(config.upscale, *networks), "published": Upscaler(published, *networks)}
        own = Pieces(config.upscale.group, config.upscale.tile)
        self._fitted = Fitted(own, family.footprint, family.decode_group, config.upscale.tile_pad)
        self._plate: tuple[object, tuple[Tensor, Tensor]] | None = None  # with what it was made of

    def numerics(self) -> dict[str, Any]:
        return super().numerics() | self._fitted.told() | self._made_again()

    def wider(self) -> Upscale | None:
        """The same part in bfloat16, for what was not finite in float16; None where nothing is in that."""
        if not self._made_again():
            return None
        wide = copy.copy(self)
        wide._vae = in_bfloat16(self._vae)
        wide._upscalers = {name: one.in_bfloat16() for name, one in self._upscalers.items()}
        wide._plate = None
        return wide

    def fit(self, options: PictureOptions, begun: Mapping[str, Any] | None) -> None:
        free, total = _memory(self.device) if self.device.type == "cuda" else (None, None)
        self._fitted.choose(options.base_size, options.resolution, free, begun, total)
        self._take_pieces()

    def shrink(self) -> bool:
        self.release()
        shrunk = self._fitted.shrink()
        self._take_pieces()
        return shrunk

    def _upscaler(self, options: PictureOptions) -> Upscaler:
        found = self._upscalers[options.compat]
        found.most_passes = 1 if options.enlarge == "published" else None
        return found

    def _take_pieces(self) -> None:
        for one in self._upscalers.values():
            one.pieces = self._fitted.now

    @torch.inference_mode()
    def decode(
        self, latents: np.ndarray, options: PictureOptions, conditioning: Arrays | None = None
    ) -> list[BaseFrame]:
        """[n, C, h, w] → n base frames, decoded in one group of n."""
        group = self._sent(torch.from_numpy(latents).float())
        pictures = self._vae.decode(group, group=len(group))
        found = self._upscaler(options).find_faces(pictures)
        return [BaseFrame(picture, faces) for picture, faces in zip(pictures, found, strict=True)]

    @torch.inference_mode()
    def still(self, frames: list[BaseFrame], conditioning: Arrays, options: PictureOptions) -> bool:
        portrait, _ = self._plate_of(conditioning, options)
        return stands_still(torch.stack([frame.picture for frame in frames]), portrait, _face_of(conditioning))

    def _plate_of(self, conditioning: Arrays, options: PictureOptions) -> tuple[Tensor, Tensor]:
        """The portrait as a base frame and as a plate; made at a title's first GOP, and kept for the others."""
        key = (conditioning["reference"].tobytes(), options, self._fitted.now)
        if self._plate is None or self._plate[0] != key:
            group = np.repeat(conditioning["reference"][None], self.family.decode_group, 0)
            portrait = self.decode(group, options)[0].picture
            upscaler, method = self._upscaler(options), options.background
            plate = upscaler.plate(portrait, options.resolution, options.fidelity, method)  # type: ignore[arg-type]
            self._plate = key, (portrait, plate)
        return self._plate[1]

    @torch.inference_mode()
    def restore(
        self, window: list[BaseFrame], places: range, conditioning: Arrays, options: PictureOptions
    ) -> Iterator[UpscaledFrame]:
        """16 base frames → those at `places`, [3, R, R], 0..1."""
        yield from self._upscaler(options).frames(
            torch.stack([frame.picture for frame in window]),
            options.resolution,
            options.fidelity,
            options.background,  # type: ignore[arg-type]
            _face_of(conditioning),
            keep=slice(places.start, places.stop),
            found=[frame.faces for frame in window],
            plate=self._plate_of(conditioning, options)[1] if options.plate == "on" else None,
        )

    def face_found(self, frame: UpscaledFrame) -> bool:
        return frame.face_found

    def planes(self, frame: UpscaledFrame) -> np.ndarray:
        """Raises NotFinite."""
        planes = yuv420p(frame.picture)
        # One copy from the device for both: the sum of values in 0..1 is finite if all of them are.
        known = frame.picture.sum(dtype=torch.float32).isfinite().to(torch.uint8)
        copied = torch.cat([planes.flatten(), known[None]]).cpu().numpy()
        if not copied[-1]:
            raise NotFinite("a picture holds NaN or infinite numbers")
        return copied[:-1].reshape(planes.shape)


def _memory(device: torch.device) -> tuple[int, int]:
    """Bytes of an accelerator that this process may take, those included that its allocator keeps; and all it has."""
    free, total = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), total


def _face_of(conditioning: Arrays) -> Box:
    return Box(*(float(edge) for edge in conditioning["face_box"]))
