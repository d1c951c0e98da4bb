"""`python -m pipeline.evaluate MANIFEST|OUTPUT|VIDEO`: how good finished titles are, in numbers and curves.

Measured from the finished file alone, by fixed formulas (`models.measures`): the mouth against the sound, the face
against its own first ten seconds, joins between clips, motion, blinks. `--sensors` adds what networks say that had no
part in making the film (`pipeline.checks.sensors`); `--video` is measured by them alone. Titles of an output get an
`evaluation.json`, which their page shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypedDict

import click
import numpy as np
from numpy.typing import NDArray

from models.families.registry import FAMILIES
from models.image.film import Film
from models.image.masks import FACE_EXPAND, LIP_EXPAND, Box, shrink_region
from pipeline.checks.metric_networks import SCORES, read_metric_networks
from pipeline.checks.sensors.measured import SHOWN as SENSED
from pipeline.checks.sensors.measured import AnyVideo, Watch, faults_of, watching
from pipeline.checks.title_check import local_copy
from pipeline.core.command import Finite, run_command
from pipeline.core.errors import LongtakeError, UserError
from pipeline.intake.selection import open_selection
from pipeline.media.canvas import canvas_layout
from pipeline.pages.assets import put_assets
from pipeline.pages.from_records import write_title
from pipeline.store.arrays import unpack
from pipeline.store.store import Store
from pipeline.titles.title_folders import TitleFolders, read_json

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".m4v")
ASSUMED_FACE = (0.2, 0.15, 0.8, 0.85)  # of the picture, where a video comes without boxes
SHOWN = (
    ("mouth_r", "mouth follows the sound (r)"),
    ("mouth_lag_frames", "mouth late by frames"),
    ("mouth_r_shuffled", "r with other sound"),
    ("mouth_in_silence", "mouth in silence, of speech"),
    ("identity_drift", "likeness lost at the end"),
    ("sharpness_ratio", "sharpness, end over beginning"),
    ("grain_ratio", "grain, end over beginning"),
    ("colour_shift", "colour shift"),
    ("border_ratio", "change at clip borders, of inside"),
    ("blinks_per_minute", "blinks a minute"),
    ("head_spread", "head's spread, of face width"),
    ("motion_energy", "motion"),
    ("longest_still_seconds", "longest still, s"),
)
PUBLISHED = (
    ("fid", "FID"),
    ("fvd", "FVD"),
    ("efid", "E-FID"),
    ("sync_c", "Sync-C"),
    ("sync_d", "Sync-D"),
    ("identity_similarity", "likeness to the first frame"),
)

Boxes = tuple[float, float, float, float]
Arrays = Mapping[str, NDArray[np.generic]]


class Scores(Protocol):
    """As `models.measures.published` has it, where torch is: not to be imported here."""

    def of(self, video: object) -> dict[str, float]: ...


class Placed(TypedDict, total=False):
    """What a report's options say of where the portrait stands; earlier versions did not keep all of it."""

    resolution: int
    base_size: int
    canvas: str
    canvas_place: str
    film: list[int] | None


@click.command()
@click.argument("target", metavar="MANIFEST|OUTPUT|VIDEO", required=False)
@click.argument("titles", metavar="[TITLE]...", nargs=-1)
@click.option("--output", help="Folder or URL of the results; wins over the manifest's.")
@click.option("--only", multiple=True, metavar="ID", help="This title only (may be given several times).")
@click.option("--face-box", type=Finite(), nargs=4, metavar="X Y W H", help="Of a VIDEO: where the face is, in pixels.")
@click.option("--lip-box", type=Finite(), nargs=4, metavar="X Y W H", help="Of a VIDEO: where the mouth is.")
@click.option("--clip", type=click.IntRange(min=2), default=16, show_default=True, help="Frames between joins.")
@click.option("--backbones", type=click.Path(path_type=Path), metavar="YAML", help="Networks for published scores.")
@click.option("--score", multiple=True, type=click.Choice(SCORES), help="Of these, only this one (several times).")
@click.option("--reference", multiple=True, type=click.Path(path_type=Path), metavar="VIDEO", help="Real videos that "
              "FID, FVD and E-FID compare with.")  # fmt: skip
