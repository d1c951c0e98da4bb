"""What happens to a title's frames between the restorer and the encoder: the canvas, captions that are burnt in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from actors.inputs import fetch_input
from pipeline.core.timeline import FPS
from pipeline.media.burn import Burner
from pipeline.media.canvas import Canvas, fill_planes
from pipeline.sources.captions import Cue, cut, read_captions
from pipeline.sources.portrait import read_portrait
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan


class Compositor:
    """Of one title. What it needs of the title's inputs is read once."""

    def __init__(self, store: Store, plan: TitlePlan):
        self._canvas = _canvas(store, plan)
        width, height = plan.options.frame_size
        self._burner = Burner(read_cues(store, plan), width, height) if plan.options.burn_captions else None

    def on(self, planes: np.ndarray, frame: int) -> np.ndarray:
        """yuv420p planes of the portrait in frame number `frame` → those of the finished picture."""
        if self._canvas is not None:
            planes = self._canvas.on(planes)
        if self._burner is not None:
            planes = self._burner.on(planes, frame)
        return planes


def read_cues(store: Store, plan: TitlePlan) -> tuple[Cue, ...]:
    """The title's captions, up to its end."""
    if plan.metadata.captions is None:
        return ()
    what = f"title {plan.id}: captions"
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        cues = read_captions(fetch_input(store, plan.metadata.captions, Path(folder), what), what)
    return cut(cues, plan.frames * 1000 // FPS)


def read_picture(store: Store, plan: TitlePlan, stored: Stored, name: str, reading: str | None = None) -> np.ndarray:
    """A picture that the title names under the key `name`, uint8 [height, width, 3]; `reading` as the plan has it."""
    what = f"title {plan.id}: {name}"
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        return read_portrait(fetch_input(store, stored, Path(folder), what), what, reading)


def _canvas(store: Store, plan: TitlePlan) -> Canvas | None:
    placing, options = plan.options.placing, plan.options
    if placing is None:
        return None
    image = None
    if plan.canvas_image:
        image = read_picture(store, plan, plan.canvas_image, "canvas_fill", plan.canvas_reading)
    portrait = read_picture(store, plan, plan.portrait, "portrait", plan.portrait_reading)
    return Canvas(placing, fill_planes(placing, options.canvas_fill, portrait, image), options.resolution)
