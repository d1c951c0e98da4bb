"""Stage `landmarks`: the networks that find a face in a portrait and its 478 points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.data.landmark_faces import KnownFace, known_drawn, known_portraits, known_puppets
from models.data.landmark_views import Crops, PartViews, Views, crops, framed, mirrored, parts, views
from models.faces.face_points import AROUND, LIPS, PARTS, FacePoints, cut, load_face_points, read_faces, square_of
from models.families.noise_keys import noise_key
from models.puppet.topology import EYES, OVAL, POINTS
from models.training.options import read_options
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch

SHOWN = 24  # faces of the validation split in a score
NEAR = 0.35  # of a face's height: what was found further away is another face


@dataclass(frozen=True)
class Options:
    faces: str = "faces"
    """Folder of portraits with landmarks (models/data/portraits.py)."""
    kept: str = "out/training/landmark_faces"
    """Where puppets and drawn people are kept."""
    puppets: int = 6
    """Frames of each portrait's puppet; 0 for none."""
    drawn: int = 320
    shares: tuple[float, float, float] = (0.5, 0.35, 0.15)
    """Of portraits, puppets and drawn people in a batch."""
    start: str = ""
    """File of an earlier run to go on from."""
    learns: Literal["all", "parts"] = "all"
    """All three networks, or the one of mouths and eyes alone, which a step then takes a third of the time for."""


def errors(points: Tensor, truth: Tensor, known: Tensor) -> dict[str, float]:
    """Mean distance of points [478 2], of lips and of lids, over the distance between the eyes' outer corners."""
    unit = float((truth[33, :2] - truth[263, :2]).norm())
    away = (points[:, :2] - truth[:, :2]).norm(dim=1) / unit
    lids = [point for eye in EYES for point in eye.ring]
    sets = {"all": list(range(POINTS)), "lips": list(LIPS), "lids": lids, "oval": list(OVAL)}
    return {
        name: float((away[which] * known[which]).sum() / known[which].sum().clamp_min(1))
        for name, which in sets.items()
    }


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = read_options(Options, settings)
        self.settings, self.device = settings, device
        self.network: nn.Module = FacePoints().to(device)
        if options.start:
            self.network.load_state_dict(load_face_points(Path(options.start), device).state_dict())
        if options.learns == "parts":
            for part in ("finder", "points"):
                getattr(self.network, part).requires_grad_(False)
        folder, kept = Path(options.faces), Path(options.kept)
        if not (folder / "index.json").exists():
            raise BadSettings(f"options: faces is {options.faces!r}: expected a folder of portraits with index.json")
        self.kinds: list[list[KnownFace]] = [known_portraits(folder, "train")]
        self.kinds.append(known_puppets(folder, "train", options.puppets, kept) if options.puppets else [])
        self.kinds.append(known_drawn(options.drawn, "train", kept) if options.drawn else [])
        self.unseen = known_portraits(folder, "validation")
        if not self.kinds[0] or not self.unseen:
            raise BadSettings(
                f"options: faces is {options.faces!r}: it holds no portraits of the generator for a split"
            )
        self._weights = _weights().to(device)

    def _some(self, number: int, generator: Generator) -> list[KnownFace]:
        chances = torch.tensor(
            [share if faces else 0.0 for share, faces in zip(self.options.shares, self.kinds, strict=True)]
        )
        chosen = []
        for kind in torch.multinomial(chances, number, replacement=True, generator=generator).tolist():
            face = self.kinds[kind][int(torch.randint(len(self.kinds[kind]), (), generator=generator))]
            chosen.append(mirrored(face) if float(torch.rand((), generator=generator)) < 0.5 else face)
        return chosen

    def batch(self, step: int, generator: Generator) -> Batch:
        number = self.settings.batch
        groups: dict[str, object] = {}
        if self.options.learns == "all":
            groups["views"] = views(self._some(number, generator), generator)
            groups["crops"] = crops(self._some(number, generator), generator)
        for name, mouth in (("mouths", True), ("eyes", False)):
            groups[name] = parts(self._some(number, generator), generator, mouth)
        return {
            f"{name}.{key}": value.to(self.device)
            for name, group in groups.items()
            for key, value in vars(group).items()
        }

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        network = self.network
        assert isinstance(network, FacePoints)
        named = {
            kind: {key.partition(".")[2]: value for key, value in batch.items() if key.startswith(kind + ".")}
            for kind in ("views", "crops", "mouths", "eyes")
        }
        parts_off = torch.zeros((), device=self.device)
        for kind, mouth in (("mouths", True), ("eyes", False)):
            view = PartViews(**named[kind])
            moved = view.guess + network.parts(view.pictures, view.guess, mouth)
            parts_off = parts_off + self._off(moved, view.points, view.known)
        if not named["views"]:
            return 6 * parts_off, {"parts": parts_off}
        seen, near = Views(**named["views"]), Crops(**named["crops"])
        answer = network.finder(seen.pictures)
        chance = torch.sigmoid(answer[:, 0])
        # Cells are mostly empty: those that are right already count little.
        cell = F.binary_cross_entropy_with_logits(answer[:, 0], seen.heat, reduction="none")
        heat = (cell * (0.05 + (chance.detach() - seen.heat).abs())).mean() * 4
        away = F.smooth_l1_loss(answer[:, 1:], seen.geometry, reduction="none", beta=0.1).mean(1)
        geometry = (away * seen.weight).sum() / seen.weight.sum().clamp_min(1)
        points, logit = network.points(near.pictures)
        face = F.binary_cross_entropy_with_logits(logit, near.face)
        points_off = self._off(points, near.points, near.known * self._weights)
        loss = heat + geometry + 0.3 * face + 20 * points_off + 6 * parts_off
        found = {"heat": heat, "geometry": geometry, "face": face, "points": points_off, "parts": parts_off}
        return loss, found

    @staticmethod
    def _off(found: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
        """Mean distance; depth counts a third, and only where faces have one."""
        away = F.smooth_l1_loss(found, truth, reduction="none", beta=0.01)
        if found.shape[-1] == 3:
            deep = (truth[..., 2].abs().amax(1) > 0).float()[:, None]
            away = torch.cat([away[..., :2], away[..., 2:] * deep[..., None] / 3], -1)
        return (away.sum(-1) * weight).sum() / weight.sum().clamp_min(1)

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        assert isinstance(network, FacePoints)
        return measured(network, self.unseen[:SHOWN], seed=self.settings.seed)

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        assert isinstance(network, FacePoints)
        shown = []
        for face in self.unseen[:8]:
            square = square_of(face.points, AROUND * 1.15)
            picture = cut(face.levels, square, 192)
            for reading in read_faces(network, face.levels[0].float() / 255)[:1]:
                for at in ((square.inwards(reading.points) + 1) * 96).tolist():
                    x, y = (int(min(max(value, 0), 191)) for value in at[:2])
                    picture[:, y, x] = torch.tensor([0.2, 1.0, 0.2])
            shown.append(picture)
        return torch.cat([torch.cat(shown[:4], 2), torch.cat(shown[4:], 2)], 1)

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"face_points.safetensors": {name: value.half() for name, value in network.state_dict().items()}}


