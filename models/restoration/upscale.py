"""One window of base frames -> frames of the target size: background, face crop, temporal restorer, paste-back.

Only the restorer's transformer and the smoothing of landmarks look at several frames, and only inside the window. All
else is computed frame by frame, so a frame's background does not depend on the window that it is seen in.

Shapes: f frames of a window, h x w base pixels, R target pixels a side; pictures are RGB in 0..1.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.faces.detection import Seen, choose_faces, landmarks_in, look_enlarged, smooth_landmarks
from models.faces.parsenet import face_labels
from models.faces.paste import Place, covered, find_place, parsed_mask, paste_at
from models.families.memory_plan import WINDOW, Pieces
from models.families.upscale_config import UpscaleConfig
from models.image.alignment import box_matrix, crop_face, landmark_matrix, rescale
from models.image.colour import keep_colour
from models.image.masks import Box
from models.image.resample import resize_lanczos
from models.image.warp import invert
from models.image.wider import in_bfloat16
from models.restoration.background import enlarge, passes_needed
from models.restoration.fixed_batches import fixed_groups
from models.restoration.plate import laid_over
from models.restoration.restorer import TemporalRestorer

ALIGNED_PER_FACE = 1.8  # an aligned crop is about this many times as wide as the face in it
OPAQUE = 1 - 1e-6  # what a sum of float32 shares may come to instead of 1
BOX_MARGIN = 1.5  # a fixed crop is this many times as wide as the face box


class UpscaledFrame(NamedTuple):
    picture: Tensor  # [3, R, R]
    face_found: bool  # False: no face was there to restore, the picture is the background path's alone


class Upscaler:
    """The networks of the high-resolution stage, put to work on one window after another.

    `enlarger`, `detector` and `parser` may be missing: without an enlarger `background` must be `lanczos`, without a
    detector `crop` must be `box` or `whole`, without a parser the paste's edge is a soft square.
    """

    def __init__(
        self,
        config: UpscaleConfig,
        restorer: TemporalRestorer,
        enlarger: nn.Module | None = None,
        detector: nn.Module | None = None,
        parser: nn.Module | None = None,
    ) -> None:
        if config.crop == "landmarks" and detector is None:
            raise ValueError(
                "crop is 'landmarks' and there is no face detector: load one, or use crop 'box' or 'whole'"
            )
        if restorer.config.input == "latents" and config.crop != "whole":
            raise ValueError(
                f"crop is {config.crop!r} and the restorer reads latents, which are whole frames: use 'whole'"
            )
        self.config = config
        self.most_passes: int | None = None  # of the x2 network over a picture; None: as many as its size asks for
        self.pieces = Pieces(config.group, config.tile)  # whoever knows the device's memory may set others
        self.restorer = restorer
        self.enlarger = enlarger
        self.detector = detector
        self.parser = parser
        self._place: tuple[object, Place | None] | None = None  # the last face's: a fixed box has the same all along

    def in_bfloat16(self) -> Upscaler:
        """The same, whose networks of float16 are of bfloat16 (`models.families.finite`)."""
        wide = copy.copy(self)
        wide.restorer = in_bfloat16(self.restorer)  # type: ignore[assignment]
        wide.enlarger = None if self.enlarger is None else in_bfloat16(self.enlarger)
        return wide

    def __call__(
        self,
        window: Tensor,
        resolution: int,
        fidelity: float = 1.0,
        background: Literal["x2", "lanczos"] = "x2",
        face_box: Box | None = None,
        latents: Tensor | None = None,
    ) -> tuple[Tensor, list[bool]]:
        """window [f, 3, h, w] -> pictures [f, 3, R, R], and for each whether a face was restored in it."""
        frames = list(self.frames(window, resolution, fidelity, background, face_box, latents))
        return torch.stack([frame.picture for frame in frames]), [frame.face_found for frame in frames]

    @torch.inference_mode()
    def frames(
        self,
        window: Tensor,
        resolution: int,
        fidelity: float = 1.0,
        background: Literal["x2", "lanczos"] = "x2",
        face_box: Box | None = None,
        latents: Tensor | None = None,
        keep: slice = slice(None),
        found: Sequence[Seen | Tensor] | None = None,
        plate: Tensor | None = None,
    ) -> Iterator[UpscaledFrame]:
        """The same, one picture at a time and only those of `keep` (the frames that the window owns).

        `face_box`, in base pixels, comes from the portrait: `crop: box` restores the square around it in every frame,
        `crop: landmarks` takes from it how large the face is. `latents` [f, c, h, w] are needed by a restorer that
        reads them. `found` are what `find_faces` gave for these frames: whoever keeps it for the frames that windows
        share detects once a frame. `plate` [3, R, R] is what `plate` gave for the portrait: it is shown around the
        face's surroundings, which then are all that is enlarged of a frame.
        """
        if plate is not None and face_box is None:
            raise ValueError("a plate was given and no face box: pass the one that preparation found")
        if self.config.crop == "whole":
            yield from self._whole(window, resolution, fidelity, background, latents, keep, face_box, plate)
            return
        matrices = self._matrices(window, face_box, found)
        restored = self._restored_faces(window, matrices, fidelity, keep)
        passes = self._face_passes(window.shape[-1], resolution, face_box)
        kept = range(len(window))[keep]
        areas = self._areas([matrices[number] for number in kept], window, resolution)
        backgrounds: Iterator[Tensor]
        if self._hides_all(matrices, window, resolution):
            backgrounds = (window.new_zeros(3, resolution, resolution) for _ in kept)
        elif plate is not None and face_box is not None:
            backgrounds = self._over(plate, window[keep], face_box, window.shape[-1], background)
        else:
            backgrounds = self._enlarged(window[keep], resolution, background)
        for number, picture, area in zip(kept, backgrounds, areas, strict=True):
            matrix = matrices[number]
            if matrix is None:
                yield UpscaledFrame(picture, False)
                continue
            face, base = next(restored), window.shape[-1]
            yield UpscaledFrame(self._pasted(picture, face, matrix, base, passes, background, area), True)

    def _whole(
        self,
        window: Tensor,
        resolution: int,
        fidelity: float,
        background: Literal["x2", "lanczos"],
        latents: Tensor | None,
        keep: slice,
        face_box: Box | None,
        plate: Tensor | None,
    ) -> Iterator[UpscaledFrame]:
        if self.restorer.config.input == "latents":
            if latents is None:
                raise ValueError("the restorer reads latents and none were given: pass the window's latents")
            restored = self.restorer.restore(latents, fidelity, self.config.adain, keep, self.pieces.group)
        else:
            side = self.restorer.config.codebook.side
            crops = torch.cat([resize_lanczos(frame, (side, side)) for frame in window.split(1)]).clamp(0, 1)
            restored = self._restore(crops, fidelity, keep)
        for frame, face in zip(window[keep], restored, strict=True):
            picture = self._coloured(_unit(face), frame)
            method = background if self.config.enlarge_face else "lanczos"
            if plate is not None and face_box is not None:
                large = self._over(plate, picture[None], face_box, window.shape[-1], method)
            else:
                large = self._enlarged(picture[None], resolution, method)
            yield UpscaledFrame(next(large), True)

    @torch.inference_mode()
    def plate(
        self, frame: Tensor, resolution: int, fidelity: float = 1.0, background: Literal["x2", "lanczos"] = "x2"
    ) -> Tensor:
        """The portrait's frame [3, h, w] -> what may stand in for the surroundings of its face [3, R, R]."""
        if self.config.crop != "whole":
            return next(self._enlarged(frame[None], resolution, background))
        window = frame.expand(WINDOW, -1, -1, -1)
        return next(self._whole(window, resolution, fidelity, background, None, slice(0, 1), None, None)).picture

    @torch.inference_mode()
    def find_faces(self, frames: Tensor) -> list[Seen | Tensor]:
        """Frames [n, 3, h, w] -> of each what `landmarks_in` reads: landmarks [k, 5, 2] of the k faces in it.

        No faces where none are looked for.
        """
        if self.config.crop != "landmarks" or self.detector is None:
            return [torch.zeros(0, 5, 2)] * len(frames)
        return [look_enlarged(self.detector, frame) for frame in frames]

    def _matrices(
        self, window: Tensor, face_box: Box | None, found: Sequence[Seen | Tensor] | None
    ) -> list[Tensor | None]:
        """For each frame the matrix to the restorer's crop, None where no face was found."""
        side = self.restorer.config.codebook.side
        if self.config.crop == "box":
            if face_box is None:
                raise ValueError("crop is 'box' and no face box was given: pass the one that preparation found")
            return [box_matrix(square_around(face_box, BOX_MARGIN, window.shape[-2:]), side)] * len(window)
        landmarks = landmarks_in(self.find_faces(window) if found is None else found)
        chosen = smooth_landmarks(choose_faces(landmarks, self.config.face_choice), self.config.smoothing)
        return [None if points is None else landmark_matrix(points, side) for points in chosen]

    def _restored_faces(
        self, window: Tensor, matrices: list[Tensor | None], fidelity: float, keep: slice
    ) -> Iterator[Tensor]:
        """Restored crops [3, side, side] of the kept frames that have a face; the others are left out."""
        side = self.restorer.config.codebook.side
        present = [i for i, matrix in enumerate(matrices) if matrix is not None]
        kept = [i for i in range(len(window))[keep] if matrices[i] is not None]
        if not kept:
            return
        crops = torch.stack([crop_face(window[i], m, side) for i, m in enumerate(matrices) if m is not None])
        first = present.index(kept[0])
        places = slice(first, first + len(kept))
        for crop, face in zip(crops[places], self._restore(crops, fidelity, places), strict=True):
            yield self._coloured(_unit(face), crop)

    def _restore(self, crops: Tensor, fidelity: float, keep: slice) -> Iterator[Tensor]:
        return self.restorer.restore(crops * 2 - 1, fidelity, self.config.adain, keep, self.pieces.group)

    def _enlarged(self, frames: Tensor, resolution: int, method: Literal["x2", "lanczos"]) -> Iterator[Tensor]:
        target = (resolution, resolution)
        for part, real in fixed_groups(frames, self.pieces.group):
            passes = self._passes(part, target)
            large = enlarge(part, target, self.enlarger, method, self.pieces.tile, self.config.tile_pad, passes)
            for picture, frame in zip(large[:real], part, strict=False):
                yield self._coloured(picture, frame)

    def _over(
        self, plate: Tensor, frames: Tensor, face_box: Box, base: int, method: Literal["x2", "lanczos"]
    ) -> Iterator[Tensor]:
        def grow(part: Tensor, target: tuple[int, int]) -> Tensor:
            passes = self._passes(part, target)
            large = enlarge(part, target, self.enlarger, method, self.pieces.tile, self.config.tile_pad, passes)
            return keep_colour(large, part) if self.config.keep_colour else large

        for part, real in fixed_groups(frames, self.pieces.group):
            yield from laid_over(plate, part, face_box, base, grow)[:real]

    def _face_passes(self, base: int, resolution: int, face_box: Box | None) -> int:
        """How many x2 passes the restored crop gets: a constant of the title, for sharpness must not jump."""
        share = 1.0
        if face_box is not None:
            reach = BOX_MARGIN if self.config.crop == "box" else ALIGNED_PER_FACE
            share = min(1.0, reach * max(face_box.width, face_box.height) / base)
        needed = passes_needed(self.restorer.config.codebook.side, round(share * resolution))
        return needed if self.most_passes is None else min(needed, self.most_passes)

    def _passes(self, frames: Tensor, target: tuple[int, int]) -> int:
        """How many x2 passes whole frames, or a part of them, get to be as large as `target`."""
        needed = max(passes_needed(have, want) for have, want in zip(frames.shape[-2:], target, strict=True))
        return needed if self.most_passes is None else min(needed, self.most_passes)

    def _pasted(
        self,
        picture: Tensor,
        face: Tensor,
        matrix: Tensor,
        base: int,
        passes: int,
        background: Literal["x2", "lanczos"],
        area: float | None,
    ) -> Tensor:
        parsed = None if self.parser is None else parsed_mask(face_labels(self.parser, face[None] * 2 - 1)[0])
        wanted, place = self._find_place(matrix, base, picture.shape[-1], picture.device, area)
        method = background if self.config.enlarge_face and self.enlarger is not None else "lanczos"
        tile, pad = self.pieces.tile, self.config.tile_pad
        large = enlarge(face[None], (wanted, wanted), self.enlarger, method, tile, pad, passes)
        return paste_at(place, picture, self._coloured(large[0], face), parsed)

    def _find_place(
        self, matrix: Tensor, base: int, resolution: int, device: torch.device, area: float | None = None
    ) -> tuple[int, Place | None]:
        """How many pixels a side the crop of this matrix is pasted with, and where."""
        wanted, back, scale = self._way_back(matrix, base, resolution)
        key = (tuple(matrix.flatten().tolist()), base, resolution, device)
        if self._place is None or self._place[0] != key:
            self._place = key, find_place(back, wanted, (resolution, resolution), scale, device, area)
        return wanted, self._place[1]

    def _way_back(self, matrix: Tensor, base: int, resolution: int) -> tuple[int, Tensor, float]:
        """Pixels a side of the crop as it is pasted, the matrix from it to the picture, how much that was enlarged."""
        side, scale = self.restorer.config.codebook.side, resolution / base
        wanted = max(1, round(side * scale / float(torch.linalg.det(matrix[:, :2]).abs().sqrt())))
        return wanted, invert(rescale(matrix, scale, wanted / side)), max(scale, 1.0)

    def _areas(self, matrices: list[Tensor | None], window: Tensor, resolution: int) -> list[float | None]:
        """What the crops cover of the pictures, for all frames at once where an accelerator would wait for each."""
        if not window.is_cuda or self.config.crop == "box":
            return [None] * len(matrices)
        found: list[Tensor | None] = [None] * len(matrices)
        for place, matrix in enumerate(matrices):
            if matrix is not None:
                wanted, back, scale = self._way_back(matrix, window.shape[-1], resolution)
                found[place] = covered(back, wanted, (resolution, resolution), scale, window.device)
        known = [one for one in found if one is not None]
        areas = iter(torch.stack(known).tolist() if known else ())
        return [None if one is None else next(areas) for one in found]

    def _hides_all(self, matrices: list[Tensor | None], window: Tensor, resolution: int) -> bool:
        """Whether a fixed crop is pasted over whole pictures, so that nothing is seen of what lies under it."""
        if self.config.crop != "box" or self.parser is not None or matrices[0] is None:
            return False
        _, place = self._find_place(matrices[0], window.shape[-1], resolution, window.device)
        return place is not None and place.soft.shape == (resolution, resolution) and bool((place.soft > OPAQUE).all())

    def _coloured(self, picture: Tensor, reference: Tensor) -> Tensor:
        return keep_colour(picture[None], reference[None])[0] if self.config.keep_colour else picture


def square_around(box: Box, margin: float, size: torch.Size | tuple[int, int]) -> tuple[float, float, float, float]:
    """The square `margin` times as wide as the box, moved inside the picture of `size` (h, w) as far as it fits."""
    height, width = size
    side = min(margin * max(box.width, box.height), height, width)
    x0 = min(max((box.x0 + box.x1 - side) / 2, 0.0), width - side)
    y0 = min(max((box.y0 + box.y1 - side) / 2, 0.0), height - side)
    return (x0, y0, x0 + side, y0 + side)


def _unit(picture: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]"""
    return ((picture + 1) / 2).clamp(0, 1)
