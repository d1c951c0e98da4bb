"""What is heard without pictures: the same stretches every time, a prompt's numbers beside its words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.data.speech import Corpus
from models.data.spoken_pool import SpokenPool
from models.diffusion.movement import NUMBERS
from models.families.config import MovementConfig
from models.families.vocabulary import ASKED
from tests.support.training_speech import corpus

CONFIG = MovementConfig()


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SpokenPool:
    return SpokenPool(corpus(tmp_path_factory.mktemp("speech")), 12, CONFIG)


def test_frames_are_drawn_with_what_is_heard_around_them(pool: SpokenPool) -> None:
    heard, prompts, numbers = pool.draw(40, torch.Generator().manual_seed(1))
    assert heard.shape == (40, CONFIG.window, CONFIG.rows, CONFIG.bands)
    assert prompts.shape == (40, len(ASKED))
    assert numbers.shape == (40, len(NUMBERS))
    again = pool.draw(40, torch.Generator().manual_seed(1))
    assert all(torch.equal(one, other) for one, other in zip((heard, prompts, numbers), again, strict=True))


def test_a_smile_is_asked_for_where_one_is_seen(pool: SpokenPool) -> None:
    _, prompts, numbers = pool.draw(600, torch.Generator().manual_seed(2))
    smile, happy = numbers[:, NUMBERS.index("smile")], prompts[:, ASKED.index("smile")] > 0
    assert (prompts.sum(1) == 0).any(), "some stretches have no prompt"
    if happy.any():
        assert smile[happy].mean() > smile[prompts.sum(1) == 0].mean() + 0.3


def test_the_same_numbers_for_the_same_stretch(tmp_path: Path) -> None:
    speech: Corpus = corpus(tmp_path)
    one, other = (SpokenPool(speech, 2, CONFIG).draw(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