@click.option("--sensors", is_flag=True, help="Measure with networks too that had no part in it (MediaPipe, dlib).")
@click.option("--environment", type=click.Path(path_type=Path), metavar="FOLDER", help="Virtual environment that holds "
              "them, instead of the one that is made in the user's cache.")  # fmt: skip
@click.option("--video", type=click.Path(path_type=Path), metavar="FILE", help="Any video, measured by the networks.")
@click.option("--portrait", type=click.Path(path_type=Path), metavar="FILE", help="Of --video: whom it should show.")
@click.option("--sound", type=click.Path(path_type=Path), metavar="FILE", help="Of --video: what is said, if not its "
              "own sound.")  # fmt: skip
@click.option("--curves", type=click.Path(path_type=Path), metavar="FILE", help="Of --video: all numbers (.json), "
              "or the curves drawn (.svg).")  # fmt: skip
@click.option(
    "--landmarks", type=click.Path(path_type=Path), metavar="NPZ", help="Of --video: the points of every frame."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    target: str | None,
    titles: tuple[str, ...],
    output: str | None,
    only: tuple[str, ...],
    face_box: Boxes | None,
    lip_box: Boxes | None,
    clip: int,
    backbones: Path | None,
    score: tuple[str, ...],
    reference: tuple[Path, ...],
    sensors: bool,
    environment: Path | None,
    video: Path | None,
    portrait: Path | None,
    sound: Path | None,
    curves: Path | None,
    landmarks: Path | None,
    as_json: bool,
) -> None:
    """Measure finished titles of a manifest or an output, or any video; exit 1 if there was none."""
    measured: list[dict[str, object]] = []
    scores = _scores(read_metric_networks(backbones, score), reference)
    with_video = {"--portrait": portrait, "--sound": sound, "--curves": curves, "--landmarks": landmarks}
    _check_together(target, video, with_video)
    any_video = AnyVideo(video, portrait, sound, curves, landmarks) if video else None
    if any_video and (face_box or lip_box):
        raise UserError("--face-box and --lip-box go with a VIDEO alone: with --video the networks find the face")
    with ExitStack() as held:
        watch = held.enter_context(watching(environment, _say)) if sensors or any_video else None
        if any_video and watch:
            measured.append(watch.video(any_video))
        elif target and Path(target).suffix.lower() in VIDEOS:
            if titles:
                raise UserError(f"{titles[0]}: a TITLE goes with a manifest or an output; give one VIDEO at a time")
            found = evaluate_video(Path(target), face_box, lip_box, clip, scores)
            measured.append(_joined(found, watch.film(Path(target)) if watch else {}))
        elif target:
            if face_box or lip_box:
                raise UserError("--face-box and --lip-box go with a VIDEO: a title's own boxes are in its records")
            measured += _of_target(target, output, (*only, *titles), scores, watch)
    if as_json:
        click.echo(json.dumps({"titles": [without_curves(one) for one in measured]}))
    else:
        for one in measured:
            _print(one)
    sys.exit(0 if measured else 1)


def _check_together(target: str | None, video: Path | None, with_video: dict[str, Path | None]) -> None:
    if (target is None) == (video is None):
        raise UserError("expected a MANIFEST, an OUTPUT or a VIDEO, or --video FILE: name one of them")
    if video is None and (given := [name for name, value in with_video.items() if value]):
        raise UserError(f"{given[0]} goes with --video FILE: a title's own portrait and sound are in its records")


def _of_target(
    target: str, output: str | None, only: tuple[str, ...], scores: Scores | None, watch: Watch | None
) -> list[dict[str, object]]:
    titles = []
    opened = open_selection(target, output, only)
    for folders, _ in opened.titles():
        if (measured := evaluate_title(opened.store, folders, scores, watch)) is None:
            click.echo(f"{folders.title}: not finished, nothing to measure", err=True)
            continue
        titles.append(measured)
        if folders.stream_hash and str(measured["stream"]).startswith(folders.stream_hash):
            put_assets(opened.store)  # another version may have made the title
            write_title(opened.store, folders)  # the curves are shown on its page
    return titles


