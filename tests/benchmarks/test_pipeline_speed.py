"""The arithmetic of the pipelining benchmark."""

from __future__ import annotations

import pytest

from benchmarks.pipeline import GOP_CHAIN, GOP_UPSCALE, Call, bound, summary


def test_the_bound_is_the_busiest_stage_with_its_fill() -> None:
    assert bound(10, 2, 1.0, 0.5) == pytest.approx(1 + 10 * GOP_CHAIN + GOP_UPSCALE + 0.5)
    assert GOP_CHAIN > GOP_UPSCALE  # one upscaler keeps up with a chain
    slow = bound(1, 1, 0.0, 0.0)
    assert slow == GOP_CHAIN + GOP_UPSCALE


def test_a_run_is_held_against_its_calls() -> None:
    chain = [Call("chain", 1 + k * GOP_CHAIN, 1 + (k + 1) * GOP_CHAIN) for k in range(4)]
    upscale = [Call("upscale", one.end, one.end + GOP_UPSCALE) for one in chain]
    end = upscale[-1].end
    found = summary([Call("features", 0, 1), *chain, *upscale, Call("finish", end, end + 2)], 4, 1)
    assert found["serial"] == pytest.approx(1 + 4 * (GOP_CHAIN + GOP_UPSCALE) + 2)
    assert found["pipelined"] == pytest.approx(end + 2)
    assert found["over"] == pytest.approx(0)
    late = summary([Call("features", 0, 1), *chain, *upscale[:-1], Call("upscale", end, end + GOP_UPSCALE)], 4, 1)
    assert late["over"] > 0.05
