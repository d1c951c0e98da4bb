"""How fast a title is rendered: frames a second over the last minute."""

from __future__ import annotations

from pipeline.core.timeline import GOP

OVER = 60.0  # seconds


class Throughput:
    """Marks of (moment, GOPs that are there); only as many as the last minute has."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []

    def mark(self, now: float, gops: int) -> None:
        if not self._marks or self._marks[-1][1] != gops:
            self._marks.append((now, gops))
        while len(self._marks) > 2 and now - self._marks[0][0] > OVER:
            self._marks.pop(0)

    @property
    def rate(self) -> float:
        """0 while nothing is known."""
        if len(self._marks) < 2 or self._marks[-1][0] == self._marks[0][0]:
            return 0.0
        return (self._marks[-1][1] - self._marks[0][1]) * GOP / (self._marks[-1][0] - self._marks[0][0])
