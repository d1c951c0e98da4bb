"""Portraits of several people brought to one shape: landmarks, the line around hair and head, shoulders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.portraits import Portrait
from models.puppet.delaunay import delaunay
from models.puppet.raster import backward, pixels
from models.puppet.topology import CHIN, EAR_LEFT, EAR_RIGHT, FOREHEAD, OVAL, mirror_map

Points = NDArray[np.float64]
Plane = NDArray[np.float32]

RAYS = np.deg2rad(np.linspace(-165, -15, 13))
"""From the middle of the face to the line around the head: from above the left ear over the hair to the right."""
COLUMNS = (-1.15, -0.95, -0.75, 0.75, 0.95, 1.15)
"""Where shoulders are looked for, in widths of the face from its middle."""
FAR = 6.0  # widths of the face: where nothing is bent any more
CLOSE = 3.0  # pixels by which flow may still move something, at a height of 960
LANDMARKS = 478
STRANGE = 0.22  # heights of the face: a hanging lock, a piece of background


@dataclass(frozen=True)
class Person:
    portrait: Portrait
    picture: NDArray[np.uint8]
    matte: Plane
    """[h w]: 1 where the person is, 0 where the background is."""
    points: Points
    """[n 2]: landmarks, head line, shoulders, far away."""


@dataclass(frozen=True)
class Moved:
    """A person in the shape of all."""

    picture: Plane
    """[h w 3], 0..255, red first."""
    matte: Plane
    seen: Plane
    """1 where the portrait shows something, 0 beyond its border."""


def person_of(portrait: Portrait) -> Person:
    """A person as the portrait shows it, or in a mirror, so that everybody has the light on the left."""
    picture, landmarks = portrait.picture(), portrait.landmarks[:, :2]
    if _light_from_right(picture, landmarks):
        picture = np.ascontiguousarray(picture[:, ::-1])
        landmarks = (landmarks * [-1, 1] + [picture.shape[1] - 1, 0])[list(mirror_map())]
    matte = matte_of(picture, landmarks)
    return Person(portrait, picture, matte, _all_points(landmarks, matte))


def matte_of(picture: NDArray[np.uint8], landmarks: Points) -> Plane:
    """Who is in front, cut out by colours (GrabCut) from where head and shoulders must be."""
    height, width = picture.shape[:2]
    middle, across, down, wide, high = axes(landmarks[:, :2])
    away = pixels(width, height) - middle
    x, y = (away @ across) / wide, (away @ down) / high
    known = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    known[np.hypot(x / 0.72, (y + 0.12) / 0.86) < 1] = cv2.GC_PR_FGD
    known[(y > 0.5) & (np.abs(x) < 0.5)] = cv2.GC_PR_FGD
    known[(y > 0.78) & (np.abs(x) < 0.4 + 3.2 * (y - 0.7))] = cv2.GC_PR_FGD
    known[(y < 0.45) & (np.abs(x) > 0.95)] = cv2.GC_BGD
    known[(y < -0.98) | ((y < 0.65) & (np.abs(x) > 1.25))] = cv2.GC_BGD
    sure = np.zeros((height, width), np.uint8)
    cv2.fillPoly(sure, [np.round(landmarks[list(OVAL), :2]).astype(np.int32)], 1)
    known[(sure > 0) | ((y > 0.3) & (np.abs(x) < 0.24)) | ((y > 1.05) & (np.abs(x) < 0.5))] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    flat = cv2.bilateralFilter(np.ascontiguousarray(picture[..., ::-1]), 7, 24, 5)
    cv2.grabCut(flat, known, [0, 0, width, height], np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    front = np.isin(known, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    opened = cv2.morphologyEx(front, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    _, parts = cv2.connectedComponents(opened)
    nose = landmarks[1, :2].round().astype(int).clip(0, min(height, width) - 1)
    whole = cv2.morphologyEx(
        (parts == parts[nose[1], nose[0]]).astype(np.uint8),
        cv2.MORPH_CLOSE,
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15)),
    )
    return _guided(picture.astype(np.float32).mean(2) / np.float32(255), whole.astype(np.float32), 4, 1e-4)


def axes(points: Points) -> tuple[Points, Points, Points, float, float]:
    """Of a face: its middle, the directions to the right and down, its width and its height."""
    line = points[EAR_RIGHT] - points[EAR_LEFT]
    wide, high = float(np.hypot(*line)), float(np.hypot(*(points[CHIN] - points[FOREHEAD])))
    across = line / wide
    return (points[FOREHEAD] + points[CHIN]) / 2, across, np.array([-across[1], across[0]]), wide, high


def mean_shape(people: list[Person], width: int, height: int, share: float, top: float) -> Points:
    """[n 2]: the mean of all, upright; the face is `share` of the height and begins at `top` of it."""
    shapes = [_upright(person.points) for person in people]
    mean = np.mean(shapes, 0)
    count = LANDMARKS + len(RAYS)
    around = np.stack(shapes)[:, LANDMARKS:]
    nobody = np.isnan(around).all(0)  # knows that point: it is where heads and shoulders usually are
    around[:, nobody] = _usual(float(np.mean([axes(person.points)[3] / axes(person.points)[4] for person in people])))[
        nobody
    ]
    mean[LANDMARKS:] = np.nanmedian(around, 0)
    mean[LANDMARKS:count] = (
        mean[LANDMARKS:count] + mean[LANDMARKS:count][::-1] * [-1, 1]
    ) / 2  # heads are not lopsided
    mean[count:-8] = (mean[count:-8] + mean[count:-8][::-1] * [-1, 1]) / 2
    high = mean[CHIN, 1] - mean[FOREHEAD, 1]
    placed: Points = (mean - [0, mean[FOREHEAD, 1]]) * (share * height / high) + [width / 2, top * height]
    return placed


def moved(people: list[Person], shape: Points, width: int, height: int) -> list[Moved]:
    """Everybody in that shape, and then by small flow to the mean of all."""
    own = pixels(width, height)
    triangles = delaunay(shape)
    flat = np.concatenate([shape, np.zeros((len(shape), 1))], 1)
    maps = [backward(triangles, flat, _complete(one.points, shape), max(width, height), own) for one in people]
    for smooth in (24.0, 16.0):
        now = [_taken(one, at) for one, at in zip(people, maps, strict=True)]
        greys = [_grey(one) for one in now]
        mean = np.mean(greys, 0).astype(np.uint8)
        maps = [_nearer(at, grey, mean, smooth) for at, grey in zip(maps, greys, strict=True)]
    return [_taken(one, at) for one, at in zip(people, maps, strict=True)]


def _light_from_right(picture: NDArray[np.uint8], landmarks: Points) -> bool:
    height, width = picture.shape[:2]
    middle, across, _, _, _ = axes(landmarks)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(landmarks[list(OVAL)]).astype(np.int32)], 1)
    right = (pixels(width, height) - middle) @ across > 0
    grey = picture.mean(2)
    return bool(grey[(mask > 0) & right].mean() > grey[(mask > 0) & ~right].mean())


def _all_points(landmarks: Points, matte: Plane) -> Points:
    middle, across, down, wide, high = axes(landmarks)
    steps = np.linspace(0.3, 1.5, 241)
    rays = np.stack([np.cos(RAYS), np.sin(RAYS)], 1)
    line = []
    for x, y in rays:
        way = middle + (across * x * wide + down * y * high) * steps[:, None]
        line.append(_first(way, matte, 0.5, until=True))
    shoulders = []
    for x in COLUMNS:
        way = middle + across * x * wide + down * high * np.linspace(0.35, 1.6, 251)[:, None]
        shoulders.append(_first(way, matte, 0.5, until=False))
    round_it = np.deg2rad(np.arange(0, 360, 45))
    far = middle + FAR * wide * (np.cos(round_it)[:, None] * across + np.sin(round_it)[:, None] * down)
    return np.concatenate([landmarks, np.array(line), np.array(shoulders), far])


def _first(way: Points, matte: Plane, level: float, *, until: bool) -> Points:
    """Where a way leaves the person for good (`until`), or meets it; not a number where it does not in the picture."""
    height, width = matte.shape
    inside = (way[:, 0] >= 0) & (way[:, 0] <= width - 1) & (way[:, 1] >= 0) & (way[:, 1] <= height - 1)
    at = way.round().astype(int).clip(0, [width - 1, height - 1])
    front = matte[at[:, 1], at[:, 0]] > level
    if until:
        last = np.flatnonzero(front & inside)
        place = int(last[-1]) + 1 if len(last) else len(way)
        good = place < len(way) and inside[place]
    else:
        found = np.flatnonzero(front & inside)
        place = int(found[0]) if len(found) else len(way)
        good = 0 < place < len(way)
    return way[place] if good else np.full(2, np.nan)


def _upright(points: Points) -> Points:
    middle, across, down, _, high = axes(points)
    away = (points - middle) / high
    return np.stack([away @ across, away @ down], 1)


def _usual(wide: float) -> Points:
    """[n 2]: head line, shoulders and far away of a face that is 1 high and so wide."""
    line = np.stack([0.66 * wide * np.cos(RAYS), 0.84 * np.sin(RAYS)], 1)
    shoulders = [(x * wide, 0.6 + 0.2 * abs(x)) for x in COLUMNS]
    return np.concatenate([line, np.array(shoulders), np.zeros((8, 2))])


def _complete(points: Points, shape: Points) -> Points:
    """Points around the face that a portrait does not show, or not where others do, are where the mean's would be."""
    middle, across, down, _, high = axes(points)
    other, right, below, _, tall = axes(shape)
    away = (shape - other) * (high / tall)
    guess = middle + (away @ right)[:, None] * across + (away @ below)[:, None] * down
    strange = np.isnan(points) | (np.hypot(*(points - guess).T) > STRANGE * high)[:, None]
    strange[:LANDMARKS] = False
    found = np.where(strange, guess, points)
    line = slice(LANDMARKS, LANDMARKS + len(RAYS))
    ratio = np.hypot(*(found[line] - middle).T) / np.hypot(*(guess[line] - middle).T)
    ratio = np.polyval(np.polyfit(RAYS + np.pi / 2, ratio, 2), RAYS + np.pi / 2)  # hair has no spikes
    found[line] = middle + (guess[line] - middle) * ratio[:, None]
    return found


