"""How much there is to do of a title, or of one of its scenes, as the scheduler needs to know it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.pieces import Interval


@dataclass(frozen=True)
class TitleWork:
    """The size of a title. `gops` is what this run is to make: all of them, or a preview's.

    `in_scenes`: its pictures are made scene by scene. Of a scene `film` is its title, `first` its first GOP there, and
    `shown` which of the scene's own GOPs the film shows, all of them where empty; `gops` then ends with the last.
    """

    id: str
    priority: int
    gops: int
    blocks: int  # of features, in the whole title
    segment: int  # GOPs of one call of upscaling, at most
    block_of_gop: tuple[int, int] = (1500, 48)  # frames of a block of features, and of a GOP
    reach: int = 0  # frames beyond the GOP that its last clip hears
    last_clips: int = 3  # of the last GOP of this run
    owner: str = ""  # owners share the workers,
    share: float = 1.0  # each in proportion to this
    due: float | None = None  # when it is to be done, on the scheduler's clock
    in_scenes: bool = False
    joined: bool = False  # its scenes dissolve into each other: the last GOP of each but the last is its own
    film: str = ""
    first: int = 0
    shown: tuple[Interval, ...] = ()

    @property
    def shown_gops(self) -> tuple[Interval, ...]:
        return self.shown or ((0, self.gops),)

    @property
    def in_film(self) -> tuple[Interval, ...]:
        """What the film shows of a scene, in GOPs of the film."""
        return tuple((self.first + first, self.first + stop) for first, stop in self.shown_gops)

    def blocks_for(self, gop: int) -> int:
        """Number of blocks, from the first on, that GOP `gop` needs."""
        block, size = self.block_of_gop
        return min(self.blocks, ((gop + 1) * size + self.reach - 1) // block + 1)

    @property
    def blocks_needed(self) -> int:
        """Number of blocks, from the first on, that this run needs."""
        return self.blocks_for(self.gops - 1)
