"""Machines asked for ahead of the work, on a cluster that grows: they boot while portraits and sound are prepared.

Such a request stays with Ray's autoscaler until it is taken back, and would pay for machines for ever if its driver
died first. So it is not the driver that makes it but a keeper, an actor that outlives the driver for half a minute: it
takes the request back when it is told to, and when it has heard nothing for that long.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError

LEASE = 30.0  # seconds without a word after which the keeper takes the request back
WORD_EVERY = 5.0
LONGEST = 900.0  # seconds: machines that have not come by then are not to be had

Bundle = dict[str, float]

log = logging.getLogger("longtake")


class Keeper:
    """Run as a detached actor. After a restart on another machine it waits for its driver's next word."""

    def __init__(self, lease: float):
        self._lease, self._heard = lease, time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def hold(self, bundles: list[Bundle]) -> None:
        self._heard = time.monotonic()
        request_resources(bundles=bundles)

    def clear(self) -> None:
        request_resources(bundles=[])

    def _watch(self) -> None:
        while time.monotonic() < self._heard + self._lease:
            time.sleep(self._lease / 10)
        self.clear()
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)


class Prewarm:
    """The driver's side. `turn` is called in every turn of its loop; `clear` whatever happens. Never raises."""

    def __init__(self, bundles: list[Bundle], lease: float = LEASE):
        self._bundles = bundles
        self._keeper: Any = None
        self._until, self._said = time.monotonic() + LONGEST, float("-inf")
        if bundles:
            # On the driver's side nothing waits for it: a cluster that has no room for it grows without a head start.
            kept = ray.remote(Keeper).options(num_cpus=0, lifetime="detached", max_restarts=-1)
            self._keeper = kept.remote(lease)
            self.turn()

    def turn(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            self.clear()
        if self._keeper is not None and now >= self._said + WORD_EVERY:
            self._said = now
            self._keeper.hold.remote(self._bundles)

    def clear(self) -> None:
        """Take the request back; later calls do nothing."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        try:
            ray.get(keeper.clear.remote(), timeout=10)
            ray.kill(keeper)
        except RayError as error:
            log.warning("machines asked for ahead of the work: %s; the request ends by itself", error)


def ahead(chains: int, upscalers: int, chain: Bundle, upscale: Bundle, have: float) -> list[Bundle]:
    """What to ask for: a machine's place for every worker, unless the accelerators that are there hold them all."""
    bundles = [chain] * chains + [upscale] * upscalers
    return bundles if sum(bundle.get("GPU", 0.0) for bundle in bundles) > have else []