@torch.no_grad()
def measured(network: FacePoints, faces: list[KnownFace], *, seed: int, size: int = 512) -> dict[str, float]:
    """Faces in one random framing each: share found, points' mean errors, how many others were found beside them."""
    network = network.eval()
    rows: list[dict[str, float]] = []
    missed, others = 0, 0
    for number, face in enumerate(faces):
        generator = torch.Generator().manual_seed(noise_key(seed, "framing", number))
        view = framed(face, generator)
        truth = torch.cat([(view.inwards(face.points)[:, :2] + 1) * size / 2, face.points[:, 2:]], 1)
        height = float((truth[152, :2] - truth[10, :2]).norm())
        readings = read_faces(network, cut(face.levels, view, size))
        middle = (truth[10, :2] + truth[152, :2]) / 2
        right = [
            one
            for one in readings
            if float(((one.points[10, :2] + one.points[152, :2]) / 2 - middle).norm()) < NEAR * height
        ]
        others += len(readings) - len(right)
        if not right:
            missed += 1
            continue
        rows.append(errors(right[0].points, truth, face.known))
    found = {"found": 1 - missed / len(faces), "beside": others / len(faces)}
    for name in ("all", "lips", "lids", "oval"):
        found[f"error_{name}"] = sum(row[name] for row in rows) / max(1, len(rows))
    return found


def _weights() -> Tensor:
    """How much every point counts [478]."""
    weight = torch.ones(POINTS)
    weight[list(OVAL)] = 1.5
    for points in PARTS:
        weight[list(points)] = 2.5
    return weight
