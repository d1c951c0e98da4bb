"""Stage `expression`: the network that names what a face expresses, beside a portrait of the same person.

Pictures are drawn once, into a pool: of every person a portrait at rest and a few moments of speech, each with one of
the expressions. Every step takes some of them, blurred and noisy as rendered ones are, shifted a little.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.data.portrait_crops import People, tiled
from models.drawn.expressions import HEAD_POSES
from models.drawn.motion import PITCH, ROLL, SCALE, SHIFT, YAW
from models.drawn.pose import Pose, pose
from models.drawn.splits import Split
from models.drawn.truth import face_box
from models.measures.expression_reader import ExpressionReader, square
from models.measures.face_reader import EXPRESSIONS
from models.training.face import expressive
from models.training.options import read_options
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch

SHIFTED = 3  # pixels to each side
COARSEST = 2.5  # how many times smaller a picture may have been
NOISY = 0.04
TURNED = 0.3  # share of the moments whose head is turned as a prompt asks for
DRAWN_AT_ONCE = 16
CHECKED = 48  # people


@dataclass(frozen=True)
class Options:
    people: int = 1200
    """That the pool shows."""
    moments: int = 4
    """Of each person."""
    turns: float = 2.0
    """Weight of the error of yaw in radians."""


@dataclass(frozen=True)
class Moments:
    """Drawn faces, cut out: p people, k moments of each. Pictures uint8."""

    portraits: Tensor  # [p 3 s s]
    frames: Tensor  # [p·k 3 s s]
    expressions: Tensor  # [p·k]
    yaw: Tensor  # [p·k]


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = read_options(Options, settings)
        if options.people < 1 or options.moments < 1:
            raise BadSettings(f"options: people is {options.people}, moments is {options.moments}: expected 1 or more")
        self.settings, self.device = settings, device
        self.network: nn.Module = ExpressionReader().to(device)
        self.side = ExpressionReader().config.side
        self.pool = self._drawn("train", options.people, Generator().manual_seed(settings.seed))
        self.unseen = self._drawn("validation", CHECKED, Generator().manual_seed(5))

    def batch(self, step: int, generator: Generator) -> Batch:
        number = self.settings.batch
        chosen = torch.randint(len(self.pool.frames), (number,), generator=generator)
        batch = self._of(self.pool, chosen)
        batch["frames"] = _as_rendered(batch["frames"], generator)
        away = torch.randint(-SHIFTED, SHIFTED + 1, (2,), generator=generator).tolist()
        mirrored = bool(torch.rand((), generator=generator) < 0.5)
        for name in ("portraits", "frames"):
            batch[name] = _shifted(batch[name], *away)
            batch[name] = batch[name].flip(3) if mirrored else batch[name]
        batch["yaw"] = -batch["yaw"] if mirrored else batch["yaw"]
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits, yaw = self.network(batch["portraits"], batch["frames"])
        parts = {
            "expressions": F.cross_entropy(logits, batch["expressions"]),
            "turns": (yaw - batch["yaw"]).abs().mean(),
        }
        return parts["expressions"] + self.options.turns * parts["turns"], parts

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        """On people that training never sees, of single pictures: share named rightly, error of yaw in degrees."""
        batch = self._of(self.unseen, torch.arange(len(self.unseen.frames)))
        frames = _as_rendered(batch["frames"], Generator().manual_seed(7))
        network.eval()
        logits, yaw = network(batch["portraits"], frames)
        network.train()
        named = logits.argmax(1)
        scores = {"named": float((named == batch["expressions"]).float().mean())}
        for place, name in enumerate(EXPRESSIONS):
            of_it = batch["expressions"] == place
            scores[name] = float((named[of_it] == place).float().mean())
        return scores | {"degrees": float((yaw - batch["yaw"]).abs().mean().rad2deg())}

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """Unseen people: portraits, and moments below."""
        batch = self._of(self.unseen, torch.arange(8) * self.options.moments)
        return tiled([batch["portraits"], batch["frames"]])

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"expression.safetensors": {name: value.half() for name, value in network.state_dict().items()}}

    def _of(self, pool: Moments, chosen: Tensor) -> Batch:
        def pictures(values: Tensor) -> Tensor:
            return values.to(self.device).float() / 255

        return {
            "portraits": pictures(pool.portraits[chosen // self.options.moments]),
            "frames": pictures(pool.frames[chosen]),
            "expressions": pool.expressions[chosen].to(self.device),
            "yaw": pool.yaw[chosen].to(self.device),
        }

    def _drawn(self, split: Split, number: int, generator: Generator) -> Moments:
        people = People.of(split, number, self.device)
        portraits, frames, expressions, turns = [], [], [], []
        for start in range(0, number, DRAWN_AT_ONCE):
            who = torch.arange(start, min(start + DRAWN_AT_ONCE, number))
            persons = people.pool.rows(who.to(self.device))
            rest = _speaking(pose(len(who)), generator, turned=0.0)
            box = square(face_box(persons, rest.to(self.device)))
            portraits.append(_bytes(people.drawn(persons, rest.to(self.device), self.side, box).picture))
            moments = []
            for _ in range(self.options.moments):
                held, asked = expressive(len(who), generator)
                held = _speaking(held, generator, turned=TURNED)
                moments.append(_bytes(people.drawn(persons, held.to(self.device), self.side, box).picture))
                expressions.append(asked)
                turns.append(held.yaw)
            frames.append(torch.stack(moments, dim=1).flatten(0, 1))
            order = torch.arange(len(who) * self.options.moments).view(self.options.moments, -1).T.flatten()
            last = self.options.moments
            expressions[-last:] = [torch.cat(expressions[-last:])[order]]
            turns[-last:] = [torch.cat(turns[-last:])[order]]
        return Moments(torch.cat(portraits), torch.cat(frames), torch.cat(expressions), torch.cat(turns))


def _speaking(held: Pose, generator: Generator, turned: float) -> Pose:
    """The same face, its head held as `motion` holds it: nearly still, or turned as a prompt asks for."""
    number = len(held)

    def normal(spread: float) -> Tensor:
        return torch.randn(number, generator=generator) * spread

    ways = torch.tensor([yaw for _, yaw in HEAD_POSES.values()])
    asked = ways[torch.randint(len(ways), (number,), generator=generator)]
    yaw = normal(YAW) + asked * (torch.rand(number, generator=generator) < turned)
    changed = {
        "yaw": yaw,
        "pitch": normal(PITCH),
        "roll": normal(ROLL),
        "shift_x": normal(SHIFT) + 0.1 * yaw,
        "shift_y": normal(SHIFT),
        "scale": 1 + normal(SCALE),
        "gaze_x": (normal(0.2) - 1.2 * yaw).clamp(-1, 1),
        "gaze_y": normal(0.15).clamp(-1, 1),
    }
    return Pose(**{field.name: changed.get(field.name, getattr(held, field.name)) for field in fields(Pose)})


def _as_rendered(frames: Tensor, generator: Generator) -> Tensor:
    """[n 3 s s], each coarser and noisier by a draw of its own, as an autoencoder and a chain leave faces."""
    side, rendered = frames.shape[-1], []
    for frame in frames:
        coarse, noise = torch.rand(2, generator=generator).tolist()
        small = max(8, round(side / (1 + (COARSEST - 1) * coarse)))
        shown = F.interpolate(frame[None], (small, small), mode="bilinear", antialias=True, align_corners=False)
        shown = F.interpolate(shown, (side, side), mode="bicubic", align_corners=False)
        grain = torch.randn(shown.shape, generator=generator).to(shown)
        rendered.append((shown + NOISY * noise * grain).clamp(0, 1))
    return torch.cat(rendered)


def _shifted(pictures: Tensor, across: int, down: int) -> Tensor:
    side = pictures.shape[-1]
    padded = F.pad(pictures, (SHIFTED, SHIFTED, SHIFTED, SHIFTED), mode="replicate")
    return padded[..., SHIFTED + down : SHIFTED + down + side, SHIFTED + across : SHIFTED + across + side]


def _bytes(pictures: Tensor) -> Tensor:
    return pictures.mul(255).round().byte().cpu()
