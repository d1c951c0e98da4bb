"""Takes as latents and features, many at a time: what a step of the chain's training draws its clips from.

Shapes: n clips of a batch, f frames, m motion frames, p portraits, c h w latents, l tokens of a level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor

from models.autoencoder.vae import Vae
from models.data import takes
from models.data.takes import Take
from models.families.network_config import NetworkConfig
from models.image.masks import Box, motion_masks, region_mask
from models.image.sending import sent
from models.prompts.prompts import Prompts
from models.speech.spectrum import SAMPLES_A_FRAME, heard
from models.speech.wav2vec import audio_windows

CELLS = 4  # a side, of the latents that stand in for a face embedding
LIPS, EYES = 4.0, 3.0  # how much more than the background a latent counts there
FACE_GROWN, LIPS_GROWN = (1.0, 1.25), (1.0, 2.0)  # boxes that users and detectors give are not all alike
THIRD = 0.3  # share of clips whose lips are taken to be the lower third of the face
ENCODED_AT_ONCE = 8


@dataclass(frozen=True)
class Talk:
    """A take, as its family's networks see it."""

    latents: Tensor  # [f c h w], half precision
    portraits: Tensor  # [p c h w]
    features: Tensor  # [before + f + after, layers, width]
    before: int
    face_boxes: Tensor
    lip_boxes: Tensor
    importance: Tensor  # [f h w]
    prompt: str
    name: str = ""
    embedding: Tensor | None = None  # [e]


@dataclass(frozen=True)
class Examples:
    """A batch of clips, and the frames around them."""

    latents: Tensor  # [n f c h w]
    motion: Tensor  # [n m c h w]
    reference: Tensor  # [n c h w]
    audio: Tensor  # [n f window layers width]
    region: Tensor  # [n 3 H W]
    masks: tuple[tuple[Tensor, ...], ...]
    face_embedding: Tensor  # [n e]
    prompt: Tensor  # [n e]
    prompted: Tensor  # [n]
    importance: Tensor  # [n f h w]


class Pool:
    """Every take of a folder. Latents and features are kept beside the takes, so they are made once."""

    def __init__(
        self, folder: Path, vae: Vae, vae_file: Path, config: NetworkConfig, device: torch.device,
        hear: Callable[[Tensor], Tensor] | None = None, prompts: Prompts | None = None,
    ) -> None:  # fmt: skip
        """`hear`: speech of whole frames -> features [f layers width]; `models.speech.spectrum.heard`, if not given."""
        self.config, self.device = config, device
        # Takes may be drawn as small as the autoencoder would make them.
        self._scale = config.vae.factor // vae.config.factor
        made_by = vae_file.read_bytes() + repr(config.chain.audio_projection).encode()
        cache = folder / f"latents-{hashlib.sha256(made_by).hexdigest()[:12]}"
        self.talks = [_talk(path, cache, vae, device, hear or heard) for path in takes.paths(folder)]
        self.kept = cache
        assert config.text is not None
        self._prompts = prompts or Prompts(config.text.embedding_width)

    def draw(self, number: int, frames: int, generator: Generator) -> list[tuple[int, list[int]]]:
        """Talks, and `frames` consecutive frames of each: places that leave room for the motion frames."""
        lead = self.config.chain.motion_frames
        chosen = []
        for _ in range(number):
            talk = int(torch.randint(len(self.talks), (), generator=generator))
            room = len(self.talks[talk].latents) - frames - lead
            if room < 0:
                raise ValueError(f"a take has {len(self.talks[talk].latents)} frames: a clip needs {frames + lead}")
            start = lead + int(torch.randint(room + 1, (), generator=generator))
            chosen.append((talk, list(range(start, start + frames))))
        return chosen

    def scattered(self, number: int, frames: int, generator: Generator) -> list[tuple[int, list[int]]]:
        """Talks, and `frames` frames of each from anywhere."""
        chosen = []
        for _ in range(number):
            talk = int(torch.randint(len(self.talks), (), generator=generator))
            length = len(self.talks[talk].latents)
            chosen.append((talk, torch.randint(length, (frames,), generator=generator).tolist()))
        return chosen

    def groups(self) -> list[list[int]]:
        """Talks of the same person at the same moment: `drawn_takes --every-prompt`."""
        found: dict[str, list[int]] = {}
        for number, talk in enumerate(self.talks):
            found.setdefault(talk.name.rpartition("-")[0], []).append(number)
        return list(found.values())

    def examples(
        self, chosen: list[tuple[int, list[int]]], generator: Generator, *, start: float = 0.0, alike: int = 1
    ) -> Examples:
        """The clips at given places. `start`: share of clips that begin a title, the portrait before them.

        Each `alike` clips in a row are given the same portrait and boxes, and all of them begin a title, or none.
        """
        radius, lead = self.config.chain.audio_projection.radius, self.config.chain.motion_frames
        rows = []
        state = generator.get_state()
        for row, (number, places) in enumerate(chosen):
            if row % alike == 0:
                state = generator.get_state()
            generator.set_state(state)
            talk = self.talks[number]
            which = int(torch.randint(len(talk.portraits), (), generator=generator))
            reference = talk.portraits[which]
            before = talk.latents[[max(places[0] - lead + m, 0) for m in range(lead)]]
            if float(torch.rand((), generator=generator)) < start:
                before = reference.expand_as(before)
            windows = audio_windows(talk.features, 0, len(talk.features), radius=radius)
            boxes = self._boxes(talk, which, generator)
            rows.append(
                (talk.latents[places], before, reference, windows[[talk.before + place for place in places]],
                 *boxes, self._prompts([talk.prompt])[0], talk.prompt != "", talk.importance[places])
            )  # fmt: skip

        def stack(values: list[Tensor]) -> Tensor:
            return sent(torch.stack(values), self.device).float()

        latents, motion, references, audio, region, masks, prompt, prompted, weight = zip(*rows, strict=True)
        reference = stack(list(references))
        return Examples(
            latents=stack(list(latents)),
            motion=stack(list(motion)),
            reference=reference,
            audio=stack(list(audio)),
            region=stack(list(region)),
            masks=tuple(
                tuple(stack([row[kind][level] for row in masks]) for level in range(len(masks[0][0])))
                for kind in range(3)
            ),
            face_embedding=self._identity(reference, [self.talks[number] for number, _ in chosen]),
            prompt=stack(list(prompt)),
            prompted=sent(torch.tensor(prompted), self.device),
            importance=stack(list(weight)),
        )

    def _identity(self, reference: Tensor, talks: list[Talk]) -> Tensor:
        """What the image tokens are made of [n e]: zeros for a face whose embedding is not known."""
        if self.config.identity == "pooled_latents":
            return F.adaptive_avg_pool2d(reference, CELLS).flatten(1)
        width = self.config.chain.image_projection.embedding_width
        known = [torch.zeros(width) if talk.embedding is None else talk.embedding for talk in talks]
        return sent(torch.stack(known), self.device).float()

    def _boxes(self, talk: Talk, which: int, generator: Generator) -> tuple[Tensor, tuple[tuple[Tensor, ...], ...]]:
        """Region mask and motion masks, the boxes as unsteady as those that users give."""
        size = talk.latents.shape[-1] * self.config.vae.factor
        face_box, lip_box = talk.face_boxes[which] * self._scale, talk.lip_boxes[which] * self._scale
        unet = self.config.chain.unet
        face_grown, lips_grown, third = torch.rand(3, generator=generator).tolist()
        face = _grown(face_box, FACE_GROWN, face_grown, size)
        lips = _grown(lip_box, LIPS_GROWN, lips_grown, size)
        if third < THIRD:
            lips = Box(face.x0, face.y1 - face.height / 3, face.x1, face.y1)
        side = size // (self.config.vae.factor * unet.patch)
        masks = motion_masks(face, lips, size, size, side, len(unet.channels))
        region = torch.from_numpy(region_mask(face, size, size, size))
        return region, tuple(tuple(torch.from_numpy(level)[0] for level in kind) for kind in masks)


