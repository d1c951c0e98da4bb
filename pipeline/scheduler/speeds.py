"""Measured speeds: seconds that a worker takes for a unit, for every role and class of device."""

from __future__ import annotations

from pipeline.scheduler.work import Role

NEWEST = 0.2  # weight of a new measurement in the running mean


class Speeds:
    def __init__(self) -> None:
        self._seconds: dict[tuple[Role, str], float] = {}

    def note(self, role: Role, device: str, seconds: float, units: int) -> None:
        """`units` took one worker `seconds`."""
        if units <= 0:
            return
        now, before = seconds / units, self._seconds.get((role, device))
        self._seconds[role, device] = now if before is None else before + NEWEST * (now - before)

    def seconds(self, role: Role, device: str | None = None) -> float | None:
        """Of one unit on a class of device; the mean of all classes where none is named or none of it was measured."""
        if device is not None and (role, device) in self._seconds:
            return self._seconds[role, device]
        known = [seconds for (other, _), seconds in self._seconds.items() if other == role]
        return sum(known) / len(known) if known else None
