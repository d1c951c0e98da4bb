"""`python -m pipeline.detect FILE`: does a video or picture carry a watermark of Longtake, and which?

Nothing has to be known of the title. Exit 0 and the payload where a mark is found, 1 where none is, 2 for a file that
cannot be read. Several places of a long file are looked at, ten seconds each; memory does not grow with its length.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import av
import av.error
import click
import numpy as np
from av.container import InputContainer

from pipeline.core.command import run_command
from pipeline.core.errors import InputError
from pipeline.core.safe_text import redact
from pipeline.provenance.watermark import read_key
from pipeline.provenance.watermark_read import Reading, Seen, read_mark
from pipeline.sources.inputs import fetch
from pipeline.store.opening import open_store
from pipeline.titles.title_folders import read_json, title_ids

LOOKED_AT = (0.0, 0.5, 0.25, 0.75)  # places as shares of the length
TRIED_AFTER = (50, 250)  # frames of a place; most marks are read from the first two seconds
# Containers and pictures that hold their own data. Playlists and scripts, which name other files, stay out.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,flv,asf,ogg,mpeg,h264,hevc,ivf,obu,"
    "jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe,gif"
)


def find_mark(path: Path, key: str) -> Reading | None:
    """The watermark of a local video or picture, None where none is found. Raises InputError for a bad file."""
    try:
        with path.open("rb") as file, av.open(file, "r", options={"format_whitelist": _FORMATS}) as container:
            if not container.streams.video:
                raise InputError(f"{path.name}: holds no pictures; give a video or an image")
            length = container.duration or 0  # microseconds
            for share in LOOKED_AT if length > 20e6 else LOOKED_AT[:1]:
                if share:
                    container.seek(int(length * share))
                if reading := _mark_here(_luma(container), key):
                    return reading
    except av.error.FFmpegError as error:
        raise InputError(f"{path.name}: cannot be read as a video ({error.strerror}); give a whole file") from None
    except OSError as error:
        raise InputError(f"{path.name}: cannot be opened ({error.strerror}); give a readable file") from None
    return None


def _mark_here(frames: Iterator[np.ndarray], key: str) -> Reading | None:
    seen = Seen()
    for luma in frames:
        seen.add(luma)
        if seen.frames in TRIED_AFTER and (reading := read_mark(seen, key)):
            return reading
        if seen.frames >= TRIED_AFTER[-1]:
            return None
    return read_mark(seen, key) if seen.frames else None


def _luma(container: InputContainer) -> Iterator[np.ndarray]:
    """Luma of the frames from here on, as long as they keep their size. What is damaged is left out."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    size = None
    for frame in container.decode(stream):
        if size is None:
            size = frame.width, frame.height
        if (frame.width, frame.height) != size:
            return
        yield frame.to_ndarray(format="gray")


def title_with(payload: str, output: str) -> str | None:
    """The id of the title of an output that is marked with a payload, by what the titles' sidecars say."""
    store = open_store(output)
    for title in title_ids(store):
        sidecar = read_json(store, f"{title}/provenance.json") or {}
        mark = sidecar.get("watermark")
        if isinstance(mark, dict) and mark.get("payload") == payload:
            return title
    return None


@click.command()
@click.argument("file")
@click.option("--in", "output", metavar="OUTPUT", help="Name the title of this output folder or URL that it is of.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: str, output: str | None, as_json: bool) -> None:
    """Look for the watermark in FILE, a video or picture; exit 0 where one is found, 1 where none is.

    Marks made with a key of one's own are found with the same LONGTAKE_WATERMARK_KEY.
    """
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        path, _ = fetch(os.path.abspath(file) if "://" not in file else file, Path(folder))
        reading = find_mark(path, read_key())
    title = title_with(reading.payload, output) if reading and output else None
    if as_json:
        found: dict[str, object] = {"found": reading is not None}
        click.echo(json.dumps(found | (asdict(reading) if reading else {}) | ({"title": title} if output else {})))
    elif reading is None:
        click.echo(f"{redact(file)}: no watermark found")
    else:
        left = "" if reading.scale > 0.99 else f", {reading.scale:.0%} of the picture's short side left"
        named = f", title {title or 'unknown'}" if output else ""
        click.echo(f"{reading.payload}{named} (confidence {reading.confidence:g}{left})")
    sys.exit(0 if reading else 1)


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
