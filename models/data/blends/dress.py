"""What a blend wears: neck and shoulders differ too much between people to be blended, so they are drawn."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.blends.shapes import Moved, Plane, Points, axes, smoothed
from models.puppet.raster import pixels
from models.puppet.topology import CHIN, OVAL

SHOULDERS = (
    (0.375, -0.4),
    (0.375, -0.2),
    (0.38, -0.05),
    (0.42, 0.04),
    (0.54, 0.10),
    (0.75, 0.17),
    (1.0, 0.255),
    (1.25, 0.38),
    (1.42, 0.56),
    (1.5, 0.9),
)
"""Right of the middle and below the chin, in widths and heights of the face."""
COLLAR = ((0.435, 0.03), (0.39, 0.13), (0.30, 0.215), (0.16, 0.27), (0.0, 0.285))
BAND = 0.055  # heights of the face: how broad the collar is
SKIN = 14.0  # how far (Lab) a colour may be from the face's to be skin
CLOTHS = {"blue": (52.0, 64.0, 82.0), "wine": (92.0, 40.0, 44.0), "green": (52.0, 66.0, 54.0)}
RED = 9.0  # by how much (Lab) ears and the rim of the hair may be redder than the face


def head_only(matte: Plane, shape: Points) -> Plane:
    """A matte without what hangs or stands beside the jaw: locks, earrings, collars; the face itself whole."""
    height, width = matte.shape
    _, _, _, wide, high = axes(shape)
    face = _filled([shape[list(OVAL)]], matte.shape)
    away = cv2.distanceTransform((face < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    below = (pixels(width, height)[..., 1] - shape[CHIN, 1]) / high
    room = wide * (0.01 + 0.11 * _eased((-0.34 - below) / 0.1) + 0.5 * _eased((-0.45 - below) / 0.2))
    near = _eased((room - away) / (0.02 * wide) + 0.5)
    matte = matte + (smoothed(matte, 0.004 * height) - matte) * _eased((-0.9 - below) / 0.2)
    return np.asarray(np.maximum(matte * near, cv2.erode(face, np.ones((5, 5))) * near), np.float32)


def dressed(ground: Plane, front: Plane, matte: Plane, people: list[Moved], shape: Points,
            skin: NDArray[np.bool_], cloth: str) -> Plane:  # fmt: skip
    """Background, body and head [h w 3] over each other; `front` is the blend of all, `matte` its head's."""
    front = _less_red(front, skin, _filled([shape[list(OVAL)]], matte.shape))
    height, width = matte.shape
    _, _, _, wide, high = axes(shape)
    chin = shape[CHIN]

    def placed(line: tuple[tuple[float, float], ...]) -> Points:
        right = np.array(line) * [wide, high]
        both = np.concatenate([right[::-1] * [-1, 1], right]) if line[0][0] < line[-1][0] else np.concatenate(
            [right * [-1, 1], right[::-1][1:]]
        )  # fmt: skip
        return _curve(both + chin)

    shoulders, collar = placed(SHOULDERS), placed(COLLAR)
    low = 2.0 * height
    body = _filled([np.concatenate([shoulders, [[shoulders[-1, 0], low], [shoulders[0, 0], low]]])], matte.shape)
    body = smoothed(body, 0.0022 * height)
    sides = [[collar[-1, 0] + 0.02 * wide, chin[1] - high], [collar[0, 0] - 0.02 * wide, chin[1] - high]]
    open_ = smoothed(_filled([np.concatenate([collar, sides])], matte.shape), 0.0012 * height)
    neck = _neck(front, people, skin, shape, open_)
    garment = _garment(collar, chin, wide, high, width, height) * np.array(CLOTHS[cloth], np.float32)
    garment = neck * open_[..., None] + garment * (1 - open_[..., None])
    picture = garment * body[..., None] + ground * (1 - body[..., None])
    face = matte[..., None]
    return np.asarray(front * face + picture * (1 - face), np.float32)


