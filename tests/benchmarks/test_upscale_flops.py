"""What upscaling costs by count: the published order as its facts have it, and ours below it."""

from __future__ import annotations

import pytest

from benchmarks.networks.upscale_flops import flop_a_second


@pytest.mark.slow
def test_the_published_order_costs_what_is_known_of_it() -> None:
    found = flop_a_second(1024)
    assert found["published"] == pytest.approx(237e12, rel=0.02)
    assert found["ours"] == found["same passes"] < found["published"] / 1.6
    assert flop_a_second(2048)["ours"] > 2 * found["ours"]  # a second pass, of four times as many pixels
