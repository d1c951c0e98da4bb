"""Does a prompt show in the face? Named by a network that reads drawn faces and shares nothing with any family."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.talking.figures import Figure
from benchmarks.talking.latents import CLIP, Said, chained, decoded
from benchmarks.talking.titles import Asked, Title, render, sitter, spoken
from benchmarks.talking.watched import Film, drawn_frames, opening, regions
from models.data.drawn_portrait import Portrait
from models.data.speech import Corpus
from models.drawn.expressions import EXPRESSIONS as WORDS
from models.drawn.expressions import HEAD_POSES, prompt
from models.drawn.motion import Direction
from models.families.protocol import Family
from models.measures import course as measures
from models.measures.expression_reader import ExpressionReader, load_expression_reader
from models.measures.face_reader import EXPRESSIONS
from models.measures.video import SIDE
from models.parts.prepare import Prepare

LENGTH = 96  # frames of a title that is read
READ = 40  # of them, at its end: by then the face wears what was asked for
EVERY = 4
TURNED = 0.12  # radians of mean yaw from which a head counts as turned: drawn ones that are asked to turn have 0.3
CHANGED_AT, CHANGED_LENGTH = 96, 192  # frames: where the prompt changes in the long title, and its length
SETTLED = 12  # frames over which a reading is averaged


@dataclass(frozen=True)
class Wish:
    name: str
    text: str
    direction: Direction
    head: bool

    def met(self, logits: Tensor, yaw: Tensor) -> bool:
        """Of readings of several frames."""
        if self.head:
            return turn(yaw) == self.name
        return EXPRESSIONS[int(logits.mean(0).argmax())] == self.name


def wishes(seed: int, *, unknown: bool = False) -> list[Wish]:
    """All eight expressions and both ways to turn, in words that training has used, or has kept out."""
    found = [
        Wish(one, prompt(seed + at, one, held_out=unknown), Direction(0, one), False) for at, one in enumerate(WORDS)
    ]
    for one in HEAD_POSES:
        text = prompt(seed, None, one, held_out=unknown)
        found.append(Wish(one, text, Direction(0, "neutral", 1.0, one), True))
    return found


def turn(yaw: Tensor) -> str:
    mean = float(yaw.mean())
    return "left" if mean < -TURNED else "right" if mean > TURNED else "ahead"


def prompts(
    asked: Asked, people: int, first: int, corpus: Corpus | None, reader: Path, *, unknown: bool = False
) -> list[Figure]:
    network = load_expression_reader(reader)
    titles, wanted = [], []
    for number in range(first, first + people):
        who = sitter(number)
        for wish in wishes(who.seed, unknown=unknown):
            name = f"person-{number}-{wish.name}"
            titles.append(Title(name, who, spoken(LENGTH, corpus, number), ((0.0, wish.text),)))
            wanted.append((name, who, wish))
    change = _change(first, corpus, unknown)
    made = render([*titles, change], asked)
    right: dict[str, list[bool]] = {}
    true: list[bool] = []
    for name, who, wish in wanted:
        read = read_faces(network, who, Film(made[name], who).frames(LENGTH - READ, LENGTH)[::EVERY])
        right.setdefault(wish.name, []).append(wish.met(*read))
        sound = spoken(LENGTH, corpus, first)
        shown = drawn_frames(who, sound, (wish.direction,), range(LENGTH - READ, LENGTH, EVERY))
        drawn = torch.from_numpy(np.stack(list(shown))).permute(0, 3, 1, 2)
        true.append(wish.met(*read_faces(network, who, drawn)))
    every = [met for mets in right.values() for met in mets]
    share = {name: f"{sum(mets)} of {len(mets)}" for name, mets in right.items()}
    return [
        Figure("asked-for one named, share of all titles", sum(every) / len(every), low=0.8),
        *(Figure(f"  {name}", said) for name, said in share.items()),
        Figure("upper bound: the renderer's own frames", sum(true) / len(true)),
        *_changed(network, Film(made["change"], change.sitter), change),
    ]


def named_unfinished(family: Family, weights: str, people: list[int], reader: Path) -> dict[str, list[bool]]:
    """By wish, whether each person's frames show it: decoded from the chain's latents, before any restoring, in a
    fraction of the time that titles take."""
    network = load_expression_reader(reader)
    asked = [(number, wish) for number in people for wish in wishes(sitter(number).seed)]
    said = [Said(number, spoken(LENGTH, None, number), wish.text) for number, wish in asked]
    vae = Prepare(family, weights, "cpu").ready("vae")
    right: dict[str, list[bool]] = {}
    rows = chained(family, weights, said, LENGTH // CLIP, family.default_steps)
    for (number, wish), latents in zip(asked, rows, strict=True):
        pictures = torch.from_numpy(np.stack(list(decoded(vae, latents[LENGTH - READ :: EVERY].float()))))
        read = read_faces(network, sitter(number), pictures.permute(0, 3, 1, 2))
        right.setdefault(wish.name, []).append(wish.met(*read))
    return right


def read_faces(network: ExpressionReader, who: Portrait, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Frames [n 3 256 256] -> logits of expressions [n 8], yaw in radians [n]."""
    picture = torch.from_numpy(who.picture).permute(2, 0, 1)[None].float() / 255
    portrait = F.interpolate(picture, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)[0]
    with torch.inference_mode():
        return network.read(portrait, frames, regions(who).face)


def _change(number: int, corpus: Corpus | None, unknown: bool) -> Title:
    said = spoken(CHANGED_LENGTH, corpus, number)
    texts = (
        (0.0, prompt(number, "neutral", held_out=unknown)),
        (CHANGED_AT / 25, prompt(number, "surprise", held_out=unknown)),
    )
    return Title("change", sitter(number), said, texts)


def _changed(network: ExpressionReader, film: Film, title: Title) -> list[Figure]:
    """Seconds until the face is named as newly asked, and whether all else stays as it was."""
    logits, _ = read_faces(network, title.sitter, film.frames(0, CHANGED_LENGTH))
    smooth = logits.unfold(0, SETTLED, 1).mean(-1)  # of the frames from its place on
    named = [EXPRESSIONS[place] for place in smooth.argmax(1).tolist()]
    after = [at for at in range(CHANGED_AT, len(named)) if named[at] == "surprise"]
    before = sum(name == "surprise" for name in named[: CHANGED_AT - SETTLED])
    course = film.course(opening(title.sound))
    whole = measures.summary(course)
    seconds = (after[0] - CHANGED_AT) / 25 if after else None
    return [
        Figure("prompt changed in mid-title: seconds until seen", seconds, high=2),
        Figure("  seen before it was asked for, share", before / (CHANGED_AT - SETTLED), high=0.2),
        Figure("  change at clip borders, of that inside", whole["border_ratio"], high=1.3),
        Figure("  identity lost at the end (by formula, of 1)", whole["identity_drift"], high=0.1),
        Figure("  mouth against the target of its sound, r", whole["mouth_r"]),
    ]  # fmt: skip
