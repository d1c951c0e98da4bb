"""Stage `movement`: what a photograph does when something is said, learned from its puppets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from models.data.movement_pool import MovementPool
from models.data.speech import Corpus
from models.data.spoken_pool import SpokenPool
from models.diffusion.movement import LIP_POINTS, NUMBERS, SPREADS, Moved, MovementNet, decided_blinks, moved
from models.training.denoising import trained_autoencoder
from models.training.options import read_options
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch

FACE, MOUTH, ELSEWHERE = 2.0, 4.0, 0.3  # how much flow counts on the face, more at the mouth, and beside them
SHOWN = 12  # takes of a score
HEARING = ("hearing.", "numbers.", "blink.")  # parts of the network that no portrait is seen by


@dataclass(frozen=True)
class Options:
    takes: str = "out/training/photographs/train"
    checks: str = "out/training/photographs/validation"
    vae: str = "models/shipped/mini/vae.safetensors"
    start: str = ""
    """File of an earlier run to go on from."""
    learns: Literal["all", "hearing"] = "all"
    """The whole network, or what hears and tells numbers alone: portraits are looked at as before."""
    speech: str = ""
    """Folder of recorded words (models/data/speech.py) that are heard beside the takes; none without."""
    held_out: tuple[str, ...] = ()
    """Speakers of whom nothing is heard."""
    stretches: int = 1500
    """Of eight seconds, of that speech."""
    synthetic: int = 0
    """More such stretches, by espeak-ng, of which it is known when lips meet."""
    spoken: int = 64
    """Frames of it in a batch."""
    frames: int = 4
    """Of every take in a batch."""
    hole: float = 3.0
    contours: float = 0.5
    numbers: float = 0.5
    blink: float = 0.3
    opening: float = 3.0
    """How far the mouth opens, beside the other numbers, where only sound is heard."""


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = read_options(Options, settings)
        self.settings, self.device = settings, device
        net = MovementNet()
        if options.start:
            net.load_state_dict({name: value.float() for name, value in load_file(options.start).items()})
        if options.learns == "hearing":
            for name, parameter in net.named_parameters():
                parameter.requires_grad_(name.startswith(HEARING))
        self.network: nn.Module = net.to(device)
        for name, what in (
            ("takes", "a folder of puppet takes"),
            ("checks", "another"),
            ("vae", "the autoencoder's file"),
        ):
            if not Path(getattr(options, name)).exists():
                raise BadSettings(f"options: {name} is {getattr(options, name)!r}: expected {what}")
        vae = trained_autoencoder(Path(options.vae))
        self.pool = MovementPool(Path(options.takes), vae, net.config)
        self.unseen = MovementPool(Path(options.checks), vae, net.config)
        self.speech: SpokenPool | None = None
        if options.speech:
            corpus = Corpus(Path(options.speech), options.held_out)
            try:
                self.speech = SpokenPool(corpus, options.stretches, net.config, synthetic=options.synthetic)
            except OSError as error:
                raise BadSettings(f"options: synthetic is {options.synthetic}: needs espeak-ng ({error})") from error

    def batch(self, step: int, generator: Generator) -> Batch:
        drawn = self.pool.draw(self.settings.batch, self.options.frames, generator)
        if self.speech is not None:
            heard = self.speech.draw(self.options.spoken, generator)
            drawn |= dict(zip(("spoken.heard", "spoken.prompt", "spoken.numbers"), heard, strict=True))
        return {name: value.to(self.device) for name, value in drawn.items()}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(self.network, MovementNet)
        found = said(self.network, batch)
        count, mouth = counted(batch)
        off = (found.flow - batch["flow"]).abs() * count[:, None]
        hole = F.binary_cross_entropy_with_logits(found.hole, batch["hole"].clamp(0, 1), reduction="none")
        spread = torch.tensor(SPREADS, device=off.device)
        shut = (batch["numbers"][:, NUMBERS.index("blink")] > 0).float()
        parts = {
            "flow": off.mean(),
            "hole": (hole * (0.2 + 4 * mouth)).mean(),
            "contours": F.smooth_l1_loss(found.contours, batch["moved"], beta=0.5),
            "numbers": ((found.numbers - batch["numbers"]) / spread).square().mean(),
            "blink": F.binary_cross_entropy_with_logits(found.blink, shut),
        }
        if "spoken.heard" in batch:
            numbers, blink = self.network.told(self.network.hear(batch["spoken.heard"], batch["spoken.prompt"]))
            truth = batch["spoken.numbers"]
            off = ((numbers - truth) / spread).square()
            parts["spoken"] = off.mean()
            parts["spoken_opening"] = off[:, NUMBERS.index("opening")].mean()
            closing = (truth[:, NUMBERS.index("blink")] > 0).float()
            parts["spoken_blink"] = F.binary_cross_entropy_with_logits(blink, closing)
        o = self.options
        loss = (
            parts["flow"] + o.hole * parts["hole"] + o.contours * parts["contours"] + o.numbers * parts["numbers"]
            + o.blink * parts["blink"]
            + o.numbers * parts.get("spoken", 0) + o.opening * parts.get("spoken_opening", 0)
            + o.blink * parts.get("spoken_blink", 0)
        )  # fmt: skip
        return loss, parts

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        assert isinstance(network, MovementNet)
        return measured(network, self.unseen)

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """First channels of portraits' latents, moved by the truth above and by the network below."""
        assert isinstance(network, MovementNet)
        chosen = list(range(min(6, len(self.unseen.talks))))
        batch = self.unseen.rows(chosen, [[len(self.unseen.talks[one]) // 2] for one in chosen])
        found = said(network, batch)
        rows = [moved(batch["latents"], flow)[:, :3] for flow in (batch["flow"], found.flow)]
        shown = torch.cat([torch.cat(list(row), 2) for row in rows], 1) / 4 + 0.5
        return F.interpolate(shown[None], scale_factor=4.0)[0]

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"movement.safetensors": {name: value.half() for name, value in network.state_dict().items()}}


def said(network: MovementNet, batch: Batch) -> Moved:
    """What the network says of every frame of a batch."""
    looked = network.look(batch["latents"], batch["maps"], batch["contours"])
    of = batch["of"]
    found: Moved = network(
        type(looked)(*(field[of] for field in looked)),
        batch["latents"][of],
        network.hear(batch["heard"], batch["prompt"][of]),
    )
    return found


def counted(batch: Batch) -> tuple[Tensor, Tensor]:
    """How much flow counts in every cell of every frame [n h w], and how near the mouth the cell is, 0..1."""
    maps = batch["maps"][batch["of"]]
    mouth = torch.exp(-0.5 * (maps[:, 6].abs() / 1.3) ** 4 - 0.5 * (maps[:, 7].abs() / 0.9) ** 4)
    return ELSEWHERE + FACE * maps[:, 2] + MOUTH * mouth, mouth


@torch.no_grad()
def measured(network: MovementNet, pool: MovementPool) -> dict[str, float]:
    """Of unseen people: errors in pixels of 512, how much they moved, how well what is heard is told, blinks found."""
    network = network.eval()
    sums: dict[str, list[float]] = {}
    for one in range(min(SHOWN, len(pool.talks))):
        batch = pool.rows([one], [list(range(len(pool.talks[one])))])
        found = said(network, batch)
        face = (batch["maps"][0, 2] > 0.5).expand_as(found.hole)
        mouth = counted(batch)[1] > 0.5
        error, way = (found.flow - batch["flow"]).norm(dim=1), batch["flow"].norm(dim=1)
        hole, share = batch["hole"], torch.sigmoid(found.hole)
        lips = (found.contours - batch["moved"]).norm(dim=-1)
        blink = batch["numbers"][:, NUMBERS.index("blink")]
        opening = NUMBERS.index("opening")
        facts = {
            "face": error[face].mean(), "face_moves": way[face].mean(), "mouth": error[mouth].mean(),
            "mouth_moves": way[mouth].mean(), "lips": lips[:, :LIP_POINTS].mean(), "lids": lips[:, LIP_POINTS:].mean(),
            "hole": torch.minimum(share, hole).sum() / torch.maximum(share, hole).sum().clamp_min(1e-3),
            "opening_r": _alike(found.numbers[:, opening], batch["numbers"][:, opening]),
            "lips_r": _alike(_apart(found.contours), _apart(batch["moved"])),
            "blink_error": (decided_blinks(found.blink) - blink).abs().mean(),
        }  # fmt: skip
        for name, value in facts.items():
            if torch.isfinite(value):
                sums.setdefault(name, []).append(float(value))
    return {name: sum(values) / len(values) for name, values in sums.items()}


def _apart(contours: Tensor) -> Tensor:
    """How far the lips' middles are apart [n]."""
    return (contours[:, 16] - contours[:, 5]).norm(dim=-1)


def _alike(one: Tensor, other: Tensor) -> Tensor:
    return torch.corrcoef(torch.stack([one, other]))[0, 1]
