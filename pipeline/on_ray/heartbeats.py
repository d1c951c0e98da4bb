"""How long a worker may be silent before it is taken for hung, by what it is doing.

A sign of life is progress: a clip, a window, a second of sound, a request of the store, some megabytes of a file. So
silence is short whatever the title's length, and the times here are far beyond it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

# Seconds. Starting: networks are loaded, compiled and tried. A clip of the largest family takes half a minute on a
# slow card, a portrait its minutes on a processor; the rest is bytes, requests and seconds of sound, of which the
# slowest, a request that nobody answers, is given up and tried again after one minute.
ALLOWED = {
    "ready": 1800.0,
    "conditioning": 900.0,
    "features": 600.0,
    "chain": 600.0,
    "upscale": 600.0,
    "sound": 300.0,
    "playlist": 300.0,
    "finish": 300.0,
}
VARIABLE = "LONGTAKE_STUCK_SECONDS"  # one time for all kinds of work, for slower devices and for tests
LONGEST_TURN = 5.0


def allowed(kind: str) -> float:
    """Seconds without a sign of life after which a worker that does `kind` is replaced."""
    return float(os.environ.get(VARIABLE) or ALLOWED[kind])


class Listening:
    """A clock of the time during which the driver listened to its workers: what it missed is not their silence.

    `turn` is called whenever it listens. Example: a driver that was held up for ten minutes between two turns counts
    five seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._last, self.now = clock, clock(), 0.0

    def turn(self) -> None:
        last, self._last = self._last, self._clock()
        self.now += min(self._last - last, LONGEST_TURN)
