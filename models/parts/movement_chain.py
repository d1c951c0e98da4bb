"""The part that tells how a photograph moves: clip after clip, each from the lids and the prompt of the one before.

What it commits of a frame is in `models.diffusion.movement_record`. Of a title's seed nothing comes but
when lids close while nobody speaks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.diffusion.lips_meet import AROUND, parted, with_lips
from models.diffusion.movement import (
    CELLS,
    LIP_POINTS,
    LONGEST_GAP,
    NUMBERS,
    SIDE,
    BlinkState,
    Looked,
    Moved,
    MovementNet,
    at_points,
    blinks,
    border,
    windows,
)
from models.diffusion.movement_record import recorded
from models.families.noise_keys import noise_key
from models.families.protocol import Arrays, ClipOptions, Family, Lane, Made
from models.families.vocabulary import ASKED, EXPRESSION_WORDS, asked
from models.parts.movement_look import look
from models.parts.part import Part
from models.parts.photograph import Seen, look_at
from models.puppet.expressed import Expressed
from models.puppet.parted_lips import PartedLips
from models.puppet.teeth import width_of_mouth
from models.puppet.topology import CONTOURS

CLIP = 16
CHANGES = 14  # frames in which a prompt comes to be seen, and goes
NO_SMILE, SMILE = 1.15, 1.3  # width of a mouth, of one at rest, up to which there is none, and from which it is whole
EXPRESSIONS = np.array([name in EXPRESSION_WORDS for name in ASKED])
ROUNDS = 3  # in which an expression's flow comes nearer to what it is to be: its cells are coarse
KEPT = 0.7  # of a smile that is asked for: the portrait has one already
OPENING = NUMBERS.index("opening")
BEGINS = 6  # frames in which the portrait begins to move


class _Face(NamedTuple):
    seen: Seen
    lips: PartedLips
    expressed: Expressed


class MovementChain(Part):
    remade: frozenset[int] = frozenset()

    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        self._network: MovementNet = self.ready("movement")
        self._encoder = self.ready("encoder")
        self._face: tuple[bytes, _Face] | None = None  # of the last portrait

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

    def look(self, made: Made) -> dict[str, float]:
        return look(made)

    def joined(self, before: Arrays, latents: np.ndarray) -> np.ndarray:
        """As they are: a frame's movement follows from its sound, and goes on from any state without a jump."""
        return latents

    def _clip(self, lane: Lane) -> tuple[np.ndarray, Arrays]:
        face = self._look(lane.conditioning)
        config, first = self._network.config, lane.clip * CLIP
        features = torch.from_numpy(lane.features).to(self.device)
        reach = self.family.feature_reach
        if lane.clip == 0:
            features = features[reach:]  # before the first frame there is silence, not the first frame again
        since_clip = 0 if lane.clip == 0 else reach
        heard = windows(features, [since_clip + place for place in range(-AROUND, CLIP + AROUND)], config)
        shown = _changing(lane.state["prompt"], _wanted(lane))
        moved, opening = self._moved(face, heard, shown)
        plain = np.where(EXPRESSIONS, np.array(_as_in_the_portrait(lane.conditioning), np.float32), shown)
        if np.abs(shown - plain).max() > 1e-6:
            moved = _expressed(moved, self._moved(face, heard, plain)[0], face.expressed)
        moved = moved._replace(contours=_closing(moved, face.lips, parted(opening)))
        since, shut = lane.state["blink"].tolist()
        longest = LONGEST_GAP - noise_key(lane.seed, "blink", lane.clip, lane.attempt) % (LONGEST_GAP // 2)
        closed, state = blinks(moved.blink, BlinkState(since, bool(shut)), longest)
        share = (torch.arange(first, first + CLIP) / BEGINS).clamp(0, 1)
        committed = recorded(moved, closed, face.seen.contours, share)
        return committed.numpy(), {
            "blink": np.array([state.since, state.shut], np.int32),
            "prompt": shown[-1].copy(),
        }

    def _moved(self, face: _Face, heard: Tensor, shown: np.ndarray) -> tuple[Moved, Tensor]:
        """How a portrait moves in a clip whose frames, and AROUND before and after, hear so and show so much of prompts
        [16 10]; and how far it is told to open its mouth in all these."""
        prompts = torch.from_numpy(np.pad(shown, ((AROUND, AROUND), (0, 0)), mode="edge")).to(self.device)
        codes = self._network.calmer(self._network.hear(heard, prompts.float()))
        looked = Looked(*(field.expand(CLIP, *field.shape[1:]) for field in face.seen.looked))
        latents = face.seen.latents.expand(CLIP, -1, -1, -1)
        moved = self._network(looked, latents, codes[AROUND:-AROUND])
        opening = self._network.told(codes)[0][:, OPENING]
        return Moved(*(field.float().cpu() for field in moved)), opening.cpu()

    def _look(self, conditioning: Arrays) -> _Face:
        key = conditioning["portrait"].tobytes() + conditioning["landmarks"].tobytes()
        if self._face is None or self._face[0] != key:
            pixels = torch.from_numpy(conditioning["portrait"]).to(self.device)
            landmarks = conditioning["landmarks"].astype(np.float64)
            seen = look_at(self._network, self._encoder.encode, pixels, landmarks)
            told = landmarks * (SIDE / pixels.shape[-1])
            self._face = key, _Face(seen, PartedLips(told, SIDE), Expressed(told, SIDE, CELLS))
        return self._face[1]


def _expressed(moved: Moved, without: Moved, portrait: Expressed) -> Moved:
    """The same, brows, lids and mouth as far as the expression asks for that `without` does not have."""
    wanted, plain = (portrait.movement(one.numbers.double().numpy()) for one in (moved, without))
    points = torch.from_numpy(portrait.points).float().expand(CLIP, -1, -1)
    flow = moved.flow
    for _ in range(ROUNDS):
        made = (at_points(without.flow, points) - at_points(flow, points)).numpy()
        flow = flow + torch.from_numpy(portrait.flow(wanted - plain - made)) * border(flow)
    bent = torch.from_numpy((wanted - plain)[:, list(CONTOURS)]).float() - (moved.contours - without.contours)
    return moved._replace(flow=flow, contours=moved.contours + bent)


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
    return tuple(KEPT * smile * (name == "smile") for name in ASKED)


def _changing(before: np.ndarray, wanted: tuple[float, ...]) -> np.ndarray:
    """What is shown of a prompt, frame by frame [16 10], on its way from `before` to what is asked for."""
    away = np.array(wanted, np.float32) - before
    steps = np.arange(1, CLIP + 1, dtype=np.float32)[:, None] / CHANGES
    return (before + np.sign(away) * np.minimum(np.abs(away), steps)).astype(np.float32)