def _taken(person: Person, at: Plane) -> Moved:
    height, width = person.matte.shape
    x, y = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
    picture = cv2.remap(person.picture.astype(np.float32), x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    matte = cv2.remap(person.matte, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    edge = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    return Moved(
        np.asarray(picture.clip(0, 255), np.float32),
        np.asarray(matte, np.float32),
        np.clip(edge / (0.03 * width), 0, 1).astype(np.float32),
    )


def _grey(one: Moved) -> NDArray[np.uint8]:
    """What flow looks at: lightness with its slow changes taken away, behind the person nothing."""
    grey = np.asarray(cv2.cvtColor(one.picture / np.float32(255), cv2.COLOR_RGB2GRAY), np.float32)
    slow = smoothed(grey, 40)
    contrast = np.sqrt(smoothed((grey - slow) ** 2, 60)) + 0.03
    return np.asarray(((grey - slow) / contrast * one.matte * 40 + 128).clip(0, 255), np.uint8)


def _nearer(at: Plane, grey: NDArray[np.uint8], mean: NDArray[np.uint8], smooth: float) -> NDArray[np.float32]:
    scale = at.shape[0] / 960
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    blurred = [cv2.GaussianBlur(one, (0, 0), 1.5 * scale) for one in (mean, grey)]
    found = finder.calc(blurred[0], blurred[1], np.zeros(at.shape, np.float32))
    flow = smoothed(np.asarray(found, np.float32), smooth * scale)
    long = np.maximum(np.hypot(flow[..., 0], flow[..., 1]), 1e-6)
    flow = flow * np.minimum(1, CLOSE * scale / long)[..., None]
    own = pixels(at.shape[1], at.shape[0]) + np.asarray(flow, np.float32)
    moved_at = cv2.remap(at, own[..., 0], own[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved_at, np.float32)


def smoothed(of: NDArray[Any], sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(of.astype(np.float32), (0, 0), sigma), np.float32)


def _guided(guide: Plane, mask: Plane, reach: int, least: float) -> Plane:
    """A mask whose edge follows the picture's (He et al., Guided Image Filtering)."""

    def mean(of: NDArray[Any]) -> Plane:
        return np.asarray(cv2.boxFilter(of.astype(np.float32), -1, (2 * reach + 1, 2 * reach + 1)), np.float32)

    middle, other = mean(guide), mean(mask)
    slope = (mean(guide * mask) - middle * other) / (mean(guide * guide) - middle * middle + least)
    return (mean(slope) * guide + mean(other - slope * middle)).clip(0, 1)
