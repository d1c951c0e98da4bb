"""Takes of moved photographs as tensors: what a step of `movement`'s training draws its frames from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.autoencoder.vae import Vae
from models.data import takes
from models.data.takes import MOVED_SIDE, Take
from models.diffusion.movement import LATENTS_SIDE, NUMBERS, windows
from models.families.config import MovementConfig
from models.families.vocabulary import asked
from models.puppet.face_map import face_map
from models.puppet.topology import CONTOURS
from models.puppet.track import Track
from models.speech.spectrum import SAMPLES_A_FRAME, heard, levelled

assert tuple(field.name for field in fields(Track)) == NUMBERS
OPEN, SHUT = 2.0, 3.0  # how much oftener frames with an open mouth, and with falling lids, are drawn


@dataclass(frozen=True)
class MovedTalk:
    latents: Tensor  # [8 h w]
    maps: Tensor  # [9 h w]
    contours: Tensor  # [58 2] the portrait's own
    heard: Tensor  # [before + f + after, rows, bands]
    before: int
    flow: Tensor  # [f 2 h w] half precision
    hole: Tensor  # [f h w]
    moved: Tensor  # [f 58 2]
    numbers: Tensor  # [f 19]
    prompt: Tensor  # [10] what was asked for
    chance: Tensor  # [f] of being drawn

    def __len__(self) -> int:
        return len(self.flow)


def own_contours(landmarks: Tensor) -> Tensor:
    """Landmarks [478 2 or 3] -> contours of lips and lids [58 2]."""
    return landmarks[list(CONTOURS), :2]


@torch.no_grad()
def talk(take: Take, vae: Vae) -> MovedTalk:
    """Raises ValueError for a take of something that no puppet moved."""
    movement = take.movement
    if movement is None or take.truth is None:
        raise ValueError(f"take {take.name} holds no movement: `python -m models.data.puppet_takes` writes such takes")
    speech = take.speech[: len(take.speech) // SAMPLES_A_FRAME * SAMPLES_A_FRAME]
    picture = F.avg_pool2d(take.portraits[:1].float() / 127.5 - 1, take.portraits.shape[-1] // LATENTS_SIDE)
    truth = take.truth.float()
    opening, blink = (truth[:, NUMBERS.index(name)] for name in ("opening", "blink"))
    return MovedTalk(
        latents=vae.encode(picture)[0].float(),
        maps=torch.from_numpy(face_map(movement.landmarks.double().numpy(), MOVED_SIDE)),
        contours=own_contours(movement.landmarks),
        heard=heard(levelled(speech)),  # how far a mouth opens is told by how loud a title is made
        before=take.before,
        flow=movement.flow.half(),
        hole=movement.hole,
        moved=torch.cat([movement.lips.flatten(1, 2), movement.lids.flatten(1, 3)], 1),
        numbers=truth,
        prompt=torch.tensor(asked(take.prompt)),
        chance=0.5 + OPEN * opening + SHUT * (blink > 0),
    )


class MovementPool:
    def __init__(self, folder: Path, vae: Vae, config: MovementConfig) -> None:
        """Every take of a folder; pictures as large as the autoencoder makes them."""
        self.config = config
        self.talks = [talk(take, vae) for take in takes.read_all(folder)]

    def draw(self, people: int, frames: int, generator: Generator) -> dict[str, Tensor]:
        """`frames` frames of each of `people` takes."""
        chosen = [int(torch.randint(len(self.talks), (), generator=generator)) for _ in range(people)]
        places = [torch.multinomial(self.talks[one].chance, frames, generator=generator).tolist() for one in chosen]
        return self.rows(chosen, places)

    def rows(self, chosen: list[int], places: list[list[int]]) -> dict[str, Tensor]:
        """Fields of takes [p …], and of the frames at `places` of each, one take after the other [n …]."""
        held = [self.talks[one] for one in chosen]
        found = {
            name: torch.stack([getattr(one, name) for one in held])
            for name in ("latents", "maps", "contours", "prompt")
        }
        for name in ("flow", "hole", "moved", "numbers"):
            found[name] = torch.cat([getattr(one, name)[at] for one, at in zip(held, places, strict=True)]).float()
        found["heard"] = torch.cat(
            [
                windows(one.heard, [one.before + place for place in at], self.config)
                for one, at in zip(held, places, strict=True)
            ]
        )
        found["of"] = torch.tensor([row for row, at in enumerate(places) for _ in at])
        return found
