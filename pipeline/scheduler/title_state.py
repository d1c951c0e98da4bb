"""What the scheduler knows of one title: its size, what is committed, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.core.pieces import Interval
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Done, Kind, Reason, Role, Scanned


def _within(gop: int, shown: tuple[Interval, ...]) -> bool:
    return any(first <= gop < stop for first, stop in shown)


@dataclass
class TitleState:
    """Of a title, or of one of its scenes. What is there of the scenes is there of their title, too."""

    work: TitleWork
    scenes: tuple[str, ...] = ()  # names of a title's scenes, once it is known where they begin
    joins: set[int] = field(default_factory=set)  # GOPs in which one of them becomes the next
    joinable: set[int] = field(default_factory=set)  # those whose latents are there
    scanned: bool = False
    visit: int = 0  # how often the store was looked at anew, because something in it was damaged
    best: tuple[int, int] = (0, 0)  # most units that were committed, and that were known to be remade
    in_vain: int = 0  # looks since then that brought neither
    sound: bool = False
    conditioning: bool = False
    blocks: set[int] = field(default_factory=set)
    block_prefix: int = 0  # blocks that are there without a gap
    lanes: int | None = None  # of the batch that its chain was begun in
    chained: int = 0
    streamed: int = 0  # contiguous prefix
    beyond: set[int] = field(default_factory=set)  # streamed GOPs after the prefix
    listed: int = 0  # GOPs in the last playlist
    listed_at: float = float("-inf")
    done: bool = False
    failed: Reason | None = None
    paused: Reason | None = None

    @property
    def over(self) -> bool:
        return self.done or self.failed is not None or self.paused is not None

    @property
    def active(self) -> bool:
        return self.scanned and not self.over

    def load(self, found: Scanned) -> None:
        """Replace what is known by what the store holds."""
        self.scanned = True
        self.scenes = tuple(work.id for work, _ in found.scenes)
        self.sound, self.conditioning, self.done = found.sound, found.conditioning, found.done
        self.blocks, self.block_prefix = set(found.blocks), 0
        self.lanes = found.lanes or self.lanes
        self.chained = min(found.chained, self.work.gops)
        self.streamed, self.beyond = 0, {gop for gop in found.streamed if gop < self.work.gops} | self._hidden()
        self._advance()
        self.note_progress(found.remade)

    def _hidden(self) -> set[int]:
        """GOPs of a scene that its film does not show: they are chained, for what follows them, and never upscaled."""
        return {gop for gop in range(self.work.gops) if self.work.shown and not _within(gop, self.work.shown_gops)}

    @property
    def to_upscale(self) -> int:
        """GOPs that are chained and not upscaled."""
        there = sum(gop < self.chained for gop in self.beyond) if self.work.shown else len(self.beyond)
        return max(0, self.chained - self.streamed - there)

    def note_progress(self, remade: int = 0) -> None:
        """Before and after the store is looked at anew. Making the same unit again and again is none."""
        units = self.sound + self.conditioning + len(self.blocks) + self.chained + self.streamed + len(self.beyond)
        best = max(self.best[0], units), max(self.best[1], remade)
        if best != self.best:
            self.best, self.in_vain = best, 0

    def commit(self, item: Done) -> None:
        match item.kind:
            case "sound":
                self.sound = True
            case "conditioning":
                self.conditioning = True
            case "features":
                self.blocks.add(item.unit)
                self._advance()
            case "chain":
                self.chained = max(self.chained, item.unit + 1)
            case "upscale":
                self.stream(item.unit)
            case "finish":
                self.done = True

    def stream(self, gop: int) -> None:
        """A GOP's fragment is there."""
        if gop >= self.streamed:
            self.beyond.add(gop)
            self._advance()

    def is_committed(self, kind: Kind, number: int) -> bool:
        match kind:
            case "sound":
                return self.sound
            case "conditioning":
                return self.conditioning
            case "features":
                return number in self.blocks
            case "chain":
                return number < self.chained
            case "upscale":
                return number < self.streamed or number in self.beyond
            case "finish":
                return self.done
            case "playlist":
                return False

    def heard(self) -> bool:
        """Whether the blocks of features that the next GOP of the chain reads are there."""
        return self.block_prefix >= self.work.blocks_for(self.chained)

    @property
    def prepared(self) -> bool:
        if self.work.in_scenes:  # all else is its scenes'
            return self.sound
        return self.sound and self.conditioning and self.block_prefix >= self.work.blocks_needed

    def expects(self, role: Role) -> bool:
        """Whether the role will have work before this title is over."""
        if self.over:
            return False
        if not self.scanned:  # nobody is sent home while the store is looked at
            return True
        match role:
            case "prepare":
                return not self.prepared
            case "chain":
                return self.chained < self.work.gops and not self.scenes
            case "upscale":
                return self.streamed < self.work.gops and not (self.scenes and not self.joins)
            case "publish":
                return not self.work.film

    def _advance(self) -> None:
        while self.streamed in self.beyond:
            self.beyond.discard(self.streamed)
            self.streamed += 1
        while self.block_prefix in self.blocks:
            self.block_prefix += 1
