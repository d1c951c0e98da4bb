"""Several pictures of one shape -> one picture: coarse bands are the mean of all, fine ones come from a few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.blends.shapes import Moved, Plane, smoothed

SIGMAS = (1.2, 2.4, 4.8, 9.6)
"""Pixels at a height of 960: what is between two of them is a band."""
CHOICE = (9.0, 9.0, 7.0, 3.0)
"""How sharply a band is given to a few: 0 is the mean of all."""
MOST = 0.5  # of one portrait at any place, in any band
CELLS = (9, 5)  # of the field that says whose fine bands are taken: down the picture, across its half
GAIN = 1.4  # at most: contrast that blending took away is given back
STRONGER = 1.7  # times the middle energy that a portrait's band may have at a place
BELOW = 0.62  # of the height: beyond, nothing of a portrait is shown but the colour of its neck
COLOUR = 0.3  # share of the fine bands' own colours that is kept


@dataclass(frozen=True)
class Blend:
    picture: Plane
    """[h w 3], 0..255: the person, also where the matte is 0."""
    matte: Plane
    shares: tuple[float, ...]
    """Of each portrait: its mean weight over the person, over all bands, the coarse ones as one."""
    largest: float
    """The largest weight of one portrait at any place of the person in any fine band."""


def blended(people: list[Moved], skin: NDArray[np.bool_], detail: Plane) -> Blend:
    """`skin` [h w] tells where all show their face: there colours are brought to one mean; `detail` [h w] how much of
    the fine bands is wanted."""
    pictures = _alike(people, skin)
    height = skin.shape[0]
    mattes = [_within(one.matte, height) * one.seen for one in people]
    matte = _front([one.matte for one in people], [one.seen for one in people])
    here = matte > 0.5
    here[int(BELOW * height) :] = False
    weights = [_weights(mattes, here, choice) for choice in CHOICE]
    finer = pictures
    bands: list[list[Plane]] = []
    for sigma in SIGMAS:
        coarser = [_smooth(one, mask, sigma * height / 960) for one, mask in zip(pictures, mattes, strict=True)]
        bands.append([one - other for one, other in zip(finer, coarser, strict=True)])
        finer = coarser
    total = np.sum(mattes, 0)[..., None] + 1e-3
    found = np.sum([one * mask[..., None] for one, mask in zip(finer, mattes, strict=True)], 0) / total
    for sigma, band, given in zip(SIGMAS, bands, weights, strict=True):
        band = _common(band, mattes, 6 * sigma * height / 960)
        found = found + _mixed(band, given, 10 * sigma * height / 960) * detail[..., None]
    coarse = np.array([(mask / total[..., 0])[here].mean() for mask in mattes])
    fine = [np.array([one[here].mean() for one in given]) for given in weights]
    shares = np.mean([coarse, *fine], 0)
    largest = max(float(one[here].max()) for given in weights for one in given)
    return Blend(found.clip(0, 255).astype(np.float32), matte, tuple(float(one) for one in shares), largest)


def _alike(people: list[Moved], skin: NDArray[np.bool_]) -> list[Plane]:
    """Pictures whose faces have one mean colour and one contrast."""
    spaces = [cv2.cvtColor(one.picture / np.float32(255), cv2.COLOR_RGB2LAB) for one in people]
    middles = np.array([one[skin].mean(0) for one in spaces])
    spreads = np.array([one[skin].std(0) for one in spaces])
    found = []
    for space, middle, spread in zip(spaces, middles, spreads, strict=True):
        gain = (np.exp(np.log(spreads).mean(0)) / spread).clip(0.7, 1.35)
        changed = ((space - middle) * gain + middles.mean(0)).astype(np.float32)
        changed[..., 0] = changed[..., 0].clip(0, 100)
        found.append(cv2.cvtColor(changed, cv2.COLOR_LAB2RGB).clip(0, 1) * np.float32(255))
    return found


def _front(mattes: list[Plane], seen: list[Plane]) -> Plane:
    """Where most of those who show the place are."""
    shares = np.sum([one * where for one, where in zip(mattes, seen, strict=True)], 0) / (np.sum(seen, 0) + 1e-3)
    shares = smoothed(shares.astype(np.float32), 1.6 * shares.shape[0] / 960)
    eased = ((shares - 0.50) / 0.35).clip(0, 1)
    return np.asarray(eased * eased * (3 - 2 * eased), np.float32)


def _within(matte: Plane, height: int) -> Plane:
    """A matte that fades before the edge, so that no background comes along."""
    soft = smoothed(matte, 4.0 * height / 960)
    return np.asarray(((soft - 0.72) / 0.26).clip(0, 1), np.float32)


def _smooth(picture: Plane, mask: Plane, sigma: float) -> Plane:
    """Smoothed inside of a mask: what is outside does not come in."""
    soft = mask[..., None] + np.float32(1e-3)
    return np.asarray(smoothed(picture * soft, sigma) / smoothed(soft, sigma)[..., None], np.float32)


def _weights(mattes: list[Plane], here: NDArray[np.bool_], choice: float) -> list[Plane]:
    """[h w] a portrait: smooth, the same on both sides of the face, together 1, none above MOST; over the picture
    everybody has as much as what he shows allows."""
    height, width = here.shape
    generator = np.random.default_rng(478)
    fields = np.empty((len(mattes), height, width), np.float32)
    for field in fields:
        half = generator.normal(size=CELLS).astype(np.float32)
        both = np.concatenate([half, half[:, ::-1]], 1)
        field[:] = cv2.resize(both, (width, height), interpolation=cv2.INTER_CUBIC)
    shown = np.stack(mattes)
    aims = np.zeros(len(mattes), np.float32)
    small = slice(None, None, 8)
    for _ in range(60):
        given = _capped(fields[:, small, small] * choice / 3 + aims[:, None, None], shown[:, small, small])
        means = given[:, here[small, small]].mean(1)
        aims -= np.log(means * len(mattes) + 1e-3) * 0.4
        aims -= aims.mean()
        aims = aims.clip(-3, 3)
    return list(_capped(fields * choice / 3 + aims[:, None, None], shown))


def _capped(scores: NDArray[Any], shown: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = np.exp(scores - scores.max(0)) * shown
    for _ in range(6):
        weights = weights / (weights.sum(0) + 1e-4)
        weights = np.minimum(weights, MOST)
    return np.asarray(weights, np.float32)


def _common(band: list[Plane], mattes: list[Plane], reach: float) -> list[Plane]:
    """A band in which nobody has a much stronger line than the others have there: a rim of light, a fold, a beard."""
    strong = np.stack([smoothed((one**2).mean(2), reach) for one in band])
    usual = np.median(np.where(np.stack(mattes) > 0.5, strong, np.nan_to_num(strong.mean(0))), 0)
    return [
        one * np.sqrt(STRONGER * usual / (own + 0.02)).clip(0, 1)[..., None]
        for one, own in zip(band, strong, strict=True)
    ]


def _mixed(band: list[Plane], weights: list[Plane], reach: float) -> Plane:
    """A band of all, with the contrast that the bands of those who are in it have."""
    mixed = np.sum([one * given[..., None] for one, given in zip(band, weights, strict=True)], 0)
    wanted = np.sum([(one**2).mean(2) * given for one, given in zip(band, weights, strict=True)], 0)
    there = (mixed**2).mean(2)
    wanted, there = (smoothed(one, reach) for one in (wanted, there))
    gain = np.sqrt(wanted / (there + 0.05)).clip(1, GAIN)
    mixed = mixed * gain[..., None]
    grey = mixed.mean(2, keepdims=True)
    return np.asarray(grey + COLOUR * (mixed - grey), np.float32)
