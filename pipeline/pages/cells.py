"""When and where a title was made, in a size that does not grow with its length: GOPs fall into at most 720 cells."""

from __future__ import annotations

from array import array
from calendar import timegm
from time import strptime
from typing import Literal

from pipeline.core.timeline import GOP
from pipeline.store.record import Record
from pipeline.titles.gate_facts import GateCount

MOST_CELLS = 720
MOST_HOSTS = 50  # named; what others made is added up

Stage = Literal["chain", "stream"]
STAGES: tuple[Stage, ...] = ("chain", "stream")


class Cells:
    """The records of a title, added up. A title of up to 720 GOPs (23 minutes) has a cell for each."""

    def __init__(self, gops: int):
        self.gops = gops
        self.per_cell = max(1, -(-gops // MOST_CELLS))
        self.count = -(-gops // self.per_cell)
        self.read = dict.fromkeys(STAGES, 0)  # records of each stage that are in, from GOP 0 on
        self._stages = {stage: _Stage(self.count) for stage in STAGES}
        self._hosts: dict[str, dict[str, float]] = {}
        self._gate = GateCount()

    def add(self, stage: Stage, record: Record) -> None:
        """The next record of a stage."""
        cell = record.first // GOP // self.per_cell
        at, seconds = _moment(record.made.get("at")), _number(record.made.get("seconds"))
        host = self._host(str(record.made.get("host") or "unknown")[:200])
        self._stages[stage].add(cell, at, seconds, list(self._hosts).index(host), record.generation)
        if stage == "chain":
            self._gate.add(record, record.first)
        told = self._hosts[host]
        told[stage] += 1
        told["seconds"] += seconds
        self.read[stage] += 1

    def _host(self, name: str) -> str:
        if name not in self._hosts and len(self._hosts) >= MOST_HOSTS:
            name = "others"
        self._hosts.setdefault(name, {"chain": 0, "stream": 0, "seconds": 0.0})
        return name

    def plain(self) -> dict[str, object]:
        """For pages: one list for each fact, a cell's value at its place; `at` is when its last GOP was committed."""
        hosts = [{"name": name, **told, "seconds": round(told["seconds"], 1)} for name, told in self._hosts.items()]
        stages: dict[str, object] = {stage: facts.plain() for stage, facts in self._stages.items()}
        found = {"gops": self.gops, "per_cell": self.per_cell, "hosts": hosts, **stages}
        return found | ({"gate": told} if (told := self._gate.told()) else {})


class _Stage:
    def __init__(self, cells: int):
        self.made, self.again, self.host = (array("i", bytes(4 * cells)) for _ in range(3))
        self.at, self.seconds = array("d", bytes(8 * cells)), array("d", bytes(8 * cells))

    def add(self, cell: int, at: float, seconds: float, host: int, generation: int) -> None:
        self.host[cell] = host if self.made[cell] == 0 or self.host[cell] == host else -1
        self.made[cell] += 1
        self.again[cell] += generation > 0
        self.at[cell] = max(self.at[cell], at)
        self.seconds[cell] += seconds

    def plain(self) -> dict[str, object]:
        used = max((cell + 1 for cell, made in enumerate(self.made) if made), default=0)  # the rest is empty
        return {
            "made": list(self.made[:used]),
            "at": [round(at) for at in self.at[:used]],
            "seconds": [round(seconds, 2) for seconds in self.seconds[:used]],
            "host": list(self.host[:used]),
            "again": {str(cell): count for cell, count in enumerate(self.again[:used]) if count},
        }


def _moment(text: object) -> float:
    try:
        return float(timegm(strptime(str(text), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else 0.0
