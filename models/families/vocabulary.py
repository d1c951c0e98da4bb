"""Words by which family `mini` can be asked how a face looks and where the head turns: plain data, no torch.

Its prompts are embedded by hashes of their letters, which know no synonyms: what is not here was never learned.
"""

from __future__ import annotations

import re

EXPRESSION_WORDS: dict[str, tuple[str, ...]] = {
    "neutral": ("neutral", "calm", "relaxed", "serious"),
    "smile": ("smiling", "happy", "cheerful", "friendly"),
    "frown": ("frowning", "worried", "concerned", "uneasy"),
    "surprise": ("surprised", "amazed", "astonished", "startled"),
    "angry": ("angry", "furious", "annoyed", "irritated"),
    "sad": ("sad", "unhappy", "sorrowful", "gloomy"),
    "sleepy": ("sleepy", "tired", "drowsy", "exhausted"),
    "doubt": ("doubtful", "sceptical", "suspicious", "questioning"),
}
"""By the expression that a word asks for."""

TURN_WORDS: dict[str, tuple[str, ...]] = {
    "left": ("head turned to the left", "looking to the left", "facing left"),
    "right": ("head turned to the right", "looking to the right", "facing right"),
}
"""Left and right are the picture's."""

FILLERS = frozenset((
    *("a", "an", "and", "as", "at", "be", "by", "for", "from", "has", "have", "he", "her", "his", "in", "is"),
    *("it", "of", "on", "or", "she", "that", "the", "their", "they", "this", "to", "very", "who", "with"),
    *("character", "expression", "expressions", "face", "faces", "facial", "facing", "head", "look", "looking"),
    *("looks", "man", "person", "picture", "portrait", "someone", "speak", "speaker", "speaking", "speaks", "talk"),
    *("talking", "talks", "turn", "turned", "turning", "turns", "voice", "woman"),
))  # fmt: skip
"""Words that say nothing of how somebody looks. With them, left and right were nearly alike."""


def words_of(text: str) -> list[str]:
    """The words of a prompt that count, in small letters."""
    return [word for word in re.findall(r"\w+", text.lower()) if word not in FILLERS]


_GROUPS = (*EXPRESSION_WORDS.values(), *TURN_WORDS.values())
KNOWN_WORDS = tuple(dict.fromkeys(word for group in _GROUPS for text in group for word in words_of(text)))

ASKED = (*EXPRESSION_WORDS, *TURN_WORDS)
"""Names of all that can be asked for, expressions first."""
_MORE_WORDS: dict[str, tuple[str, ...]] = {
    "neutral": ("composed", "still", "straight"),
    "smile": ("smile", "smiles", "joyful", "delighted", "glad", "laughing", "warm"),
    "frown": ("frown", "troubled", "anxious", "nervous"),
    "surprise": ("surprise", "shocked", "disbelief", "stunned"),
    "angry": ("anger", "mad", "enraged", "stern"),
    "sad": ("sadness", "miserable", "heartbroken", "crying", "mourning"),
    "sleepy": ("weary", "asleep", "bored", "fatigued"),
    "doubt": ("doubt", "unconvinced", "puzzled", "confused", "skeptical"),
}
"""Other words for the same, of families that know words by this table rather than by their letters."""
_ASKED_BY = {
    word: place
    for place, name in enumerate(ASKED)
    for text in (*EXPRESSION_WORDS.get(name, ()), *TURN_WORDS.get(name, ()), *_MORE_WORDS.get(name, ()))
    for word in words_of(text)
}
ASKED_WORDS = tuple(_ASKED_BY)


def asked(text: str | None) -> tuple[float, ...]:
    """What a prompt asks for, a number for each of `ASKED`: 1 where it says so, all 0 where it says nothing known."""
    places = {_ASKED_BY[word] for word in words_of(text or "") if word in _ASKED_BY}
    return tuple(float(place in places) for place in range(len(ASKED)))
