"""How many workers a role should have: pure arithmetic over what is waiting and how fast it was seen to go."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.scheduler.work import Role

CLEAR_WITHIN = 60.0  # seconds in which a backlog is to be worked off
HOLD = 60.0  # seconds for which fewer upscalers must do before some are sent home


@dataclass(frozen=True)
class Limits:
    """Most workers of each role, titles in one chain worker's batch, and devices that such a worker has.

    `chain_floor`, `upscale_floor`: workers that are kept from first to last. `upscale_after`: most upscalers once
    chains have left them their devices.
    """

    prepare: int = 1
    chain: int = 1
    upscale: int = 1
    publish: int = 1
    lanes: int = 1
    chain_devices: int = 1
    upscale_after: int = 0
    chain_floor: int = 0
    upscale_floor: int = 0

    def of(self, role: Role, chains: int | None = None) -> int:
        """Most workers of a role. `chains`: how many are there or still needed, where some may have left for good."""
        most: int = getattr(self, role)
        if role == "upscale" and chains is not None:
            most = max(most, min(self.upscale_after, most + self.chain_devices * max(0, self.chain - chains)))
        return most

    def floor(self, role: Role) -> int:
        return {"chain": self.chain_floor, "upscale": self.upscale_floor}.get(role, 0)


def upscalers_wanted(have: int, idle: int, starting: int, backlog: int, arriving: float, seconds: float | None) -> int:
    """Upscalers that keep up with the chains and work off the backlog.

    `backlog`: GOPs that wait or are in hand; `arriving`: GOPs that chains make in a second; `seconds`: of one upscaler
    for a GOP, None until measured: till then the pool grows by one at a time, when all are busy.
    """
    if seconds is None:
        return have + 1 if backlog > have and not idle and not starting else have
    keep_up = arriving * seconds
    clear = backlog * seconds / CLEAR_WITHIN
    return min(-int(-(keep_up + clear) // 1), backlog + -int(-keep_up // 1))


def chains_wanted(titles: int, lanes: int) -> int:
    """Chain workers that hold `titles` in their lanes."""
    return -(-titles // lanes)
