"""How much of a window an upscaler's networks see at once, so that it fits the memory of its device.

`fitting` is arithmetic alone: bytes that are free, sizes, and what the family's networks hold (`Footprint`, counted
with `benchmarks.networks.live_bytes`), to a `Pieces`. Frames in a group change the result by rounding; tiles change it
by more, because a tile sees only `tile_pad` pixels of its neighbours. Both therefore belong to the numerics
class wherever they are not the family's own figures, and a title goes on in the pieces that it was begun with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

WINDOW = 16  # frames that the restorer sees
KEPT = 64  # base frames at hand: those of a GOP with what it reads before
NUMBER = 4  # bytes of one in float32
GROUPS = (8, 4, 2, 1)
TILES = (0, 1024, 512, 256, 128)  # 0: whole pictures, which cost least time
USUAL = 0.75  # of a device's memory that is free beside an upscaler's weights, and a chain's on a card of 24 GB
SHARE = 0.6  # of what is free: kernels need workspaces, and an allocator loses some between its blocks


@dataclass(frozen=True)
class Pieces:
    group: int  # frames that a network sees at once
    tile: int  # pixels a side that the x2 network sees at once, without its margin; 0: whole pictures

    def smaller(self, side: int) -> Pieces | None:
        """About half; None where that would be less than the smallest. `side`: of the x2 network's largest input."""
        found = Pieces(1, max(TILES[-1], (min(self.tile, side) if self.tile else side) // 2))
        return found if self.group > 1 or (found.tile < side and found.tile != self.tile) else None


@dataclass(frozen=True)
class Footprint:
    """Most bytes that a family's networks hold beside their weights, in float32."""

    enlarged_pixel: int  # a pixel of the x2 network's input
    restored_frame: int  # a frame of the restorer's group
    kept_frame: int  # what is kept of each frame of the window, between the restorer's two halves
    decoded_frame: int  # a frame of the autoencoder's group
    picture_pixel: int  # a pixel of the picture, of whatever is made of it between networks and planes


def largest_input(base: int, resolution: int) -> int:
    """Pixels a side of what the last x2 pass from `base` to `resolution` is given; 0 where no pass is needed."""
    side = 0
    while max(side * 2, base) < resolution:
        side = side * 2 or base
    return side


def needed(pieces: Pieces, base: int, resolution: int, of: Footprint, decoded: int = 1, pad: int = 40) -> int:
    """Most bytes held at once; `decoded`: frames that the autoencoder decodes at once, `pad`: the margin of a tile."""
    side = largest_input(base, resolution)
    seen = min(side, pieces.tile + 2 * pad) if pieces.tile else side
    enlarging = seen**2 * of.enlarged_pixel + max(resolution, 2 * side) ** 2 * of.picture_pixel
    restoring = WINDOW * of.kept_frame + pieces.group * max(of.restored_frame, enlarging)
    return KEPT * 3 * NUMBER * base**2 + max(decoded * of.decoded_frame, restoring)


def fitting(free: int, base: int, resolution: int, of: Footprint, decoded: int = 1, pad: int = 40) -> Pieces:
    """The pieces for a device with `free` bytes: the largest tiles that fit, then the largest group.

    Whole pictures go before several frames, because the margins of tiles are work. Where nothing fits, the smallest.
    """
    side = largest_input(base, resolution)
    for tile in TILES:
        if tile >= side > 0:
            continue  # as good as whole pictures, which did not fit
        for group in GROUPS:
            if needed(Pieces(group, tile), base, resolution, of, decoded, pad) <= free * SHARE:
                return Pieces(group, tile)
    return Pieces(1, TILES[-1])


class Fitted:
    """The pieces of one worker: the family's own until memory says otherwise, and never larger again once it ran out.

    `free` is what the device has free, and what this process holds there without using it; None where the family's own
    figures hold, as on a processor: there the bits must not depend on what else is running.
    """

    def __init__(self, own: Pieces, of: Footprint | None, decoded: int, pad: int) -> None:
        self.now = self._own = own
        self._of, self._decoded, self._pad = of, decoded, pad
        self._side = 0
        self._chosen: dict[tuple[int, int], Pieces] = {}
        self._planned = self._shrunk = False

    def choose(
        self,
        base: int,
        resolution: int,
        free: int | None,
        begun: Mapping[str, Any] | None = None,
        total: int | None = None,
    ) -> None:
        """For pictures of a size; `begun`: the numerics class that a title was begun in, whose pieces are taken.

        `total`: bytes of the device. Where they are given they decide, so that every worker on such a device takes the
        same pieces whatever else runs there; `free` decides only where that would not fit.
        """
        self._side = largest_input(base, resolution)
        if self._shrunk:
            return
        self.now, self._planned = self._own, free is not None and self._of is not None
        if free is None or self._of is None:
            return
        theirs = {name: (begun or {}).get(name) for name in ("group", "tile")}
        if isinstance(theirs["group"], int) and isinstance(theirs["tile"], int):
            self.now = Pieces(theirs["group"], theirs["tile"])
            return
        if (base, resolution) not in self._chosen:  # once: what is free now is what earlier pictures left
            said = base, resolution, self._of, self._decoded, self._pad
            found = fitting(free if total is None else int(total * USUAL), *said)
            if needed(found, *said) > free * SHARE:
                found = fitting(free, *said)
            self._chosen[base, resolution] = found
        self.now = self._chosen[base, resolution]

    def shrink(self) -> bool:
        """Memory ran out: take smaller pieces from now on. False where that was done before, or cannot be done."""
        found = None if self._shrunk else self.now.smaller(self._side)
        if found is None:
            return False
        self.now, self._shrunk = found, True
        return True

    def told(self) -> dict[str, int]:
        """What the numerics class names: nothing where the pieces are always the family's own."""
        return asdict(self.now) if self._planned or self._shrunk else {}