def _grown(box: Tensor, limits: tuple[float, float], share: float, size: int) -> Box:
    x0, y0, x1, y1 = box.tolist()
    more = (limits[0] + (limits[1] - limits[0]) * share - 1) / 2
    wide, high = (x1 - x0) * more, (y1 - y0) * more
    low, top = max(x0 - wide, 0.0), max(y0 - high, 0.0)
    return Box(low, top, max(min(x1 + wide, size), low + 2), max(min(y1 + high, size), top + 2))


def _talk(path: Path, cache: Path, vae: Vae, device: torch.device, hear: Callable[[Tensor], Tensor]) -> Talk:
    stored = cache / path.name
    take: Take | None = None
    if not stored.exists():
        take = takes.read(path)
        cache.mkdir(exist_ok=True)
        fresh = stored.with_suffix(".part")
        made = {
            "latents": _encoded(take.frames, vae, device),
            "portraits": _encoded(take.portraits, vae, device),
            "features": _features(take.speech, hear),
            "importance": _importance(take, vae.config.factor).half(),
            "face_boxes": take.face_boxes,
            "lip_boxes": take.lip_boxes,
        }
        if take.embedding is not None:
            made["embedding"] = take.embedding
        save_file(made, fresh, {"prompt": take.prompt, "before": str(take.before)})
        fresh.rename(stored)
    tensors = load_file(stored)
    facts = takes.facts(stored)
    return Talk(
        **{name: tensors[name] for name in ("latents", "portraits", "features", "importance")},
        before=int(facts["before"]),
        face_boxes=tensors["face_boxes"],
        lip_boxes=tensors["lip_boxes"],
        prompt=facts["prompt"],
        name=path.stem,
        embedding=tensors.get("embedding"),
    )


@torch.no_grad()
def _encoded(pictures: Tensor, vae: Vae, device: torch.device) -> Tensor:
    """uint8 [n 3 s s] -> latents [n c h w] in half precision."""
    parts = []
    for group in pictures.split(ENCODED_AT_ONCE):
        with torch.autocast(device.type, torch.bfloat16):
            parts.append(vae.encode(group.to(device).float() / 127.5 - 1).half().cpu().contiguous())
    return torch.cat(parts)


@torch.no_grad()
def _features(speech: Tensor, hear: Callable[[Tensor], Tensor]) -> Tensor:
    return hear(speech[: len(speech) // SAMPLES_A_FRAME * SAMPLES_A_FRAME]).half().cpu().contiguous()


def _importance(take: Take, factor: int) -> Tensor:
    """How much every latent of every frame counts [f h w]: 1, more at the lips and the eyes."""
    size = take.frames.shape[-1]
    weights = np.ones((len(take.frames), size // factor, size // factor), np.float32)
    for frame, boxes in enumerate((take.fine_boxes / factor).tolist()):
        for number, (x0, y0, x1, y1) in enumerate(boxes):
            rows = slice(int(max(y0, 0)), int(y1) + 1)
            columns = slice(int(max(x0, 0)), int(x1) + 1)
            more = LIPS if number == 0 else EYES
            weights[frame, rows, columns] = np.maximum(weights[frame, rows, columns], more)
    return torch.from_numpy(weights)
