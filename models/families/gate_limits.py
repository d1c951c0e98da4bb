"""The limits of the families that have a gate, and what they were measured on (docs/results/gate.md).

Each stands well outside of what the family's good films gave, and inside of what planted faults gave.
"""

from __future__ import annotations

from models.families.gate import Gate, Limit

FAKE_GATE = Gate(1, (Limit("spread", least=0.2, most=0.38), Limit("steps", least=0.2)))
"""Hashes spread by 0.289 and go 0.333 from frame to frame, of 1."""

PHOTO_GATE = Gate(
    1,
    (
        Limit("reach", most=95.0),
        Limit("bend", most=1.7),
        Limit("rough", most=1.2),
        Limit("tear", most=3.5),
        Limit("jump", most=8.0),
        Limit("still", least=0.1),
        Limit("flash", most=4.2),
        Limit("lips", most=80.0),
        Limit("shut", most=0.3),
        Limit("mouth", least=0.3),
    ),
    tries=1,  # another sampling gives other blinks and nothing else: it mends what went wrong for a moment
    sizes=(512,),
)
"""What they are of is in `models.parts.movement_look`."""

MINI_GATE = Gate(
    1,
    (
        Limit("likeness", least=0.2),  # a head that turns as far as prompts turn it is 0.41 of the portrait
        Limit("sharpness", least=0.6, most=1.15),
        Limit("grain", least=0.55, most=1.2),
        Limit("colour", most=0.03),
        Limit("jump", most=0.45),
        Limit("still", least=0.002),
        Limit("lips", least=0.08),
    ),
    sizes=(512,),
)
"""What they are of is in `models.parts.rough_look`."""
