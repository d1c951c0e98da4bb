"""Many things at once, in order and within bounds; and a process that ends does not wait for them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from itertools import count

import pytest

from pipeline.core.daemon_pool import DaemonPool
from pipeline.core.parallel import parallel_map


def test_answers_come_in_order_and_so_many_at_once() -> None:
    together = threading.Barrier(4, timeout=20)

    def action(number: int) -> int:
        together.wait()
        return -number

    assert list(parallel_map(action, range(8), threads=4)) == [-number for number in range(8)]
    assert list(parallel_map(action, [])) == []


def test_no_more_is_begun_than_is_asked_for_soon() -> None:
    begun: list[int] = []
    answers = parallel_map(begun.append, count(), threads=2)
    for _ in range(5):
        next(answers)
    time.sleep(0.05)
    assert 5 <= len(begun) <= 5 + 4 * 2
    answers.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    before = len(begun)
    time.sleep(0.05)
    assert len(begun) == before


def test_what_fails_is_raised_in_its_place() -> None:
    def action(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    found = []
    with pytest.raises(ValueError, match="three"):
        found.extend(parallel_map(action, range(10)))
    assert DaemonPool("one").submit(lambda: 1).result(20) == 1


def test_a_process_ends_though_an_answer_never_comes() -> None:
    code = (
        "import time\n"
        "from pipeline.core.parallel import parallel_map\n"
        "answers = parallel_map(lambda seconds: time.sleep(seconds), [0, 600, 600, 600])\n"
        "next(answers)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