def evaluate_title(
    store: Store, folders: TitleFolders, scores: Scores | None = None, watch: Watch | None = None
) -> dict[str, object] | None:
    """Measures of a title's final file, kept beside it as `evaluation.json`; None where it is not finished."""
    report = read_json(store, f"{folders.title}/report.json")
    if not report or not store.exists(f"{folders.title}/final.mp4"):
        return None
    square, regions = _regions(store, folders, report.get("options", {}))
    with local_copy(store, f"{folders.title}/final.mp4") as path:
        measured = _measured(folders.title, path, regions, square, _clip_of(report.get("family", "")), scores)
        if watch:
            measured = _joined(measured, watch.film(path, _portrait_of(store, folders), folders.title))
    measured["stream"] = report.get("hashes", {}).get("stream")
    store.put(f"{folders.title}/evaluation.json", json.dumps(measured).encode())
    return measured


def evaluate_video(
    path: Path, face: Boxes | None, lips: Boxes | None, clip: int, scores: Scores | None = None
) -> dict[str, object]:
    """Measures of any video of one face, the boxes x, y, width, height in its pixels."""
    regions, square = _of_video(path, face, lips)
    return _measured(path.name, path, regions, square, clip, scores)


def _of_video(
    path: Path, face: Boxes | None, lips: Boxes | None
) -> tuple[tuple[Boxes, Boxes], tuple[float, float, float]]:
    """Boxes of face and mouth in the square in the middle, and that square: x, y, side."""
    import av

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
    except (av.error.FFmpegError, IndexError) as error:
        raise UserError(f"{path}: cannot be read as a video ({error})") from error
    side = min(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    given = _assumed(side)
    if face:
        given = (face[0] - x, face[1] - y, face[0] - x + face[2], face[1] - y + face[3])
    mouth = (given[0], given[3] - (given[3] - given[1]) / 3, given[2], given[3])
    if lips:
        mouth = (lips[0] - x, lips[1] - y, lips[0] - x + lips[2], lips[1] - y + lips[3])
    return (given, mouth), (x, y, float(side))


def _scores(backbones: dict[str, object], references: tuple[Path, ...]) -> Scores | None:
    """What gives the published scores; None where no network is named."""
    if not backbones:
        if references:
            raise UserError("--reference goes with --backbones: without networks nothing is compared with it")
        return None
    published, picture = (import_module(f"models.measures.{name}") for name in ("published", "picture"))
    real = []
    for path in references:
        regions, square = _of_video(path, None, None)
        real.append(published.Watched(path, square, picture.Regions(*regions)))
    with faults_of(Path("backbones")):
        scores: Scores = published.Scores(backbones, real)
    return scores


def _portrait_of(store: Store, folders: TitleFolders) -> tuple[bytes, str] | None:
    """The picture that a title was made of, and its name for messages; None where it is no longer there."""
    ledger = folders.parts[0].ledger(store, "conditioning")
    record = ledger.read(0) if ledger else None
    key = f"_inputs/{record.uses.get('portrait')}" if record else ""
    if not key or not store.exists(key):
        click.echo(f"{folders.title}: its portrait is no longer in {store}: nothing is compared with it", err=True)
        return None
    return store.get(key), f"{folders.title}: its portrait"


def _joined(one: dict[str, object], more: dict[str, object]) -> dict[str, object]:
    curves: dict[str, object] = {}
    for found in (one, more):
        if isinstance(some := found.get("per_second"), dict):
            curves |= some
    return one | more | {"per_second": curves}


def _say(text: str) -> None:
    click.echo(text, err=True)


def without_curves(measured: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in measured.items() if name != "per_second"}


def _measured(
    title: str,
    path: Path,
    regions: tuple[Boxes, Boxes],
    square: tuple[float, float, float],
    clip: int,
    scores: Scores | None = None,
) -> dict[str, object]:
    # Known by name: torch is imported where something is measured, and not by importing this command.
    video, course, picture = (import_module(f"models.measures.{name}") for name in ("video", "course", "picture"))
    with faults_of(path):
        taken = video.measure(path, picture.Regions(*regions), square)
        more: dict[str, float] = {}
        if scores is not None:
            watched = import_module("models.measures.published").Watched
            more = scores.of(watched(path, square, picture.Regions(*regions)))
    seen = course.Course(taken.seen, taken.target, clip)
    return {
        "title": title,
        "frames": len(seen.seen),
        **course.summary(seen),
        **more,
        "per_minute": course.per_minute(seen),
        "per_second": course.per_second(seen),
    }


def _regions(
    store: Store, folders: TitleFolders, options: Placed
) -> tuple[tuple[float, float, float], tuple[Boxes, Boxes]]:
    """Where the portrait stands in the final picture, and its boxes in pixels there."""
    side, x, y = options.get("resolution", 512), 0, 0
    if options.get("canvas", "none") != "none":
        where = canvas_layout(options["canvas"], options.get("canvas_place", "centre"))
        side, x, y = where.side, where.x, where.y
    ledger = folders.parts[0].ledger(store, "conditioning")
    record = ledger.read(0) if ledger else None
    if record is None:
        raise LongtakeError(f"{folders.title}: the record of its portrait is gone; render it again")
    arrays = unpack(store.get(record.objects["arrays"].key), record.objects["arrays"].key)
    if "crop_box" not in arrays:
        return (float(x), float(y), float(side)), boxes_of(arrays, side / options.get("base_size", 512), side)
    return _around_the_face(arrays, record.facts["portrait_size"], options, (x, y, side))


def _around_the_face(
    arrays: Arrays, portrait: list[int], options: Placed, placed: tuple[int, int, int]
) -> tuple[tuple[float, float, float], tuple[Boxes, Boxes]]:
    """Of a film whose chain saw the square around the face alone: that square, moved into the picture, and the boxes
    in it. `placed`: where a square film stands in the final picture."""
    x, y, side = placed
    width, height = options.get("film") or (side, side)
    square = Film.of((portrait[1], portrait[0]), Box(*(float(v) for v in arrays["crop_box"])), (width, height)).square
    edge = square.width
    wide = min(edge, width, height)
    left, top = (min(max(low, 0.0), size - wide) for low, size in ((square.x0, width), (square.y0, height)))
    away = (square.x0 - left, square.y0 - top) * 2
    face, lips = (
        tuple(place + by for place, by in zip(box, away, strict=True))
        for box in boxes_of(arrays, edge / options.get("base_size", 512), edge)
    )
    return (x + left, y + top, wide), (face, lips)  # type: ignore[return-value]


def boxes_of(conditioning: Arrays, scale: float, side: float) -> tuple[Boxes, Boxes]:
    """Face and lips in a square `side` pixels wide, `scale` times as large as the chain's frames.

    Conditioning holds boxes as audio attention wants them, larger than what they are of: eyes are looked for at a
    place in the face's height, and would be missed in them.
    """

    def box(name: str, grown: float, assumed: Boxes) -> Boxes:
        if name not in conditioning:
            return assumed
        x0, y0, x1, y1 = shrink_region(Box(*(float(v) * scale for v in conditioning[name])), grown)
        return x0, y0, x1, y1

    x0, y0, x1, y1 = face = box("face_box", FACE_EXPAND, _assumed(side))
    return face, box("lip_box", LIP_EXPAND, (x0, y1 - (y1 - y0) / 3, x1, y1))


def _assumed(side: float) -> Boxes:
    """The face, for families and videos that know of none."""
    x0, y0, x1, y1 = (side * share for share in ASSUMED_FACE)
    return x0, y0, x1, y1


def _clip_of(name: str) -> int:
    family = FAMILIES.get(name)
    return family.networks.chain.clip_frames if family and family.networks else 16


def _print(measured: dict[str, object]) -> None:
    click.echo(f"{measured['title']}: {measured['frames']} frames")
    for name, words in (*SHOWN, *PUBLISHED, *SENSED):
        if name not in measured:
            continue
        value = measured[name]
        click.echo(f"  {words:<36}{'-' if value is None else value:>10}")
    if isinstance(parts := measured.get("per_minute"), list) and len(parts) > 1:
        minutes = ", ".join(f"{'-' if one['mouth_r'] is None else one['mouth_r']}" for one in parts)
        click.echo(f"  {'mouth r, minute by minute':<36}{minutes}")


def main() -> None:
    sys.exit(run_command(command, sys.argv[1:]))


if __name__ == "__main__":
    main()
