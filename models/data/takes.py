"""Takes: a person talking for a moment, as the chain's stages of training learn from them.

A take is a safetensors file: frames of one person at 25 a second, a few portraits of the same person from other
moments, the sound, what a prompt would say, and where face, lips and eyes are. Drawn people (`drawn_takes`) and
people from real videos (`prepare_data`) look the same from here on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.speech.spectrum import PAST

BEFORE, AFTER = PAST, 3  # frames of sound around a take
QUALITY = 95  # of the JPEG pictures in a take


MOVED_SIDE = 512  # pixels of a portrait in which movement is told


@dataclass(frozen=True)
class Movement:
    """How a photograph was moved in every frame; pixels are those of a portrait of 512 x 512."""

    flow: Tensor
    """[f 2 32 32]: where the middle of every cell was in the portrait, less where it is."""
    hole: Tensor
    """[f 32 32]: share of every cell for which the portrait has nothing to show."""
    lips: Tensor
    """[f 2 11 2]: inner contours, upper and lower."""
    lids: Tensor
    """[f 2 2 9 2]: of both eyes, upper and lower."""
    landmarks: Tensor
    """[478 3] of the portrait."""


MOVEMENT = tuple(field.name for field in fields(Movement))


@dataclass(frozen=True)
class Take:
    """f frames and p portraits of s x s pixels. Boxes are x0, y0, x1, y1 in pixels."""

    name: str
    frames: Tensor
    """uint8 [f 3 s s]."""
    portraits: Tensor
    """uint8 [p 3 s s]."""
    speech: Tensor
    """[(before + f + after)·640] at 16 kHz, -1..1: the sound of the frames, and around them."""
    before: int
    """Frames of sound before the first frame."""
    face_boxes: Tensor
    """Of the portraits [p 4]."""
    lip_boxes: Tensor
    """Of the portraits [p 4]."""
    fine_boxes: Tensor
    """What the eye looks at in every frame, lips first, then eyes [f b 4]."""
    prompt: str = ""
    truth: Tensor | None = None
    """Numbers of a drawn take that evaluation compares with [f k]: the fields of `pose.Pose`."""
    embedding: Tensor | None = None
    """Of the face [e], for families that ask for one."""
    movement: Movement | None = None
    """Of a photograph that a puppet moved."""


def write(take: Take, folder: Path) -> Path:
    """The take as `<folder>/<name>.safetensors`, pictures as JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"speech": (take.speech.clamp(-1, 1) * 32767).round().short()}
    for name, pictures in (("frames", take.frames), ("portraits", take.portraits)):
        packed = [_packed(picture) for picture in pictures]
        tensors[name] = torch.from_numpy(np.frombuffer(b"".join(packed), np.uint8).copy())
        tensors[f"{name}_sizes"] = torch.tensor([len(one) for one in packed])
    for name in ("face_boxes", "lip_boxes", "fine_boxes", "truth", "embedding"):
        value = getattr(take, name)
        if value is not None:
            tensors[name] = value.float().contiguous()
    for name in MOVEMENT if take.movement is not None else ():
        tensors[f"movement.{name}"] = getattr(take.movement, name).half().contiguous()
    path = folder / f"{take.name}.safetensors"
    fresh = path.with_suffix(".part")
    save_file(tensors, fresh, {"prompt": take.prompt, "before": str(take.before)})
    fresh.rename(path)
    return path


def read(path: Path) -> Take:
    """Raises ValueError for a file that is no take."""
    with safe_open(path, "pt") as file:
        given = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        facts = file.metadata() or {}
    missing = {"speech", "frames", "frames_sizes", "portraits", "portraits_sizes", "fine_boxes"} - given.keys()
    if missing:
        raise ValueError(f"{path} is no take: it lacks {sorted(missing)}")
    return Take(
        name=path.stem,
        frames=_pictures(given["frames"], given["frames_sizes"]),
        portraits=_pictures(given["portraits"], given["portraits_sizes"]),
        speech=given["speech"].float() / 32767,
        before=int(facts.get("before", 0)),
        face_boxes=given["face_boxes"],
        lip_boxes=given["lip_boxes"],
        fine_boxes=given["fine_boxes"],
        prompt=facts.get("prompt", ""),
        truth=given.get("truth"),
        embedding=given.get("embedding"),
        movement=_movement(given),
    )


def _movement(given: dict[str, Tensor]) -> Movement | None:
    if "movement.flow" not in given:
        return None
    return Movement(**{name: given[f"movement.{name}"].float() for name in MOVEMENT})


def facts(path: Path) -> dict[str, str]:
    """What a file says of itself."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def paths(folder: Path) -> list[Path]:
    """Takes of a folder, by name. Raises FileNotFoundError where there are none."""
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no takes: draw some with `python -m models.data.drawn_takes {folder}`, or cut videos "
            "with `python -m models.data.prepare_data`"
        )
    return found


def read_all(folder: Path, threads: int = 1) -> Iterator[Take]:
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(read, paths(folder))


def _packed(picture: Tensor) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())
    image.save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return stream.getvalue()


def _pictures(packed: Tensor, sizes: Tensor) -> Tensor:
    data, at, pictures = packed.numpy().tobytes(), 0, []
    for size in sizes.tolist():
        pictures.append(torch.from_numpy(np.array(Image.open(io.BytesIO(data[at : at + size])))))
        at += size
    return torch.stack(pictures).permute(0, 3, 1, 2).contiguous()
