from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.safe_text import printable, redact


def test_no_text_moves_the_cursor() -> None:
    assert printable("a\x1b[2Jb\rc\u202ed\ud800 ü\n\t✓") == "a\\x1b[2Jb\\x0dc\\u202ed\\ud800 ü\n\t✓"


@given(st.text())
def test_printing_twice_changes_nothing(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize("part", ["a", "a://", "a://b:", "a://b@", "://@", "a://?b=", "@a://b:c", "a:", "x#"])
def test_hiding_takes_time_in_proportion(part: str) -> None:
    """Seconds of processor for megabytes; hours, if every part were compared with all that follow."""
    text = part * (200_000 // len(part))
    started = time.process_time()
    redact(text + "@" + text)
    assert time.process_time() - started < 20
