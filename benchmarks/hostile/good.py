"""The good title: what hostile ones are compared with, and whose output some of them forge."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
from pathlib import Path

from PIL import Image

from benchmarks.hostile.case import CATALOG, RENDER, Room, case
from benchmarks.hostile.images import picture, saved
from benchmarks.hostile.sounds import samples, wav

_MODULES = (
    "actors.roles", "models.families.fake", "models.weights.loading", "pipeline.driver.inline", "pipeline.main",
    "pipeline.store.remote", "pipeline.store.local", "fsspec.implementations.local", "fsspec.implementations.http",
    "pipeline.render", "pipeline.status", "pipeline.verify", "pipeline.weights", "aiohttp", "av", "rich._emoji_codes",
    # What is imported on the way, late, and takes longer than most cases: tables, and the networks of `weights check`.
    "pandas", "pyarrow.pandas_compat", "einops._torch_specific", "diffusers.models.autoencoders.autoencoder_kl",
)  # fmt: skip


def preload() -> None:
    """Import in the parent what every case needs, so that a case costs what it costs and not the imports."""
    for name in _MODULES:
        importlib.import_module(name)
    Image.init()


def make_good(good: Path) -> None:
    """Render the title in a child, so that this process stays without threads and can be forked on."""
    good.mkdir()
    (good / "face.png").write_bytes(saved(picture(), "PNG"))
    (good / "voice.wav").write_bytes(wav(samples(2.4)))
    (good / "m.yaml").write_text(json.dumps(CATALOG, indent=1))
    child = multiprocessing.get_context("fork").Process(target=_render, args=(good,))
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"the good title could not be rendered: exit code {child.exitcode}")


def _render(good: Path) -> None:
    from pipeline.core.command import run_command
    from pipeline.main import group

    os._exit(run_command(group, ["render", str(good / "m.yaml"), *RENDER]))


@case("a good title", "harmless")
def GOOD(room: Room) -> list[str]:
    return room.again()
