"""What the published scripts do around the networks: their windows, tail rule, noise order and batches of clips.

A render uses the pipeline's own grid and keyed noise (see docs/architecture.md). These pure functions are for
comparing with results of the published scripts, quirks included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.diffusion.motion_frames import patch_drop
from models.faces.detection import choose_faces
from models.faces.paste import parsed_mask, paste
from models.image.alignment import crop_face, landmark_matrix, published_inverse
from models.image.resample import enlarge_lanczos4
from models.parts.clip_noise import SEED, draw_clip
from models.restoration.background import double
from models.speech.wav2vec import SAMPLES_A_FRAME, frame_count, published_padding

CLIP = 16
CLIPS_A_FILE = 60
LEAST_SIDE = 512  # the high-resolution script first enlarges smaller pictures to this

Images = Callable[[Tensor], Tensor]


class ReadWindow(NamedTuple):
    """Frames [start, stop) are read, those from `keep` on are written."""

    start: int
    stop: int
    keep: int


def upscale_windows(frames: int, length: int = 16, overlap: int = 4, drop_last: bool = True) -> list[ReadWindow]:
    """The high-resolution script's windows: each but the first discards what it shares with its predecessor.

    `drop_last`: the script never writes a video's last frame.
    """
    end = frames - 1 if drop_last else frames
    starts = range(0, max(end - overlap, 1), length - overlap)
    return [ReadWindow(s, min(s + length, end), s + overlap if s else 0) for s in starts]


def least_size(height: int, width: int) -> tuple[int, int]:
    """Height and width after enlarging the smaller side to 512; unchanged if it is as large already."""
    scale = max(LEAST_SIDE / min(height, width), 1.0)
    return round(height * scale), round(width * scale)


def upscale_frames(
    frames: Tensor, found: list[Tensor], restore: Images, double: Images, labels: Images, scale: int
) -> Iterator[Tensor]:
    """The high-resolution script's loop: frames [n, 3, h, w] uint8 -> written frames [3, scale * h, scale * w] uint8.

    `found` are each frame's landmarks, best score first. `restore` maps crops [f, 3, 512, 512] in [-1, 1] to the
    same; `double` enlarges a picture [3, h, w] in 0..1 `scale` times; `labels` parses a restored crop [3, 512, 512].
    A window whose first frame has no face cannot be restored: its frames come out enlarged only.
    """
    for start, stop, keep in upscale_windows(len(frames)):
        chosen = choose_faces(found[start:stop], "published")
        if chosen[0] is None:
            yield from (to_bytes(double(frame / 255)) for frame in frames[keep:stop])
            continue
        matrices = [landmark_matrix(points) for points in chosen if points is not None]
        crops = [
            to_bytes(crop_face(frame / 255, matrix, LEAST_SIDE))
            for frame, matrix in zip(frames[start:stop], matrices, strict=True)
        ]
        restored = to_bytes((restore(torch.stack(crops) / 255 * 2 - 1) + 1) / 2)
        for place in range(keep - start, stop - start):
            face = restored[place] / 255
            back = published_inverse(matrices[place], scale, face_enlarged=True)
            picture = double(frames[start + place] / 255)
            pasted = paste(picture, double(face), back, scale, parsed_mask(labels(face)))
            yield (pasted * 255 + 1e-3).to(torch.uint8)  # cut, not rounded


@torch.inference_mode()
def enhance_published(net: nn.Module, image: Tensor, scale: float, tile: int = 0, pad: int = 40) -> Tensor:
    """One x2 pass, rounded to 8 bits, then Lanczos to `scale`, as the published script does at any scale.

    image [3, h, w] uint8 RGB -> [3, h * scale, w * scale] uint8.
    """
    doubled = to_bytes(double(net, image[None] / 255, tile, pad)[0])
    if scale == 2:
        return doubled
    target = (int(image.shape[-2] * scale), int(image.shape[-1] * scale))
    return to_bytes(enlarge_lanczos4(doubled[None] / 255, target)[0])


def to_bytes(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


class Cut(NamedTuple):
    frames: int  # of video, with the silence
    silence: int  # samples appended after normalisation


def audio_cuts(samples: list[int], clip: int = CLIP) -> list[Cut]:
    """The audio script's frame counts of the cuts of one file; only the last is padded (see `published_padding`)."""
    cuts: list[Cut] = []
    before = 0
    for index, length in enumerate(samples):
        frames = frame_count(length)
        extra = published_padding(frames, before, clip) if index == len(samples) - 1 else 0
        cuts.append(Cut(frames + extra, extra * SAMPLES_A_FRAME))
        before += frames
    return cuts


class ClipInput(NamedTuple):
    images: Tensor  # [1 + m, 3, S, S] in [-1, 1]: the portrait, then the motion frames after the patch drop
    noise: Tensor  # [1, 4, 16, S/8, S/8]


def run_clips(
    portrait: Tensor,
    region: Tensor,
    clips: int,
    render: Callable[[int, ClipInput], Tensor],
    dtype: torch.dtype = torch.float16,
    motion_frames: int = 2,
    rate: float = 0.25,
) -> Iterator[Tensor]:
    """The published loop over clips: portrait and region [3, S, S] -> each clip's video [16, 3, S, S] in 0..1.

    `render` makes the video of clip k from its input. The region is never dropped from the motion frames.
    """
    generator = torch.Generator().manual_seed(SEED)
    size = portrait.shape[-1]
    motion = portrait.expand(motion_frames, -1, -1, -1)
    for number in range(clips):
        uniform, noise = draw_clip(generator, size, (1, 4, CLIP, size // 8, size // 8), dtype)
        dropped = patch_drop(motion, uniform, rate, region)
        video = render(number, ClipInput(torch.cat([portrait[None], dropped]), noise))
        motion = video[-motion_frames:] * 2 - 1
        yield video


class File(NamedTuple):
    clip: int  # number of the clip after the last, which the file's name carries
    start: int  # first frame
    frames: int


def written_files(frames: int, clips: int, clip: int = CLIP, batch: int = CLIPS_A_FILE) -> list[File]:
    """The files that the published loop writes on its way: `batch` clips each, cut to the sound's `frames`."""
    ends = [*range(batch, clips, batch), clips]
    starts = [0, *ends[:-1]]
    return [
        File(end, start * clip, min(end * clip, frames) - start * clip) for start, end in zip(starts, ends, strict=True)
    ]
