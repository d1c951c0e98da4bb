"""Machines asked for ahead of the work: the request is always taken back, even by a driver that was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.on_ray.prewarm import ahead
from tests.support.leftovers import descendants

CHANGED_WITHIN = 90.0  # seconds, on a busy machine
LEASE = 6.0
DRIVER = f"""
import sys, time
import ray
from pipeline.on_ray.prewarm import Prewarm
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
ask = Prewarm([{{"GPU": 1.0}}] * 3, lease={LEASE})
for line in sys.stdin:
    ask.turn() if line.strip() == "turn" else ask.clear()
"""


def requested(address: str) -> list[Any]:
    """What the autoscaler is asked for beside what work needs."""
    from ray._private.ray_constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
    from ray._raylet import GcsClient

    found = GcsClient(address=address).internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL, namespace=None)
    return json.loads(found) if found else []


def until(address: str, wanted: list[Any]) -> None:
    deadline = time.monotonic() + CHANGED_WITHIN
    while (found := requested(address)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@pytest.mark.parametrize("end", ["cleared", "killed"])
def test_a_request_is_taken_back_however_its_driver_ends(ray_address: Callable[[int], str], end: str) -> None:
    address = ray_address(4)
    command = [sys.executable, "-c", DRIVER, address]
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    try:
        until(address, [{"GPU": 1.0}] * 3)
        if end == "cleared":
            assert driver.stdin
            driver.stdin.write("clear\n")
            driver.stdin.flush()
            until(address, [])
    finally:
        driver.kill()
        driver.wait()
    until(address, [])
    until_no_keeper()


def until_no_keeper() -> None:
    """A keeper that stayed would keep its machine from being taken away."""
    deadline = time.monotonic() + CHANGED_WITHIN
    while any(name.startswith("ray::Keeper") for name in descendants(os.getpid()).values()):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_is_asked_for() -> None:
    chain, upscale = {"CPU": 1.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 0.5}
    assert ahead(2, 1, chain, upscale, have=1) == [chain, chain, upscale]
    assert ahead(2, 1, chain, upscale, have=2.5) == []
