"""Expressions and ways to hold the head that a prompt can ask for, and the words for them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from models.families.noise_keys import noise_key
from models.families.vocabulary import EXPRESSION_WORDS, TURN_WORDS


@dataclass(frozen=True)
class Expression:
    words: tuple[str, ...]
    """The last two are kept out of training."""
    smile: float = 0.0
    brow: float = 0.0
    brow_inner: float = 0.0
    brow_uneven: float = 0.0
    lids: float = 1.0
    squint: float = 0.0
    opening: float = 0.0
    """Of the mouth at rest."""


EXPRESSIONS: dict[str, Expression] = {
    "neutral": Expression((*EXPRESSION_WORDS["neutral"], "composed", "at ease")),
    "smile": Expression(
        (*EXPRESSION_WORDS["smile"], "joyful", "delighted"), smile=0.95, squint=0.55, brow=0.15
    ),
    "frown": Expression(
        (*EXPRESSION_WORDS["frown"], "troubled", "anxious"), smile=-0.35, brow_inner=0.75, brow=-0.1,
        squint=0.2,
    ),
    "surprise": Expression(
        (*EXPRESSION_WORDS["surprise"], "shocked", "in disbelief"), brow=1.0, lids=1.28, opening=0.22
    ),
    "angry": Expression(
        (*EXPRESSION_WORDS["angry"], "mad", "enraged"), brow=-0.55, brow_inner=-1.0, lids=0.88,
        smile=-0.5, squint=0.35,
    ),
    "sad": Expression(
        (*EXPRESSION_WORDS["sad"], "miserable", "heartbroken"), smile=-0.85, brow_inner=1.0, lids=0.7,
        brow=0.1,
    ),
    "sleepy": Expression(
        (*EXPRESSION_WORDS["sleepy"], "weary", "half asleep"), lids=0.45, brow=0.05, smile=-0.1
    ),
    "doubt": Expression(
        (*EXPRESSION_WORDS["doubt"], "unconvinced", "puzzled"), brow_uneven=1.0, lids=0.85,
        squint=0.4, smile=-0.15,
    ),
}  # fmt: skip

HEAD_POSES: dict[str, tuple[tuple[str, ...], float]] = {
    "left": ((*TURN_WORDS["left"], "turning left"), -0.3),
    "right": ((*TURN_WORDS["right"], "turning right"), 0.3),
}
"""Words (the last is kept out of training) and mean yaw in radians; left and right are the picture's."""

TEMPLATES = (
    "a {} person", "looks {}", "{}", "a {} face", "the speaker is {}", "talks with a {} expression", "{} expression",
    "a portrait of someone {}",
)  # fmt: skip
HELD_OUT_WORDS, HELD_OUT_POSES = 2, 1


def prompt(seed: int, expression: str | None, head_pose: str | None = None, *, held_out: bool = False) -> str:
    """A sentence that asks for it. `held_out`: in words that training never uses."""
    dice = Random(noise_key(seed, "prompt", 0))

    def choose(words: tuple[str, ...], kept: int) -> str:
        offered = words[-kept:] if held_out else words[:-kept]
        return offered[int(dice.random() * len(offered))]

    parts: list[str] = []
    if expression is not None:
        word = choose(EXPRESSIONS[expression].words, HELD_OUT_WORDS)
        parts.append(TEMPLATES[int(dice.random() * len(TEMPLATES))].format(word))
    if head_pose is not None:
        parts.append(choose(HEAD_POSES[head_pose][0], HELD_OUT_POSES))
    return ", ".join(parts)


def every_prompt() -> list[tuple[str, str, str | None]]:
    """All that training may say: prompt, its expression, its head pose."""
    turns = [(name, words) for name, (known, _) in HEAD_POSES.items() for words in known[:-HELD_OUT_POSES]]
    found: list[tuple[str, str, str | None]] = [(words, "neutral", name) for name, words in turns]
    for name, expression in EXPRESSIONS.items():
        for word in expression.words[:-HELD_OUT_WORDS]:
            for template in TEMPLATES:
                said = template.format(word)
                found += [(said, name, None), *((f"{said}, {words}", name, turn) for turn, words in turns)]
    return found
