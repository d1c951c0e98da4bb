"""`python -m models.data.prepare_data FOLDER OUT`: takes from a folder of real talking videos.

Every video is read at 25 frames a second, cut to a square around its face, and divided into takes, with portraits from
other moments of the same video. `OUT/index.parquet` says where every take comes from. Run it again to go on: takes that
are there stay.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import av
import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.data import takes
from models.data.takes import AFTER, BEFORE, Take
from models.data.video_faces import Look, Sample, VideoProblem, between, found_by, told
from models.faces.portrait import square_crop
from models.families.noise_keys import noise_key
from models.families.registry import FAMILIES
from models.image.masks import Box
from models.measures.video import sound
from models.parts.prepare import Prepare
from models.speech.spectrum import SAMPLES_A_FRAME
from models.speech.speech_level import gain_for, speech_level

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".m4v", ".avi")
RATE = 25
LOOKED = 12  # a face is looked for in every twelfth frame; between them its boxes are interpolated
STILLS = 48  # frames of a video, evenly spread, that portraits are chosen from
APART = 25  # frames between a take and its portraits, where the video is long enough
INDEX = "index.parquet"


@dataclass(frozen=True)
class Cutting:
    size: int
    frames: int
    portraits: int


@dataclass(frozen=True)
class Surveyed:
    """A video after its first reading."""

    length: int
    crop: Box
    samples: dict[int, Sample]
    stills: dict[int, NDArray[np.uint8]]
    """Frame number -> the square at the takes' size."""


def cut_video(path: Path, look: Look, prompt: str, cutting: Cutting, out: Path) -> Iterator[dict[str, Any]]:
    """Writes the video's takes; yields what the index says of each. Raises VideoProblem."""
    seen = survey(path, look, cutting)
    speech = _speech(path, seen.length)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    frames = _squares(path, seen.crop, cutting.size)
    for number, start in enumerate(range(0, seen.length - cutting.frames + 1, cutting.frames)):
        places = range(start, start + cutting.frames)
        name = f"{path.stem}-{digest[:8]}-{number:05}"
        shown = list(islice(frames, cutting.frames))
        looked = [place for place in range(0, seen.length, LOOKED) if places.start <= place < places.stop]
        if len(shown) < cutting.frames or any(place not in seen.samples for place in looked):
            continue  # a face was lost
        chosen = _portraits(seen, places, cutting.portraits, name)
        row = {"take": name, "video": path.name, "video_sha256": digest, "first_frame": start, "frames": len(shown)}
        row |= {"prompt": prompt, "size": cutting.size}
        embedding = next((e for one in chosen if (e := seen.samples[one].embedding) is not None), None)
        row |= {"embedded": embedding is not None, "face_box": between(seen.samples, places)[0].mean(0).tolist()}
        if not (out / f"{name}.safetensors").exists():
            takes.write(_take(name, shown, chosen, seen, places, speech, prompt, cutting.size, embedding), out)
        yield row


def survey(path: Path, look: Look, cutting: Cutting) -> Surveyed:
    """Length, faces and stills. Raises VideoProblem for a video without a face, or too short for a take."""
    samples: dict[int, Sample] = {}
    stills: dict[int, NDArray[np.uint8]] = {}
    crop: Box | None = None
    length, step = 0, LOOKED
    for place, picture in enumerate(steady(path)):
        length = place + 1
        if place % LOOKED:
            continue
        sample = look(place, picture)
        if sample is None:
            continue
        height, width = picture.shape[:2]
        if crop is None:
            crop = square_crop(height, width, Box(*sample.face.tolist()), cutting.size)
        samples[place] = sample
        if place % step == 0:
            stills[place] = _square(picture, crop, cutting.size)
        if len(stills) > STILLS:
            step *= 2
            stills = {at: still for at, still in stills.items() if at % step == 0}
    if crop is None:
        raise VideoProblem("no frame with exactly one face")
    if length < cutting.frames:
        raise VideoProblem(f"{length} frames, a take has {cutting.frames}")
    return Surveyed(length, crop, samples, stills or {min(samples): _first(path, min(samples), crop, cutting.size)})