def _neck(front: Plane, people: list[Moved], skin: NDArray[np.bool_], shape: Points, open_: Plane) -> Plane:
    """The skin of all below the face, smooth, rounded off towards its sides, with the chin's shadow on it."""
    height, width = skin.shape
    _, _, _, wide, high = axes(shape)
    face = cv2.cvtColor(front / np.float32(255), cv2.COLOR_RGB2LAB)[skin].mean(0)
    at = (pixels(width, height) - shape[CHIN]) / [wide, high]
    lab = cv2.cvtColor(front / np.float32(255), cv2.COLOR_RGB2LAB)
    away = np.hypot((lab[..., 0] - face[0] + 12) / 2.5, np.hypot(lab[..., 1] - face[1], lab[..., 2] - face[2]))
    alike = np.exp(-((away / SKIN) ** 2)) * (np.abs(at[..., 0]) < 0.33) * (at[..., 1] > -0.02) * (at[..., 1] < 0.24)
    shown = np.mean([one.matte * one.seen for one in people], 0)
    mask = ((alike * shown + 1e-6) * (open_ > 0.5)).astype(np.float32)[..., None]
    sigma = 0.05 * height
    soft = smoothed(front * mask, sigma) / smoothed(mask, sigma)[..., None].clip(1e-7)
    x, y = at[..., 0], at[..., 1]
    tone = (soft * mask).sum((0, 1)) / mask.sum()
    skinned = front[skin].mean(0) * [1.08, 1.0, 0.95]
    soft = 0.15 * soft + 0.15 * tone + 0.70 * skinned
    roundness = np.sqrt((1 - (x / 0.42) ** 2).clip(0.05, 1))
    jaw = np.exp(-(((y - 0.02 + 0.9 * x**2).clip(0, None) / 0.12) ** 2))  # shadow under chin and jaw
    cords = 0.03 * np.exp(-(((np.abs(x) - 0.30 + 0.75 * y) / 0.045) ** 2)) * _eased((y - 0.02) / 0.15)
    hollow = -0.07 * np.exp(-((x / 0.06) ** 2 + ((y - 0.30) / 0.06) ** 2))
    light = (0.66 + 0.38 * roundness) * (1 - 0.16 * x) * (1 - 0.38 * jaw) * (1 + cords + hollow)
    noise = np.random.default_rng(17).normal(size=skin.shape).astype(np.float32)
    pores = smoothed(noise, 1.2 * height / 960) * 3.2 + smoothed(noise, 5) * 12
    return np.asarray(soft * light[..., None] + pores[..., None], np.float32)


def _garment(collar: Points, chin: Points, wide: float, high: float, width: int, height: int) -> Plane:
    """How light a plain sweater is, [h w 1]: light from above, a few soft folds, a ribbed collar."""
    own = pixels(width, height)
    at = (own - chin) / [wide, high]
    x, y = at[..., 0], at[..., 1]
    line = np.zeros((height, width), np.uint8) + 255
    cv2.polylines(line, [np.round(collar).astype(np.int32)], False, 0)
    away = np.asarray(cv2.distanceTransform(line, cv2.DIST_L2, 5) / (BAND * high), np.float32)
    generator = np.random.default_rng(91)
    light = 1.32 - 0.55 * y - 0.16 * np.abs(x) ** 1.5
    for _ in range(7):  # folds hang from the shoulders to the middle
        side = 1.0 if generator.random() < 0.5 else -1.0
        start, lean = generator.uniform(0.25, 1.1), generator.uniform(0.15, 0.55)
        across = x * side - start + lean * (y - 0.3) + 0.05 * np.sin(5 * y + 6 * generator.random())
        deep = generator.uniform(0.09, 0.17) * np.exp(-((across / generator.uniform(0.03, 0.07)) ** 2))
        light = (
            light - deep * _eased((y - 0.28) / 0.3) + 0.6 * np.roll(deep, int(0.05 * wide), 1) * _eased((y - 0.3) / 0.3)
        )
    collar_here = 1 - _eased((away - 0.92) / 0.12)
    ridge = np.sin(np.pi * away.clip(0, 1)) * 0.16 + 0.02
    angle = np.arctan2(y - 0.05, x)
    ribs = 0.05 * np.sin(angle * 150)
    light = light * (1 - collar_here) + collar_here * (light + ridge + ribs - 0.05)
    light = light - 0.20 * np.exp(-(((away - 1.12) / 0.16) ** 2)) - 0.10 * np.exp(-((away / 0.10) ** 2))
    noise = generator.normal(size=(height, width)).astype(np.float32)
    knit = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.9, sigmaY=1.8) * 0.09 + smoothed(noise, 9) * 0.35
    woven = smoothed(light + knit, 0.9 * height / 960)
    return np.asarray(woven.clip(0.15, 1.7)[..., None], np.float32)


def _less_red(front: Plane, skin: NDArray[np.bool_], face: Plane) -> Plane:
    """Ears that light shines through are red, and of several people more so."""
    lab = cv2.cvtColor(front / np.float32(255), cv2.COLOR_RGB2LAB)
    beyond = 1 - smoothed(face, 0.006 * front.shape[0])
    for axis in (1, 2):
        more = lab[..., axis] - lab[..., axis][skin].mean()
        lab[..., axis] -= (more - np.minimum(more, RED * np.tanh(more / RED))) * beyond
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * np.float32(255), np.float32)


def _curve(points: Points) -> Points:
    """Through points [n 2], smooth (Catmull-Rom)."""
    ends = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    found = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        t = np.linspace(0, 1, 16, endpoint=False)[:, None]
        found.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate([*found, points[-1:]])


def _filled(polygons: list[Points], size: tuple[int, ...]) -> Plane:
    mask = np.zeros(size[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(one * 16).astype(np.int32) for one in polygons], 255, cv2.LINE_AA, 4)
    return np.asarray(mask / np.float32(255), np.float32)


def _eased(value: NDArray[Any]) -> Plane:
    short = value.clip(0, 1)
    return np.asarray(short * short * (3 - 2 * short), np.float32)
