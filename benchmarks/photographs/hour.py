"""Does a photograph stay itself, and as lively as its puppet, for an hour?

The whole chain is run, clip after clip, and what it committed of every frame is read: lids, lips, head. Of every minute
one second is composed and looked at by the sensors, which had no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.photographs.speaking import Speaking, shown
from models.diffusion.movement import NUMBERS
from models.diffusion.movement_record import read
from models.drawn.closures import spoken_targets
from models.drawn.motion import motion
from models.measures.face_view import chip, sharpness, view
from models.measures.mesh import face_square
from models.measures.watching import Portrait, Sensors, find_face, read_face
from models.parts.photograph import contours_of
from models.puppet.track import track_of
from models.speech.spectrum import SAMPLES_A_FRAME
from pipeline.core.timeline import GOP, gops_of
from pipeline.titles.scene_borders import every, frame_energies

MINUTE = 1500
LOOKED_AT = 25  # frames of a minute, in its middle, that the sensors see
CLOSED = 0.8  # how far lids are shut in a blink


def hour_in_scenes(
    picture: NDArray[np.uint8], speech: torch.Tensor, weights: str, size: int, sensors: Sensors, minutes: int
) -> Iterator[dict[str, Any]]:
    """As `hour`, in scenes of about so many minutes, each of which starts from the portrait: rows of whole minutes of
    each, counted from the beginning of the film."""
    frames = len(speech) // SAMPLES_A_FRAME
    samples = (speech[: frames * SAMPLES_A_FRAME].numpy() * 32768).astype(np.int16)
    firsts = every(frame_energies([samples]), minutes)
    for number, (first, stop) in enumerate(pairwise([*firsts, gops_of(frames)])):
        part = speech[first * GOP * SAMPLES_A_FRAME : stop * GOP * SAMPLES_A_FRAME]
        for row in hour(picture, part, weights, size, sensors):
            yield row | {"scene": number, "minute": row["minute"] + first * GOP / MINUTE}


def hour(
    picture: NDArray[np.uint8], speech: torch.Tensor, weights: str, size: int, sensors: Sensors
) -> Iterator[dict[str, Any]]:
    """A row a minute, whole minutes of the speech [s] alone."""
    title = Speaking(picture, speech, weights, size)
    own = contours_of(title.given["landmarks"].astype(np.float64), title.given["portrait"].shape[-1])
    portrait = read_face(picture, sensors)
    if portrait is None:
        raise ValueError("the sensors find nobody in the portrait")
    clips, of_minute, first = title.clips(), list[NDArray[np.float16]](), 0
    for minute in range(title.length // MINUTE):
        while len(of_minute) * 16 < MINUTE + 16:
            latents = next(clips, None)
            if latents is None:
                break
            of_minute.append(latents)
        committed = np.concatenate(of_minute)
        skip = minute * MINUTE - first
        looked_at = len(committed) // 2 // 16
        pictures = [shown(one) for clip in (0, 1) for one in title.planes(of_minute[looked_at + clip], range(16))]
        yield {
            "minute": minute,
            **_moved(committed[skip : skip + MINUTE], own),
            **_puppet(speech[minute * MINUTE * SAMPLES_A_FRAME :][: MINUTE * SAMPLES_A_FRAME], committed[skip:], own),
            **_seen(pictures[:LOOKED_AT], portrait, sensors),
        }
        used = (skip + MINUTE) // 16
        of_minute, first = of_minute[used:], first + used * 16


def _moved(committed: NDArray[np.float16], own: torch.Tensor) -> dict[str, float]:
    """Of what was committed of a minute: blinks, how far the head goes, how much mouths change."""
    _, contours, numbers, closed = read(torch.from_numpy(committed), own)
    shut = closed.numpy() > CLOSED
    return {
        "blinks": float(np.count_nonzero(shut[1:] & ~shut[:-1])),
        "head": float(np.hypot(_place(numbers, "yaw").std(), _place(numbers, "pitch").std())),
        "finite": float(torch.isfinite(contours).all()),
    }


def _puppet(speech: torch.Tensor, committed: NDArray[np.float16], own: torch.Tensor) -> dict[str, float]:
    """Beside what the same minute asks of a puppet: the head's spread, and the lips' opening."""
    targets = spoken_targets(speech)
    track = track_of(motion(0, targets, composed=True))
    _, contours, _, _ = read(torch.from_numpy(committed[:MINUTE]), own)
    gap = (contours[:, 16] - contours[:, 5]).norm(dim=-1).numpy()
    opening = targets.opening.numpy()[: len(gap)]
    return {
        "puppet_head": float(np.hypot(track.yaw.std(), track.pitch.std())),
        "mouth_r": float(np.corrcoef(gap[: len(opening)], opening)[0, 1]),
    }


def _seen(pictures: list[NDArray[np.uint8]], portrait: Portrait, sensors: Sensors) -> dict[str, float]:
    """Of a second: distance to the portrait, sharpness beside it, colour of the whole picture."""
    found = find_face(pictures[0], sensors)
    if found is None:
        return {"without_a_face": 1.0}
    square, distances, sharp = face_square(found), [], []
    for picture in pictures[::4]:
        cut = view(picture, square)
        points = sensors.still(cut)
        if points is not None:
            distances.append(float(np.linalg.norm(sensors.describe(chip(cut, points)) - portrait.face)))
            sharp.append(sharpness(cut, points) / portrait.sharpness)
    return {
        "likeness_distance": float(np.median(distances)),
        "sharpness": float(np.median(sharp)),
        **{f"colour_{name}": float(pictures[0][..., at].mean()) for at, name in enumerate(("red", "green", "blue"))},
    }


def _place(numbers: torch.Tensor, name: str) -> NDArray[np.float64]:
    return numbers[:, NUMBERS.index(name)].double().numpy()
