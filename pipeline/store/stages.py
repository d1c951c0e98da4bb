"""The stages: whose hash their records lie under, which objects those name, what they are made of, what `keep` drops.

sound ──► loudness          conditioning ┐
  └──► features ────────────────────────┴► chain ──► stream ──► done

A title in scenes (`pipeline.titles.scenes`) has a record `scenes`, made with its sound, which says where each begins.
Conditioning, features, chain and stream are then those of a scene, and `scene` says that all of one is there; the
title's own stream holds the scenes' fragments at their places in the film.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Keep = Literal["all", "final+hls", "final"]  # option `keep`: what stays of a title that is done


@dataclass(frozen=True)
class Stage:
    """One stage of a title. Its records lie under `<id>/<hash>/<digits>/`, in a folder of the stage's name.

    `objects`: what every record names. `read_directly`: later stages read these without `Ledger.load`, so a record that
    lacks one is damaged when it is read. `parents`: stages that its records are made of. `dropped_by`: values of `keep`
    with which its objects go once the title is done; `when_done`: at once, else by `longtake gc`.
    """

    name: str
    hash: Literal["sound", "loudness", "scenes", "chain", "stream"]
    objects: tuple[str, ...]
    parents: tuple[str, ...] = ()
    read_directly: bool = False
    dropped_by: tuple[Keep, ...] = ()
    when_done: bool = False


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("sound", "sound", ("track", "hls", "index", "speech"), read_directly=True, dropped_by=("final",)),
        Stage("loudness", "loudness", ("track", "hls", "index"), ("sound",), dropped_by=("final",)),
        Stage("scenes", "scenes", (), ("sound",)),
        Stage("conditioning", "chain", ("arrays",), read_directly=True, dropped_by=("final+hls", "final")),
        Stage("features", "chain", ("features",), ("sound",), dropped_by=("final+hls", "final")),
        Stage(
            "chain",
            "chain",
            ("latents", "state"),
            ("conditioning", "features"),
            dropped_by=("final+hls", "final"),
            when_done=True,
        ),
        Stage("stream", "stream", ("fragment",), ("chain",), dropped_by=("final",), when_done=True),
        Stage("scene", "stream", (), ("stream",)),
        Stage("done", "stream", ("final",), ("stream", "sound", "loudness")),
    )
}


def dropped(keep: str) -> frozenset[str]:
    """Stages whose objects a finished title does without. `keep`: of a record, perhaps a word of another version."""
    return frozenset(stage.name for stage in STAGES.values() if keep in stage.dropped_by)


def folder(stage: str, root: str) -> str:
    """Where the records of a stage lie. `root`: folder of its hash, `<id>/<hash's name>/<digits>`."""
    return root if STAGES[stage].hash == stage and stage in _ALONE else f"{root}/{stage}"


_ALONE = ("sound", "loudness", "scenes")  # the only stage under its hash: no folder between
