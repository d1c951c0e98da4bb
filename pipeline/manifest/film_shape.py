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


def frame_fault(
    options: Options, portrait: tuple[int, int], *, finds_faces: bool = False
) -> tuple[str, str] | None:
    """What keeps a portrait (width, height) from being a picture of its own shape: (option, text).

    `finds_faces`: the family does, so that a long portrait is cut around its face without being told where that is.
    """
    film, size = film_size(options, portrait), f"the portrait has {portrait[0]}x{portrait[1]} pixels"
    if film is None:
        return None
    if max(film) > LONGEST:
        most = LONGEST * options.resolution // max(film)
        return (
            "resolution",
            f"value {options.resolution}: {size}, the picture would have {film[0]}x{film[1]}, at most {LONGEST} an "
            f"edge; expected {most} or less, or frame: square",
        )
    if max(portrait) > MOST_LONG * min(portrait) and options.face_box is None and not finds_faces:
        return (
            "frame",
            f'value "portrait": {size}, one edge over {MOST_LONG} times the other; expected face_box beside it, around '
            "which it is cut to that, or frame: square",
        )
    return None
