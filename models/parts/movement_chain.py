"""The part that tells how a photograph moves: clip after clip, each from the lids and the prompt of the one before.

What it commits of a frame is in `models.diffusion.movement_record`. Of a title's seed nothing comes but
when lids close while nobody speaks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.diffusion.lips_meet import AROUND, parted, with_lips
from models.diffusion.movement import (
    LIP_POINTS,
    LONGEST_GAP,
    NUMBERS,
    SIDE,
    BlinkState,
    Looked,
    Moved,
    MovementNet,
    blinks,
    windows,
)
from models.diffusion.movement_record import recorded
from models.families.noise_keys import noise_key
from models.families.protocol import Arrays, ClipOptions, Family, Lane
from models.families.vocabulary import ASKED, EXPRESSION_WORDS, asked
from models.parts.part import Part
from models.parts.photograph import Seen, look_at
from models.puppet.parted_lips import PartedLips
from models.puppet.teeth import width_of_mouth

CLIP = 16
CHANGES = 14  # frames in which a prompt comes to be seen, and goes
NO_SMILE, SMILE = 1.15, 1.3  # width of a mouth, of one at rest, up to which there is none, and from which it is whole
OPENING = NUMBERS.index("opening")
BEGINS = 6  # frames in which the portrait begins to move


class MovementChain(Part):
    remade: frozenset[int] = frozenset()

    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        self._network: MovementNet = self.ready("movement")
        self._vae = self.ready("vae")
        self._looked: tuple[bytes, tuple[Seen, PartedLips]] | None = None  # of the last portrait

    def arithmetic(self, options: ClipOptions, lanes: int) -> dict[str, Any]:
        return {}

    def start(self, conditioning: Arrays, seed: int, base_size: int) -> Arrays:
        """`blink` [2]: frames since the last, whether lids were to be shut; `prompt` [10]: what is shown of it."""
        rest = BlinkState()
        return {
            "blink": np.array([rest.since, rest.shut], np.int32),
            "prompt": np.array(_as_in_the_portrait(conditioning), np.float32),
        }

    def sample(self, seed: int, options: ClipOptions) -> Lane:
        """A made-up input, as the self-test of lanes takes it."""
        random, size = np.random.default_rng(seed), options.base_size
        conditioning = {
            "portrait": random.standard_normal((3, size, size), np.float32).clip(-1, 1),
            "landmarks": (random.random((478, 3), np.float32) * 0.5 + 0.25) * size,
        }
        config = self._network.config
        heard = CLIP + 2 * self.family.feature_reach
        features = random.standard_normal((heard, config.rows, config.bands), np.float32)
        return Lane(seed, 0, conditioning, self.start(conditioning, seed, size), features, None, options)

    @torch.inference_mode()
    def next_clip(self, lanes: list[Lane | None]) -> list[tuple[np.ndarray, Arrays] | None]:
        """One clip of every lane, one after the other."""
        return [None if lane is None else self._clip(lane) for lane in lanes]

    def _clip(self, lane: Lane) -> tuple[np.ndarray, Arrays]:
        (looked, latents, own), lips = self._look(lane.conditioning)
        config, first = self._network.config, lane.clip * CLIP
        features = torch.from_numpy(lane.features).to(self.device)
        reach = self.family.feature_reach
        if lane.clip == 0:
            features = features[reach:]  # before the first frame there is silence, not the first frame again
        since_clip = 0 if lane.clip == 0 else reach
        heard = windows(features, [since_clip + place for place in range(-AROUND, CLIP + AROUND)], config)
        shown = _changing(lane.state["prompt"], _wanted(lane))
        prompts = torch.from_numpy(np.pad(shown, ((AROUND, AROUND), (0, 0)), mode="edge")).to(self.device)
        codes = self._network.hear(heard, prompts)
        codes = self._network.calmer(codes)
        share_parted = parted(self._network.told(codes)[0][:, OPENING].cpu())
        codes = codes[AROUND:-AROUND]
        moved = self._network(
            Looked(*(field.expand(CLIP, *field.shape[1:]) for field in looked)), latents.expand(CLIP, -1, -1, -1), codes
        )
        moved = type(moved)(*(field.float().cpu() for field in moved))
        moved = moved._replace(contours=_closing(moved, lips, share_parted))
        since, shut = lane.state["blink"].tolist()
        longest = LONGEST_GAP - noise_key(lane.seed, "blink", lane.clip) % (LONGEST_GAP // 2)
        closed, state = blinks(moved.blink, BlinkState(since, bool(shut)), longest)
        share = (torch.arange(first, first + CLIP) / BEGINS).clamp(0, 1)
        committed = recorded(moved, closed, own, share)
        return committed.numpy(), {
            "blink": np.array([state.since, state.shut], np.int32),
            "prompt": shown[-1].copy(),
        }

    def _look(self, conditioning: Arrays) -> tuple[Seen, PartedLips]:
        key = conditioning["portrait"].tobytes() + conditioning["landmarks"].tobytes()
        if self._looked is None or self._looked[0] != key:
            pixels = torch.from_numpy(conditioning["portrait"]).to(self.device)
            landmarks, side = conditioning["landmarks"].astype(np.float64), pixels.shape[-1]
            seen = look_at(self._network, self._vae, pixels, landmarks)
            self._looked = key, (seen, PartedLips(landmarks * (SIDE / side), SIDE))
        return self._looked[1]


def _closing(moved: Moved, lips: PartedLips, share: Tensor) -> Tensor:
    """Contours [n 58 2] with lips that close, also of an open portrait; `share` [n]: how much of a parting stays."""
    told = torch.from_numpy(lips.contours(moved.numbers.double().numpy(), moved.lips.double().numpy())).float()
    return torch.cat([with_lips(told, share).flatten(1, 2), moved.contours[:, LIP_POINTS:]], 1)


def _wanted(lane: Lane) -> tuple[float, ...]:
    """What a prompt asks for; of expressions what the portrait shows, where it asks for none."""
    wanted = asked(lane.text)
    if any(wanted[ASKED.index(name)] for name in EXPRESSION_WORDS):
        return wanted
    return tuple(max(pair) for pair in zip(wanted, _as_in_the_portrait(lane.conditioning), strict=True))


def _as_in_the_portrait(conditioning: Arrays) -> tuple[float, ...]:
    """Whoever smiles in the portrait goes on smiling: corners that go back to rest make another face of theirs."""
    wide = width_of_mouth(conditioning["landmarks"].astype(np.float64))
    smile = min(max((wide - NO_SMILE) / (SMILE - NO_SMILE), 0.0), 1.0)
    return tuple(smile * (name == "smile") for name in ASKED)


def _changing(before: np.ndarray, wanted: tuple[float, ...]) -> np.ndarray:
    """What is shown of a prompt, frame by frame [16 10], on its way from `before` to what is asked for."""
    away = np.array(wanted, np.float32) - before
    steps = np.arange(1, CLIP + 1, dtype=np.float32)[:, None] / CHANGES
    return (before + np.sign(away) * np.minimum(np.abs(away), steps)).astype(np.float32)
