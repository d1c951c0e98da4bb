"""The shape of a film that shows the whole portrait, not a square of it."""

from __future__ import annotations

from pipeline.manifest.options import Options

LONGEST = 4096  # pixels of the longer edge
MOST_LONG = 2  # times the shorter edge


def film_size(options: Options, portrait: tuple[int, int]) -> tuple[int, int] | None:
    """Width and height of the picture of a portrait (width, height), where it has the portrait's shape; both even."""
    if options.frame == "square" or options.canvas != "none":
        return None
    width, height = portrait
    longer = options.resolution * min(max(portrait), MOST_LONG * min(portrait))
    long = (longer + min(portrait)) // (2 * min(portrait)) * 2
    return (long, options.resolution) if width >= height else (options.resolution, long)


def frame_fault(options: Options, portrait: tuple[int, int]) -> tuple[str, str] | None:
    """What keeps a portrait (width, height) from being a picture of its own shape: (option, text)."""
    film = film_size(options, portrait)
    if film is None or max(film) <= LONGEST:
        return None
    most = LONGEST * options.resolution // max(film)
    return (
        "resolution",
        f"value {options.resolution}: the portrait has {portrait[0]}x{portrait[1]} pixels, the picture would have "
        f"{film[0]}x{film[1]}, at most {LONGEST} an edge; expected {most} or less, or frame: square",
    )
