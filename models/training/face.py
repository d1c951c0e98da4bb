"""Stage `face`: the network that reads landmarks, regions, pose, expression and identity from a picture.

Every step shows two pictures of each of its people, whole portraits a little blurred and noisy, with what the formulas
know of them. Identity is learned by telling a person's other picture from those of all others of the batch (InfoNCE).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.data.degradation import draw_spoiling, spoil
from models.data.portrait_crops import People, tiled
from models.drawn.expressions import EXPRESSIONS as ASKED
from models.drawn.motion import stills
from models.drawn.portrait_renderer import LABELS
from models.drawn.pose import Pose
from models.drawn.truth import LANDMARKS, landmarks
from models.measures.face_reader import EXPRESSIONS, FACE, NUMBERS, REGIONS, FaceReader, FaceReaderConfig, FaceReading
from models.training.options import plain, read_options
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch

assert REGIONS == LABELS
assert tuple(ASKED) == EXPRESSIONS
TEMPERATURE = 0.1  # of the comparison of embeddings
EYES_OPEN = 0.3  # a lid that is closed further hides what the eyes express


@dataclass(frozen=True)
class Options:
    identities: int = 8192
    landmarks: float = 10.0
    regions: float = 1.0
    numbers: float = 2.0
    expressions: float = 0.5
    identity: float = 0.3
    spoil: float = 0.6
    """Strength of blur and noise, against what the restorer is trained on."""
    compile: bool = False
    compile_renderer: bool = False
    network: dict[str, object] | None = None
    """What differs from the published sizes of `FaceReaderConfig`."""


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = read_options(Options, settings)
        if settings.batch % 2 or settings.batch < 4:
            raise BadSettings(f"batch is {settings.batch}: stage face shows two pictures of each of at least 2 people")
        self.settings, self.device = settings, device
        config = replace(FaceReaderConfig(), **{name: plain(v) for name, v in (options.network or {}).items()})
        self.side = config.side
        self.network: nn.Module = FaceReader(config).to(device)
        self._through = torch.compile(self.network) if options.compile else self.network
        self._people = People.of("train", options.identities, device, compiled=options.compile_renderer)
        self._unseen = People.of("validation", 32, device)

    def batch(self, step: int, generator: Generator) -> Batch:
        number, pool = self.settings.batch, len(self._people.pool)
        who = torch.randint(pool, (number // 2,), generator=generator).repeat_interleave(2)
        batch = self._shown(self._people, who, generator)
        how = draw_spoiling(number, generator)
        weak = {"blur": how.blur, "noise": how.noise, "speckle": how.speckle, "flicker": how.flicker}
        nothing = torch.zeros(number)
        how = replace(
            how,
            **{name: value * self.options.spoil for name, value in weak.items()},
            shrink=nothing + 1,
            through=nothing,
        )
        return batch | {"pictures": spoil(batch["pictures"][:, None], how, generator)[:, 0]}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        read: FaceReading = self._through(batch["pictures"])
        options = self.options
        alike = read.embedding @ read.embedding.T / TEMPERATURE
        alike.fill_diagonal_(-1e4)
        rows = torch.arange(len(alike), device=alike.device)
        same = batch["who"][:, None] == batch["who"]  # a person may have been drawn twice: those are no strangers
        strangers = alike.masked_fill(same & (rows[:, None] ^ 1 != rows), -1e4)
        parts = {
            "landmarks": (read.landmarks - batch["landmarks"]).abs().mean(),
            "regions": F.cross_entropy(read.regions, batch["regions"]),
            "numbers": (read.numbers.float() - batch["numbers"]).abs().mean(),
            "expressions": F.cross_entropy(read.expressions.float(), batch["expressions"]),
            "identity": F.cross_entropy(strangers, rows ^ 1),
        }
        zero = torch.zeros_like(parts["landmarks"])
        return sum((getattr(options, name) * part for name, part in parts.items()), zero), parts

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        """On people that training never sees: errors of landmarks in shares of the picture's width and of angles in
        degrees; shares of expressions named and of pictures matched with the person's other one; overlap of faces."""
        batch = self._check()
        read: FaceReading = network(batch["pictures"])
        nearest = (read.embedding @ read.embedding.T).fill_diagonal_(-2).argmax(1)
        faces = torch.tensor([REGIONS.index(name) for name in FACE], device=self.device)
        found = torch.isin(read.regions.argmax(1), faces)
        wanted = torch.isin(batch["regions"], faces)
        named = read.expressions.argmax(1) == batch["expressions"]
        return {
            "landmarks": float((read.landmarks - batch["landmarks"]).norm(dim=-1).mean() / 2),
            "degrees": float((read.numbers - batch["numbers"])[:, :3].abs().mean().rad2deg()),
            "opening": float((read.numbers - batch["numbers"])[:, NUMBERS.index("opening")].abs().mean()),
            "expressions": float(named.float().mean()),
            "matched": float((batch["who"][nearest] == batch["who"]).float().mean()),
            "face_overlap": float((found & wanted).sum() / (found | wanted).sum().clamp_min(1)),
        }

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """Unseen people with their landmarks as read (red) and as they are (green), and below them the face mask."""
        batch = self._check()
        pictures = batch["pictures"][:8].clone()
        read: FaceReading = network(pictures)
        for colour, points in ((0, read.landmarks), (1, batch["landmarks"])):
            for row, places in enumerate(((points[:8] + 1) / 2 * self.side).long().clamp(0, self.side - 1).tolist()):
                for x, y in places:
                    pictures[row, :, y, x] = 0
                    pictures[row, colour, y, x] = 1
        mask = read.face_mask((self.side, self.side)).expand(-1, 3, -1, -1)
        return tiled([pictures, mask])

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"face.safetensors": {name: value.half() for name, value in network.state_dict().items()}}

    def _check(self) -> Batch:
        """Always the same: two pictures of each of 32 unseen people."""
        generator = torch.Generator().manual_seed(5)
        return self._shown(self._unseen, torch.arange(32).repeat_interleave(2), generator)

    def _shown(self, people: People, who: Tensor, generator: Generator) -> Batch:
        number = len(who)
        person = people.pool.rows(who.to(self.device))
        held, asked = expressive(number, generator)
        held, asked = held.to(self.device), asked.to(self.device)
        drawing = people.drawn(person, held, self.side)
        small = drawing.labels[:, 2::4, 2::4].long()  # where the maps' cells have their middles
        return {
            "pictures": drawing.picture,
            "landmarks": landmarks(person, held),
            "regions": small,
            "numbers": torch.stack([getattr(held, name) for name in NUMBERS], dim=1),
            "expressions": asked,
            "who": who.to(self.device),
        }


