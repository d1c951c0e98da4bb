"""Families of hair, as ranges that an identity draws from.

Lengths are in head units: the face is about 0.9 wide and 1.15 high, its centre at 0, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class HairStyle:
    volume: Range = (0.05, 0.09)
    """Hair above the skull."""
    side_volume: Range = (0.01, 0.04)
    hairline: Range = (0.36, 0.42)
    """Height of the hairline over the centre."""
    sides: Range = (-0.12, 0.0)
    """How far down it reaches at the temples."""
    sweep: Range = (0.0, 0.15)
    """How far the hair falls over the forehead away from the parting."""
    part: Range = (-0.2, 0.2)
    jag: Range = (0.0, 0.01)
    """Unevenness of its front edge."""
    curl: Range = (0.0, 0.0)
    """Unevenness of the outline."""
    back_width: Range = (0.0, 0.0)
    """Half-width of the hair behind the head; 0: none."""
    back_top: Range = (0.62, 0.68)
    back_bottom: Range = (0.3, 0.3)
    back_wave: Range = (0.0, 0.0)
    locks: Range = (0.0, 0.0)
    """1: hair falls in front of the shoulders."""
    bun: Range = (0.0, 0.0)
    """Radius of the knot on top."""
    side_buns: Range = (0.0, 0.0)
    strands: Range = (0.5, 1.0)
    fade: Range = (0.0, 0.0)
    """How far the skin shows through."""


HAIR_STYLES: dict[str, HairStyle] = {
    "bald": HairStyle(volume=(-0.01, 0.0), side_volume=(-0.01, 0.0), hairline=(0.9, 0.95), sides=(-0.9, -0.8)),
    "buzz": HairStyle(volume=(0.012, 0.02), side_volume=(0.0, 0.01), fade=(0.25, 0.4), strands=(0.0, 0.2)),
    "short": HairStyle(volume=(0.06, 0.11), jag=(0.01, 0.03)),
    "side_part": HairStyle(volume=(0.07, 0.12), part=(-0.3, 0.3), sweep=(0.2, 0.35)),
    "fringe": HairStyle(
        hairline=(0.2, 0.25), sweep=(-0.05, 0.0), jag=(0.01, 0.025), back_width=(0.47, 0.52), back_bottom=(0.2, 0.4)
    ),
    "bob": HairStyle(
        sides=(0.25, 0.4), sweep=(0.15, 0.4), side_volume=(0.05, 0.08), back_width=(0.50, 0.56), back_bottom=(0.45, 0.6)
    ),
    "long": HairStyle(
        sides=(0.15, 0.35), sweep=(0.1, 0.4), side_volume=(0.04, 0.07), back_width=(0.50, 0.56),
        back_bottom=(0.9, 1.3), locks=(1.0, 1.0),
    ),
    "wavy": HairStyle(
        sides=(0.15, 0.35), sweep=(0.1, 0.4), side_volume=(0.06, 0.09), curl=(0.008, 0.014), back_width=(0.53, 0.6),
        back_bottom=(0.8, 1.2), back_wave=(0.02, 0.035), locks=(1.0, 1.0),
    ),
    "afro": HairStyle(
        volume=(0.16, 0.26), side_volume=(0.12, 0.2), hairline=(0.33, 0.38), curl=(0.008, 0.014), sides=(-0.05, 0.05),
        back_width=(0.6, 0.7), back_top=(0.8, 0.9), back_bottom=(0.2, 0.35), strands=(0.0, 0.1), jag=(0.008, 0.015),
    ),
    "curls": HairStyle(
        volume=(0.1, 0.15), side_volume=(0.03, 0.06), curl=(0.012, 0.02), jag=(0.02, 0.035), strands=(0.0, 0.2),
        hairline=(0.3, 0.36),
    ),
    "bun": HairStyle(volume=(0.03, 0.05), bun=(0.14, 0.18), sweep=(0.0, 0.1)),
    "side_buns": HairStyle(volume=(0.04, 0.06), side_buns=(0.13, 0.17), part=(0.0, 0.0), sweep=(0.1, 0.2)),
    "receding": HairStyle(hairline=(0.42, 0.45), sides=(-0.14, -0.04), sweep=(-0.12, -0.05), volume=(0.02, 0.04)),
}  # fmt: skip
