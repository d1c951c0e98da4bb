"""Films of photographs as users get them, in framings of every kind: the family's own parts, without a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.data.landmark_faces import portraits_of
from models.data.portraits import Portrait
from models.data.speech import read_recording
from models.drawn.splits import Split
from models.families.protocol import ClipOptions, Hints, Lane, PictureOptions
from models.families.registry import FAMILIES, load_part
from models.speech.spectrum import SAMPLES_A_FRAME
from models.speech.speech_level import speech_level

PHOTO = FAMILIES["photo"]
CLIP = 16
BASE = PHOTO.base_sizes[0]
NO_HINTS = Hints()


@dataclass(frozen=True)
class Framing:
    """Width over height; height of the face in the picture's; where its middle lies, in widths and heights."""

    shape: float
    face: float
    x: float = 0.5
    y: float = 0.5


FRAMINGS = (
    Framing(1, 0.45), Framing(1, 0.9, y=0.52), Framing(1, 0.15), Framing(16 / 9, 0.5, x=0.3),
    Framing(9 / 16, 0.25, y=0.4), Framing(4 / 3, 0.6, x=0.62), Framing(3 / 4, 0.35), Framing(1, 0.3, x=0.3, y=0.35),
    Framing(2, 0.7), Framing(1 / 2, 0.2), Framing(1, 0.6, y=0.6), Framing(3 / 2, 0.2, x=0.75),
)  # fmt: skip


def framed(one: Portrait, framing: Framing, longest: int = 1400) -> NDArray[np.uint8]:
    """The portrait in a framing: cut, or continued by what lies at its edges, blurred more the farther away."""
    picture, height = one.picture(), one.face_height / framing.face
    width = height * framing.shape
    middle = one.landmarks[:, :2].mean(0)
    x0, y0 = middle[0] - framing.x * width, middle[1] - framing.y * height
    scale = min(2.0, longest / max(width, height))
    size = (round(width * scale), round(height * scale))
    matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
    cut = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(np.ones(picture.shape[:2], np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    share = cv2.GaussianBlur(cv2.erode(inside, np.ones((9, 9))), (0, 0), 6)[..., None]
    around = cv2.GaussianBlur(cut, (0, 0), 25)
    return np.clip(cut * share + around * (1 - share), 0, 255).astype(np.uint8)


class Speaking:
    """One portrait [h w 3] that says `speech` [s] at 16 kHz, in whole clips, by the family's own parts."""

    def __init__(
        self,
        picture: NDArray[np.uint8],
        speech: torch.Tensor,
        weights: str,
        size: int,
        text: str | None = None,
        hints: Hints = NO_HINTS,
    ) -> None:
        """`size`: of the film's shorter edge, in pixels."""
        prepare, self._chain, self._upscale = (
            load_part(PHOTO, part, weights, "cpu") for part in ("prepare", "chain", "upscale")
        )
        self.given, _ = prepare.conditioning(picture, BASE, hints)
        self.given |= {"pixels": picture}
        self.length = len(speech) // SAMPLES_A_FRAME // CLIP * CLIP
        wave = speech[: self.length * SAMPLES_A_FRAME].numpy()
        heard = prepare.features(wave, 0, self.length, 0, 0, speech_level([wave]))
        reach = PHOTO.feature_reach
        self._heard = np.concatenate([heard[:1].repeat(reach, 0), heard, heard[-1:].repeat(reach, 0)])
        self._text = text
        height, width = picture.shape[:2]
        scale = size / min(height, width)
        self.shape = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
        self._options = replace(PictureOptions(BASE, size, 0.5, "x2"), film=self.shape)

    def clips(self) -> Iterator[NDArray[np.float16]]:
        """What the chain commits of one clip after another [16, 3, h, w]."""
        state, reach = self._chain.start(self.given, 0, BASE), PHOTO.feature_reach
        for clip in range(self.length // CLIP):
            heard = self._heard[clip * CLIP : (clip + 1) * CLIP + 2 * reach]
            lane = Lane(0, clip, self.given, state, heard, self._text, ClipOptions(1, 1.0, BASE))
            ((latents, state),) = self._chain.next_clip([lane])
            yield latents

    def planes(self, latents: NDArray[np.float16], places: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
        """Planes of some frames of a clip."""
        window = self._upscale.decode(latents, self._options, self.given)
        for frame in self._upscale.restore(window, places, self.given, self._options):
            yield self._upscale.planes(frame)


def film(
    picture: NDArray[np.uint8],
    speech: torch.Tensor,
    weights: str,
    size: int,
    text: str | None = None,
    places: range | None = None,
    hints: Hints = NO_HINTS,
) -> tuple[Iterator[NDArray[np.uint8]], tuple[int, int]]:
    """Planes of every frame, or of those at `places`, and width and height."""
    title = Speaking(picture, speech, weights, size, text, hints)

    def planes() -> Iterator[NDArray[np.uint8]]:
        for clip, latents in enumerate(title.clips()):
            wanted = range(CLIP) if places is None else [one - clip * CLIP for one in places if one // CLIP == clip]
            yield from title.planes(latents, wanted)

    return planes(), title.shape


def shown(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Planes of a frame [3 h / 2, w] -> [h w 3], red first, as a player shows them."""
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def write(target: Path, planes: Iterator[NDArray[np.uint8]], size: tuple[int, int]) -> None:
    """H.264 at crf 14, its colours told as a render tells them."""
    with av.open(str(target), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "14"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.color_range, stream.codec_context.colorspace = 1, 1
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 1, 1
        for one in planes:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(one, format="yuv420p")))
        file.mux(stream.encode())


def speaking(
    faces: Path, weights: str, split: Split | str, speech: Path, people: int, size: int, folder: Path
) -> Iterator[tuple[str, Path, Path]]:
    """Name, film and portrait of one person after another, each in another framing; both are written to `folder`."""
    wave = read_recording(speech)
    for number, one in enumerate(portraits_of(faces, split, movable=True)[:people]):  # type: ignore[arg-type]
        picture = framed(one, FRAMINGS[number % len(FRAMINGS)])
        place = folder / one.name
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / "portrait.png")
        planes, shape = film(picture, wave, weights, size)
        write(place / "film.mp4", planes, shape)
        yield one.name, place / "film.mp4", place / "portrait.png"


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of every figure its median, least and largest."""
    names = [name for name, value in rows[0].items() if isinstance(value, int | float) and not isinstance(value, bool)]
    found = {}
    for name in names:
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            found[name] = {"median": float(np.median(values)), "least": min(values), "most": max(values)}
    return found
