"""Who comes first: lines of titles that wait for a role, and the fair shares of their owners.

A line is kept in order while titles come and go, so that the first is found at once however many wait. Titles stand in
ranks (priority, then urgency); within a rank the owner who has had least for its share is next, and of an owner's
titles the one with the smallest key.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator

Rank = tuple[int, ...]
Key = tuple[object, ...]

NOBODY = ""  # owns what is handed out whoever's turn it is


class TitleQueue:
    """Titles that wait, best first."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[Rank, str, Key]] = {}
        self._ranks: dict[Rank, dict[str, list[tuple[Key, str]]]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def put(self, name: str, rank: Rank, owner: str, key: Key) -> None:
        """Give a title its place, wherever it stood before."""
        place = (rank, owner, key)
        if self._places.get(name) == place:
            return
        self.remove(name)
        self._places[name] = place
        insort(self._ranks.setdefault(rank, {}).setdefault(owner, []), (key, name))

    def remove(self, name: str) -> None:
        place = self._places.pop(name, None)
        if place is None:
            return
        rank, owner, key = place
        owners = self._ranks[rank]
        titles = owners[owner]
        del titles[bisect_left(titles, (key, name))]
        if not titles:
            del owners[owner]
            if not owners:
                del self._ranks[rank]

    def rank(self, name: str) -> Rank:
        return self._places[name][0]

    def key(self, name: str) -> Key:
        return self._places[name][2]

    def best(self, fair: FairShares) -> Iterator[str]:
        """Titles from the best on. Whoever takes one asks anew for the next: by then it is another owner's turn."""
        for rank in sorted(self._ranks):
            owners = self._ranks[rank]
            for owner in sorted(owners, key=lambda owner: (fair.had(owner), owner)):
                for _, name in tuple(owners[owner]):  # whoever looks may take some out meanwhile
                    yield name


class FairShares:
    """What every owner has had of a role, in units divided by its share.

    An owner that comes (back) begins level with the least served of those who are there: time spent absent is no claim.
    """

    def __init__(self, shares: dict[str, float]):
        self._shares = shares
        self._had: dict[str, float] = dict.fromkeys(shares, 0.0)
        self._present: Counter[str] = Counter()

    def had(self, owner: str) -> float:
        return self._had.get(owner, 0.0)

    def come(self, owner: str) -> None:
        """One more title of the owner is there to be worked on."""
        if not self._present[owner]:
            others = [self._had[other] for other, titles in self._present.items() if titles]
            self._had[owner] = max(self._had[owner], min(others, default=0.0))
        self._present[owner] += 1

    def go(self, owner: str) -> None:
        self._present[owner] -= 1

    def charge(self, owner: str, units: int) -> None:
        self._had[owner] += units / self._shares[owner]

    def ahead(self, owner: str, other: str) -> float:
        """Units by which an owner is ahead of another, in units of its own share."""
        return (self._had[owner] - self._had[other]) * self._shares[owner]