def expressive(number: int, generator: Generator) -> tuple[Pose, Tensor]:
    """Poses over the range of motion, each with one of the expressions in its face; which one, [n]."""
    held = stills(number, generator)
    asked = torch.randint(len(EXPRESSIONS), (number,), generator=generator)
    strength = 0.7 + 0.3 * torch.rand(number, generator=generator)
    table = {name: torch.tensor([getattr(ASKED[e], name) for e in EXPRESSIONS])[asked] for name in _OF_EXPRESSIONS}
    speech = held.opening
    changed = {name: strength * value for name, value in table.items()}
    changed["lids"] = 1 + strength * (table["lids"] - 1)
    for name, value in changed.items():
        changed[name] = value + 0.06 * torch.randn(number, generator=generator)
    changed["smile"] = changed["smile"] * (1 - 0.35 * speech)
    changed["squint"] = changed["squint"].clamp(0, 1)
    changed["opening"] = (speech + changed["opening"] * (1 - speech)).clamp(0, 1)
    changed["blink"] = held.blink * EYES_OPEN
    return Pose(**{f.name: changed.get(f.name, getattr(held, f.name)) for f in fields(Pose)}), asked


_OF_EXPRESSIONS = ("smile", "brow", "brow_inner", "brow_uneven", "lids", "squint", "opening")
assert len(LANDMARKS) == FaceReaderConfig().landmarks
