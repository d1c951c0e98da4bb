"""What a picture's numbers mean, where they are not sRGB: profiles of grey, and PNG's chunks gAMA and cICP.

As in browsers: cICP goes before a profile, a profile before gAMA, and what is not known is taken as sRGB.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageCms

USUAL_GAMMA = 0.45455  # what programs write that mean sRGB
_ALMOST = 0.02
_HDR = {16: "PQ", 18: "HLG"}  # transfers of BT.2100: brighter than white, which a video of ours cannot show
# Linear RGB of other primaries (BT.2020, Display P3) to linear sRGB.
_TO_SRGB = {
    9: np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]),
    12: np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]),
}
_CHUNKS = 64  # of a PNG that are looked at before its pixels


class TooBright(ValueError):
    """A picture for HDR screens; the text names its transfer."""


def png_chunk(data: bytes, name: bytes) -> bytes | None:
    """What a chunk before the pixels of a PNG holds; None where there is none."""
    at = 8
    for _ in range(_CHUNKS):
        if not data.startswith(b"\x89PNG") or len(data) < at + 8:
            return None
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IDAT":
            return None
        if kind == name:
            return data[at + 8 : at + 8 + size]
        at += size + 12
    return None


def meaning(image: Image.Image, data: bytes) -> str:
    """What the numbers mean: `cicp 12 13`, `grey profile`, `gamma 1`; `srgb` where the picture says so against
    what else stands in it; empty for plain sRGB and profiles of colours.

    Raises TooBright.
    """
    cicp = png_chunk(data, b"cICP")
    if cicp is not None and len(cicp) == 4 and cicp[2] == 0:
        if cicp[1] in _HDR:
            raise TooBright(_HDR[cicp[1]])
        known = cicp[0] in (1, *_TO_SRGB) and cicp[1] in (1, 4, 5, 6, 8, 13, 14, 15)
        plain = cicp[0] == 1 and cicp[1] in (1, 6, 13, 14, 15)
        if known and not plain:
            return f"cicp {cicp[0]} {cicp[1]}"
        return "srgb" if {"icc_profile", "gamma"} & image.info.keys() else ""
    if profile := image.info.get("icc_profile"):
        return "grey profile" if _is_grey(image) and profile[16:20] == b"GRAY" else ""
    gamma = image.info.get("gamma") if png_chunk(data, b"sRGB") is None else None
    if isinstance(gamma, float) and gamma > 0 and abs(gamma / USUAL_GAMMA - 1) > _ALMOST:
        return f"gamma {gamma:g}"
    return ""


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def converted(image: Image.Image, meant: str, profile: bytes | None) -> Image.Image:
    """RGB in sRGB of RGB with that meaning (see `meaning`). Raises ImageCms.PyCMSError for a broken profile."""
    kind, *numbers = meant.split()
    if kind == "grey":
        return _through(image, grey_table(profile or b""))
    if kind == "gamma":
        return _through(image, _encoded(np.linspace(0, 1, 256) ** (1 / float(numbers[0]))))
    primaries, transfer = map(int, numbers)
    light = _light(np.linspace(0, 1, 256), transfer)[np.asarray(image)]
    matrix = _TO_SRGB.get(primaries, np.eye(3))
    return Image.fromarray(np.rint(255 * _encoded(np.clip(light @ matrix.T, 0, 1))).astype(np.uint8))


def grey_table(profile: bytes) -> np.ndarray:
    """sRGB, 0 to 1, of the 256 levels of a profile of grey, float [256]."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    made = ImageCms.profileToProfile(ramp, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return np.asarray(made)[0].mean(axis=1) / 255


def _through(image: Image.Image, table: np.ndarray) -> Image.Image:
    return image.point(list(np.rint(255 * table).astype(int)) * 3)


def _light(value: np.ndarray, transfer: int) -> np.ndarray:
    """Linear light of values by transfer: 8 linear, 4 and 5 powers, else the curve of sRGB."""
    powers = {8: 1.0, 4: 2.2, 5: 2.8}
    if transfer in powers:
        return value ** powers[transfer]
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _encoded(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
