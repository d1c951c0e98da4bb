"""Who is in a picture: everything that stays the same while a portrait moves, drawn from a seed.

Lengths are in head units (see `hair_styles`), colours sRGB 0..1. A batch of identities is one `Identity` whose fields
have b rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from random import Random

import torch
from torch import Tensor

from models.drawn.colours import HAIR, IRIS, RGB, hsv, mix, skin
from models.drawn.hair_styles import HAIR_STYLES, HairStyle
from models.families.noise_keys import noise_key

SPOTS = 14  # freckles and moles
SHAPES = 6  # in the background
TABLE = 16  # colours of what stands on the shelves
PATTERNS = ("plain", "stripes", "bars", "dots", "checks")
BACKGROUNDS = ("gradient", "shapes", "shelf", "noise")
STYLES = ("flat", "shaded", "painted")


@dataclass(frozen=True)
class Identity:
    """Fields [b] or [b, k]."""

    half_width: Tensor
    top: Tensor
    chin: Tensor
    jaw: Tensor  # exponent of the lower outline: 2 oval, 3 square
    taper: Tensor
    skin: Tensor
    lip: Tensor
    blush: Tensor
    spots: Tensor  # [b, 14·4]: u, v, radius, strength
    eye_gap: Tensor
    eye_level: Tensor
    eye_width: Tensor
    eye_height: Tensor
    eye_tilt: Tensor
    iris_radius: Tensor
    iris: Tensor
    lash: Tensor
    brow_lift: Tensor
    brow_thick: Tensor
    brow_length: Tensor
    brow_arch: Tensor
    brow: Tensor
    nose_tip: Tensor
    nose_width: Tensor
    mouth_level: Tensor
    mouth_width: Tensor
    lip_upper: Tensor
    lip_lower: Tensor
    ear: Tensor
    hair: Tensor
    volume: Tensor
    side_volume: Tensor
    hairline: Tensor
    sides: Tensor
    sweep: Tensor
    part: Tensor
    jag: Tensor
    curl: Tensor
    back_width: Tensor
    back_top: Tensor
    back_bottom: Tensor
    back_wave: Tensor
    locks: Tensor
    bun: Tensor
    side_buns: Tensor
    strands: Tensor
    fade: Tensor
    beard: Tensor  # 0..1
    moustache: Tensor
    beard_level: Tensor
    glasses: Tensor
    frame_size: Tensor
    frame_round: Tensor
    frame: Tensor
    earring: Tensor
    metal: Tensor
    hat: Tensor
    hat_colour: Tensor
    neck: Tensor
    shoulder: Tensor
    slope: Tensor
    neckline: Tensor  # depth of what the clothes leave open
    collar: Tensor
    cloth: Tensor
    second: Tensor
    pattern: Tensor  # one of PATTERNS, as weights
    pattern_scale: Tensor
    wall: Tensor
    wall_low: Tensor
    background: Tensor  # one of BACKGROUNDS, as weights
    shapes: Tensor  # [b, 6·7]: x, y, radius, edge, colour
    table: Tensor  # [b, 16·3]
    light: Tensor  # direction towards the light, x right, y down, z to the viewer
    warmth: Tensor
    style: Tensor  # one of STYLES, as weights
    phases: Tensor

    def rows(self, index: Tensor) -> Identity:
        """The identities at `index` [n], in that order."""
        return Identity(*(getattr(self, field.name)[index] for field in fields(self)))

    def to(self, device: torch.device | str) -> Identity:
        return Identity(*(getattr(self, field.name).to(device) for field in fields(self)))

    def __len__(self) -> int:
        return len(self.half_width)


def identities(seeds: list[int], style: str | None = None) -> Identity:
    """The identities of some seeds, all in one style if it is named."""
    people = [_person(seed, style) for seed in seeds]
    return Identity(*(torch.tensor([person[field.name] for person in people]) for field in fields(Identity)))


Value = float | list[float]


class _Dice:
    """Numbers of one identity. Only `random` is used: its sequence is the same in every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = Random(noise_key(seed, "identity", 0))

    def __call__(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def pick(self, number: int) -> int:
        return int(self._random.random() * number)

    def weights(self, shares: tuple[float, ...], chosen: int | None = None) -> list[float]:
        """One place 1, the others 0, by these shares."""
        point, place = self._random.random() * sum(shares), 0
        while place < len(shares) - 1 and point >= shares[place]:
            point -= shares[place]
            place += 1
        place = place if chosen is None else chosen
        return [float(number == place) for number in range(len(shares))]


def _person(seed: int, style: str | None) -> dict[str, Value]:
    dice = _Dice(seed)
    tone = dice(-45, 62)
    complexion = skin(tone)
    dark = HAIR[dice.pick(4)] if tone < 10 else HAIR[dice.pick(len(HAIR))]
    hair = mix(dark, HAIR[dice.pick(4)], dice(0, 0.3))
    names = list(HAIR_STYLES)
    name = names[dice.pick(len(names))]
    locks = HAIR_STYLES[name].back_bottom[1] > 0.5 or "bun" in name
    person: dict[str, Value] = {}
    person |= _face(dice, complexion, hair)
    person |= _hair(dice, HAIR_STYLES[name], hair)
    bearded = dice.chance(0.3) and not locks
    person |= {
        "beard": dice(0.35, 1.0) if bearded else 0.0,
        "moustache": float(dice.chance(0.8)) if bearded else float(not locks and dice.chance(0.1)),
        "beard_level": dice(0.12, 0.26),
    }
    person |= _accessories(dice, name)
    person |= _clothes(dice)
    person |= _scene(dice)
    chosen = STYLES.index(style) if style else None
    person["style"] = dice.weights((1.0, 2.0, 1.0), chosen)
    person["phases"] = [dice(0, 1) for _ in range(6)]
    return person


def _face(dice: _Dice, complexion: RGB, hair: RGB) -> dict[str, Value]:
    half_width = dice(0.40, 0.47)
    freckled = dice.chance(0.25)
    spots: list[float] = []
    for number in range(SPOTS):
        mole = number < 2
        strong = (0.75 if dice.chance(0.5) else 0.0) if mole else (0.35 if freckled else 0.0)
        u, v = (dice(-0.32, 0.32), dice(-0.2, 0.42)) if mole else (dice(-0.28, 0.28), dice(0.05, 0.2))
        spots += [u, v, dice(0.009, 0.014) if mole else dice(0.005, 0.009), strong]
    lip = mix(complexion, (0.72, 0.22, 0.26), dice(0.3, 0.55))
    if dice.chance(0.12):
        lip = (0.72, 0.12, 0.2)
    return {
        "half_width": half_width,
        "top": dice(0.56, 0.61),
        "chin": dice(0.54, 0.62),
        "jaw": dice(2.0, 3.0),
        "taper": dice(0.02, 0.22),
        "skin": list(complexion),
        "lip": list(mix(lip, complexion, 0.1)),
        "blush": dice(0.0, 0.9),
        "spots": spots,
        "eye_gap": dice(0.175, 0.2) * half_width / 0.435,
        "eye_level": dice(-0.06, 0.0),
        "eye_width": dice(0.082, 0.1),
        "eye_height": dice(0.055, 0.078),
        "eye_tilt": dice(-0.08, 0.2),
        "iris_radius": dice(0.047, 0.057),
        "iris": list(mix(IRIS[dice.pick(len(IRIS))], IRIS[dice.pick(len(IRIS))], dice(0, 0.4))),
        "lash": dice(0.007, 0.015),
        "brow_lift": dice(0.125, 0.16),
        "brow_thick": dice(0.012, 0.026),
        "brow_length": dice(0.105, 0.13),
        "brow_arch": dice(0.01, 0.04),
        "brow": list(mix(hair, (0.16, 0.1, 0.08), 0.45)),
        "nose_tip": dice(0.16, 0.21),
        "nose_width": dice(0.055, 0.085),
        "mouth_level": dice(0.33, 0.37),
        "mouth_width": dice(0.125, 0.165),
        "lip_upper": dice(0.018, 0.034),
        "lip_lower": dice(0.026, 0.046),
        "ear": dice(0.09, 0.115),
    }


def _hair(dice: _Dice, style: HairStyle, hair: RGB) -> dict[str, Value]:
    drawn: dict[str, Value] = {field.name: dice(*getattr(style, field.name)) for field in fields(style)}
    return drawn | {"hair": list(hair)}


def _accessories(dice: _Dice, hair: str) -> dict[str, Value]:
    frames: tuple[RGB, ...] = (
        (0.12, 0.1, 0.1),
        (0.35, 0.2, 0.12),
        (0.6, 0.12, 0.15),
        (0.15, 0.25, 0.45),
        (0.75, 0.6, 0.3),
    )
    return {
        "glasses": float(dice.chance(0.28)),
        "frame_size": dice(0.92, 1.12),
        "frame_round": dice(0.35, 1.0),
        "frame": list(frames[dice.pick(len(frames))]),
        "earring": dice(0.018, 0.03) if dice.chance(0.25) else 0.0,
        "metal": list(((0.9, 0.75, 0.35), (0.85, 0.86, 0.9))[dice.pick(2)]),
        "hat": float(dice.chance(0.1) and hair not in ("afro", "bun", "side_buns")),
        "hat_colour": list(hsv(dice(0, 1), dice(0.3, 0.7), dice(0.35, 0.8))),
    }


def _clothes(dice: _Dice) -> dict[str, Value]:
    hue = dice(0, 1)
    cloth = hsv(hue, dice(0.08, 0.6), dice(0.2, 0.85))
    return {
        "neck": dice(0.17, 0.23),
        "shoulder": dice(0.6, 0.68),
        "slope": dice(0.16, 0.3),
        "neckline": dice(0.02, 0.2),
        "collar": float(dice.chance(0.35)),
        "cloth": list(cloth),
        "second": list(mix(cloth, hsv(hue + dice(0.05, 0.5), dice(0.2, 0.7), dice(0.4, 0.95)), dice(0.5, 0.9))),
        "pattern": dice.weights((5.0, 1.0, 0.7, 1.0, 0.7)),
        "pattern_scale": dice(0.7, 1.3),
    }


def _scene(dice: _Dice) -> dict[str, Value]:
    hue, saturation, value = dice(0, 1), dice(0.06, 0.36), dice(0.45, 0.92)
    wall = hsv(hue, saturation, value)
    shapes: list[float] = []
    for _ in range(SHAPES):
        edge = dice(0.02, 0.4)
        shapes += [dice(-1, 1), dice(-1, 0.8), dice(0.12, 0.4), edge]
        shapes += mix(wall, hsv(hue + dice(-0.15, 0.15), dice(0.1, 0.5), dice(0.4, 1.0)), 0.6)
    table: list[float] = []
    for _ in range(TABLE):
        table += mix(wall, hsv(dice(0, 1), dice(0.2, 0.6), dice(0.3, 0.85)), 0.7)
    angle = dice(-1, 1) * 1.0
    return {
        "wall": list(wall),
        "wall_low": list(mix(wall, hsv(hue + dice(-0.08, 0.08), saturation, value * 0.65), dice(0.4, 1))),
        "background": dice.weights((2.0, 2.0, 1.2, 1.0)),
        "shapes": shapes,
        "table": table,
        "light": [math.sin(angle) * 0.8, -dice(0.25, 0.6), dice(0.6, 0.9)],
        "warmth": dice(-1, 1),
    }
