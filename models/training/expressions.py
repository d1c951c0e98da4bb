"""Expressions and ways to hold the head that a prompt can ask for, and the words for them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from models.keys import noise_key


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
    "neutral": Expression(("neutral", "calm", "relaxed", "serious", "composed", "at ease")),
    "smile": Expression(
        ("smiling", "happy", "cheerful", "friendly", "joyful", "delighted"), smile=0.95, squint=0.55, brow=0.15
    ),
    "frown": Expression(
        ("frowning", "worried", "concerned", "uneasy", "troubled", "anxious"), smile=-0.35, brow_inner=0.75, brow=-0.1,
        squint=0.2,
    ),
    "surprise": Expression(
        ("surprised", "amazed", "astonished", "startled", "shocked", "in disbelief"), brow=1.0, lids=1.28, opening=0.22
    ),
    "angry": Expression(
        ("angry", "furious", "annoyed", "irritated", "mad", "enraged"), brow=-0.55, brow_inner=-1.0, lids=0.88,
        smile=-0.5, squint=0.35,
    ),
    "sad": Expression(
        ("sad", "unhappy", "sorrowful", "gloomy", "miserable", "heartbroken"), smile=-0.85, brow_inner=1.0, lids=0.7,
        brow=0.1,
    ),
    "sleepy": Expression(
        ("sleepy", "tired", "drowsy", "exhausted", "weary", "half asleep"), lids=0.45, brow=0.05, smile=-0.1
    ),
    "doubt": Expression(
        ("doubtful", "sceptical", "suspicious", "questioning", "unconvinced", "puzzled"), brow_uneven=1.0, lids=0.85,
        squint=0.4, smile=-0.15,
    ),
}  # fmt: skip

HEAD_POSES: dict[str, tuple[tuple[str, ...], float]] = {
    "left": (("head turned to the left", "looking to the left", "facing left", "turning left"), -0.3),
    "right": (("head turned to the right", "looking to the right", "facing right", "turning right"), 0.3),
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
