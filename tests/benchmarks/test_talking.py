"""What the talking benchmark measures with: figures, sounds, and faces that are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.talking.figures import Figure, missed
from benchmarks.talking.minutes import minute_by_minute
from benchmarks.talking.prompts import turn, wishes
from benchmarks.talking.titles import Asked, Title, render, shuffled, sitter, spoken
from benchmarks.talking.watched import Film, drawn, opening, regions
from models.drawn.expressions import EXPRESSIONS as WORDS
from models.drawn.expressions import HELD_OUT_WORDS
from models.drawn.splits import split_of
from models.measures import course as measures
from models.measures.expression_reader import ExpressionReader, cut
from models.measures.face_reader import EXPRESSIONS
from models.measures.picture import Seen

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_figure_is_good_between_its_limits() -> None:
    assert Figure("a", 0.81, low=0.8).good
    assert not Figure("a", 0.79, low=0.8).good
    assert not Figure("a", 1.31, 0.5, 1.3).good
    assert Figure("a", None, low=0.8).good is False  # what could not be measured is not good
    assert Figure("a", 5.0).good is None
    assert missed([Figure("a", 0.0, low=1), Figure("b", 1.0, low=1), Figure("c", 0.0)]) == 1
    assert "at least 0.8" in Figure("a", 0.5, low=0.8).line()
    assert Figure("a", 0.5, low=0.8).line().endswith("NO")


def test_shuffled_sound_is_the_same_sound_elsewhere() -> None:
    sound = spoken(25 * 8, None)
    other = shuffled(sound)
    assert len(other) == len(sound)
    pieces, moved = sound.split(16000), other.split(16000)
    assert all(not torch.equal(a, b) for a, b in zip(pieces, moved, strict=True))
    assert sorted(float(p.sum()) for p in pieces) == sorted(float(p.sum()) for p in moved)
    assert abs(float(np.corrcoef(opening(sound), opening(other))[0, 1])) < 0.4


def test_the_examples_sound_goes_on_with_pauses() -> None:
    sound = spoken(25 * 20, None)
    assert len(sound) == 20 * 16000
    quiet = [bool((piece.abs() < 1e-4).all()) for piece in sound.split(1600)]
    assert 3 <= sum(quiet) < 100


def test_the_renderers_own_film_is_what_its_sound_asks_for() -> None:
    who = sitter(29)
    assert split_of(who.seed) == "test"
    course = drawn(who, spoken(24, None))
    r, _ = measures.best_lag(np.array([one.mouth for one in course.seen]), course.target)
    assert r is not None
    assert r > 0.9


@pytest.mark.parametrize("unknown", [False, True])
def test_wishes_use_words_that_training_knew_or_kept_out(unknown: bool) -> None:
    found = wishes(7, unknown=unknown)
    assert [one.name for one in found] == [*EXPRESSIONS, "left", "right"]
    for one in found[: len(EXPRESSIONS)]:
        words = WORDS[one.name].words
        offered = words[-HELD_OUT_WORDS:] if unknown else words[:-HELD_OUT_WORDS]
        assert any(word in one.text for word in offered)
    assert turn(torch.tensor([0.3, 0.1])) == "right"
    assert turn(torch.tensor([-0.3, 0.0])) == "left"
    assert turn(torch.tensor([0.05])) == "ahead"
    logits = torch.zeros(3, len(EXPRESSIONS))
    logits[:, 1] = 1
    assert found[1].met(logits, torch.zeros(3))
    assert not found[2].met(logits, torch.zeros(3))


def test_a_rest_belongs_to_the_minute_before() -> None:
    blank = Seen(0, 0, 0, 0, (0, 0, 0), np.zeros(1, np.float32), (0, 0), 0, 0)
    lengths = [
        [len(one.seen) for one in minute_by_minute(measures.Course([blank] * n, np.zeros(n)))]
        for n in (200, 1500, 1900, 2100)
    ]
    assert lengths == [[200], [1500], [1900], [1500, 600]]


def test_a_face_is_cut_out_even_at_the_edge() -> None:
    pictures = torch.rand(2, 3, 64, 64)
    found = cut(pictures, (-4, 20, 30, 60), 16)
    assert found.shape == (2, 3, 16, 16)
    inner = cut(pictures, (26, 26, 38, 38), 15)  # a square of 15 pixels
    assert inner.shape == (2, 3, 15, 15)
    network = ExpressionReader().eval()
    logits, yaw = network.read(pictures[0], pictures, (10, 10, 50, 50))
    assert (logits.shape, yaw.shape) == ((2, 8), (2,))


@pytest.mark.slow
def test_titles_are_rendered_as_users_render(tmp_path: Path) -> None:
    who = sitter(29)
    asked = Asked(tmp_path, None, "mini", 128, 128, 1, "lanczos")
    made = render([Title("one", who, spoken(20, None), ((0.0, "smiling"),))], asked)
    course = Film(made["one"], who).course(opening(spoken(20, None)))
    assert len(course.seen) == 20
    assert course.target.shape == (20,)
    assert Film(made["one"], who).frames(4, 9).shape == (5, 3, 256, 256)
    before = made["one"].stat().st_mtime_ns
    render([Title("one", who, spoken(20, None), ((0.0, "smiling"),))], asked)
    assert made["one"].stat().st_mtime_ns == before  # what is done stays
    assert regions(who).face[2] <= 256
