"""Prompts of `mini` before any training: what counts in them, and what a text branch begins with."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

import torch

from models.data.drawn_takes import _direction
from models.diffusion.text_modulation import TextBranch
from models.drawn.expressions import EXPRESSIONS, HEAD_POSES, every_prompt
from models.families.mini import MINI
from models.families.registry import FAMILIES
from models.families.vocabulary import KNOWN_WORDS, words_of
from models.prompts.ngrams import embed
from models.training import word_fit
from models.training.denoising import Networks
from pipeline.intake.title_warnings import prompt_warnings


def test_words_that_say_nothing_of_a_face_do_not_count() -> None:
    said = embed(["smiling", "a portrait of someone smiling", "The speaker is SMILING."], 256)
    assert torch.equal(said[0], said[1])
    assert torch.equal(said[0], said[2])


def test_left_and_right_are_far_apart() -> None:
    left, right = embed(["head turned to the left", "head turned to the right"], 256)
    assert torch.cosine_similarity(left, right, dim=0) < 0.5


def test_embeddings_are_as_large_as_layers_expect() -> None:
    rows = embed(["angry", "talks with a worried expression, facing left"], 256)
    torch.testing.assert_close(rows.square().mean(1), torch.ones(2))
    assert not embed(["", "a person who is talking"], 256).any()


def test_every_prompt_of_training_is_understood_before_any_step() -> None:
    meaning, mean = word_fit.fitted(256)
    names = [*EXPRESSIONS, *HEAD_POSES]
    given = every_prompt()
    read = embed([text for text, _, _ in given], 256) @ meaning.T + mean
    for row, (text, expression, turn) in zip(read, given, strict=True):
        assert names[int(row[: len(EXPRESSIONS)].argmax())] == expression, text
        turned = {name: float(row[names.index(name)]) > 0.5 for name in HEAD_POSES}
        assert turned == {name: name == turn for name in HEAD_POSES}, text


def test_a_branch_that_begins_anew_says_to_all_what_it_said_without_a_prompt() -> None:
    torch.manual_seed(0)
    branch = TextBranch(MINI.text, MINI.chain.unet)  # type: ignore[arg-type]
    for value in branch.parameters():
        torch.nn.init.normal_(value, std=0.1)
    before = branch(branch.null_embedding[None])
    word_fit.begin(branch, 0)
    after = branch(torch.cat([branch.null_embedding[None], embed(["angry"], 256)]))
    for name, modulation in before.items():
        torch.testing.assert_close(after[name].scale, modulation.scale.expand(2, -1))
        torch.testing.assert_close(after[name].shift, modulation.shift.expand(2, -1))


def test_synonyms_begin_alike_and_opposites_apart() -> None:
    branch = Networks().text
    word_fit.begin(branch, 0)
    first = next(iter(branch.sites.values()))[0]  # type: ignore[index]
    happy, cheerful, angry = first(embed(["happy", "a cheerful face", "angry"], 256))
    assert (happy - cheerful).norm() < 0.2 * (happy - angry).norm()


def test_some_prompts_only_turn_the_head() -> None:
    turned = [_direction(seed, Random(seed), held_out=False) for seed in range(300)]
    only = [text for direction, text in turned if direction.head_pose and direction.expression == "neutral"]
    assert any(not any(word in text for word in EXPRESSIONS["neutral"].words) for text in only)


def test_words_that_were_never_learned_are_said() -> None:
    plans = [SimpleNamespace(id="talk", prompts=((0, "a happy person"), (9, "joyful and calm"), (30, "Facing LEFT")))]
    lines = list(prompt_warnings(FAMILIES["mini"], plans))  # type: ignore[arg-type]
    assert len(lines) == 2
    assert "'joyful and calm'" in lines[0]
    assert "has not learned 'joyful':" in lines[0]
    assert "happy" in lines[1]
    assert not list(prompt_warnings(FAMILIES["hallo2"], plans))  # type: ignore[arg-type]


def test_what_may_be_asked_for_is_what_training_says() -> None:
    assert {word for text, _, _ in every_prompt() for word in words_of(text)} == set(KNOWN_WORDS)
