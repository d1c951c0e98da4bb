"""The files that all pages share: style, scripts, player. They lie in the output under a name made of their content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from pipeline.store.store import Store

# hls.js plays the stream where a browser cannot by itself. As published on npm:
HLS_VERSION = "1.7.4"
HLS_SHA256 = "cfc70cc9e9fc63d071919e087670abc760c8fd1bc889b88588026e4d22193bbe"

FRAMES = ("index.html", "report.html")
SHARED = (
    "longtake.css",
    "common.js",
    "catalog.js",
    "title.js",
    "player.js",
    "timeline.js",
    "charts.js",
    "icon.svg",
    "hls.min.js",
    "hls.LICENSE.txt",
)


@cache
def read(name: str) -> bytes:
    return files("pipeline.pages").joinpath("assets", name).read_bytes()


@cache
def folder() -> str:
    """Where this version's files lie in an output."""
    whole = hashlib.sha256()
    for name in (*FRAMES, *SHARED):
        whole.update(f"{name} {hashlib.sha256(read(name)).hexdigest()}\n".encode())
    return f"_pages/{whole.hexdigest()[:12]}"


def put_assets(store: Store) -> None:
    """Write what is not there yet; the last file is looked for, so that half a folder is completed."""
    if not store.exists(f"{folder()}/{SHARED[-1]}"):
        for name in SHARED:
            if not store.exists(key := f"{folder()}/{name}"):
                store.put(key, read(name))