def steady(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Frames [h w 3] at 25 a second: at k/25 s the last that has begun by then. Raises VideoProblem."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoProblem("no pictures")
            held: NDArray[np.uint8] | None = None
            first: float | None = None
            at = 0.0
            lasts = 1 / float(container.streams.video[0].average_rate or RATE)
            given = 0
            for frame in container.decode(video=0):
                at = float(frame.time) if frame.time is not None else given / RATE
                first = at if first is None else first
                while held is not None and given / RATE < at - first - 1e-6:
                    yield held
                    given += 1
                held = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            while held is not None and given / RATE < at - (first or 0.0) + lasts - 1e-3:
                yield held
                given += 1
    except av.error.FFmpegError as error:
        raise VideoProblem(f"cannot be read as a video ({error})") from error


def _squares(path: Path, crop: Box, size: int) -> Iterator[NDArray[np.uint8]]:
    return (_square(picture, crop, size) for picture in steady(path))


def _first(path: Path, place: int, crop: Box, size: int) -> NDArray[np.uint8]:
    return next(islice(_squares(path, crop, size), place, None))


def _square(picture: NDArray[np.uint8], crop: Box, size: int) -> NDArray[np.uint8]:
    cut = picture[int(crop.y0) : int(crop.y1), int(crop.x0) : int(crop.x1)]
    return np.asarray(Image.fromarray(cut).resize((size, size), Image.Resampling.LANCZOS))


def _portraits(seen: Surveyed, places: range, number: int, name: str) -> list[int]:
    """Stills of another moment than the take's, as far as the video has any."""
    away = [at for at in seen.stills if at < places.start - APART or at >= places.stop + APART]
    outside = [at for at in seen.stills if at not in places]
    offered = away or outside or list(seen.stills)
    dice = Random(noise_key(0, name, 0))
    return [offered[dice.randrange(len(offered))] for _ in range(number)]


def _take(
    name: str, shown: list[NDArray[np.uint8]], chosen: list[int], seen: Surveyed, places: range, speech: Tensor,
    prompt: str, size: int, embedding: NDArray[np.float32] | None,
) -> Take:  # fmt: skip
    def pixels(boxes: NDArray[np.float64]) -> Tensor:
        """Boxes of the video -> of the square."""
        low = np.array([seen.crop.x0, seen.crop.y0] * 2)
        moved = (boxes - low) * (size / (seen.crop.x1 - seen.crop.x0))
        return torch.from_numpy(moved.clip(0, size)).float()

    portraits = [seen.samples[at] for at in chosen]
    heard = slice(places.start * SAMPLES_A_FRAME, (places.stop + BEFORE + AFTER) * SAMPLES_A_FRAME)
    return Take(
        name=name,
        frames=_tensor(shown),
        portraits=_tensor([seen.stills[at] for at in chosen]),
        speech=speech[heard],
        before=BEFORE,
        face_boxes=pixels(np.stack([one.face for one in portraits])),
        lip_boxes=pixels(np.stack([one.fine[0] for one in portraits])),
        fine_boxes=pixels(between(seen.samples, places)[1]),
        prompt=prompt,
        embedding=None if embedding is None else torch.from_numpy(embedding),
    )


def _tensor(pictures: list[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def _speech(path: Path, frames: int) -> Tensor:
    """As loud as every title is made, with silence around it [640·(BEFORE + frames + AFTER)]."""
    try:
        wave = np.concatenate([np.zeros(0, np.float32), *sound(path)])
    except ValueError as error:
        raise VideoProblem("no sound") from error
    wave = wave * gain_for(speech_level([wave]))
    padded = np.zeros((BEFORE + frames + AFTER) * SAMPLES_A_FRAME, np.float32)
    lead = BEFORE * SAMPLES_A_FRAME
    wave = wave[: len(padded) - lead]
    padded[lead : lead + len(wave)] = wave
    return torch.from_numpy(padded)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--size", type=click.IntRange(min=64), default=512, show_default=True, help="Pixels of a take's side.")
@click.option("--frames", type=click.IntRange(min=18), default=34, show_default=True, help="Of a take.")
@click.option("--portraits", type=click.IntRange(min=1), default=2, show_default=True, help="Of a take.")
@click.option("--weights", type=click.Path(exists=True, file_okay=False), help="Folder with the files that find faces.")
@click.option(
    "--family", type=click.Choice(sorted(FAMILIES)), default="hallo2", show_default=True, help="Whose they are."
)
def main(folder: Path, out: Path, size: int, frames: int, portraits: int, weights: str | None, family: str) -> None:
    """Cut the talking videos of FOLDER into takes in OUT.

    A JSON file of a video's name beside it may say where the face is, and what a prompt would say; other videos are
    looked through with --weights.
    """
    videos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
    if not videos:
        raise click.UsageError(f"{folder} holds no videos ({', '.join(VIDEOS)})")
    torch.set_num_threads(1)
    finder = Prepare(FAMILIES[family], weights, "cpu") if weights else None
    rows: list[dict[str, Any]] = []
    for path in videos:
        beside = path.with_suffix(".json")
        try:
            if beside.exists():
                look, prompt = told(beside)
            elif finder is not None:
                look, prompt = found_by(finder.faces), ""
            else:
                raise VideoProblem(f"no {beside.name} says where the face is, and no --weights to find it with")
            cut = list(cut_video(path, look, prompt, Cutting(size, frames, portraits), out))
        except (VideoProblem, FileNotFoundError) as error:
            click.echo(f"{path.name}: left out: {error}", err=True)
            continue
        click.echo(f"{path.name}: {len(cut)} takes")
        rows += cut
    if not rows:
        raise click.ClickException("no takes: the reasons are above")
    pq.write_table(pa.Table.from_pylist(rows), out / INDEX)
    click.echo(f"{len(rows)} takes of {len({row['video_sha256'] for row in rows})} videos in {out}")


if __name__ == "__main__":
    sys.exit(main())
