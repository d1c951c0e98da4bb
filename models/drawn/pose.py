"""How a portrait holds its face in one frame, and the geometry of its head.

The head is an ellipsoid seen without perspective. Its frame: u to the picture's right, v down, w towards the viewer.
Angles are in radians: positive yaw turns to the picture's right, positive pitch looks up, positive roll leans
clockwise. The picture spans -1..1 in x and y.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models.drawn.identity import Identity
from models.drawn.shapes import smooth

HEAD_Y = -0.09  # of the head's centre in the picture
DEPTH = 0.95  # of the head's ellipsoid, over its half-width


@dataclass(frozen=True)
class Pose:
    """Fields [b]."""

    yaw: Tensor
    pitch: Tensor
    roll: Tensor
    shift_x: Tensor
    shift_y: Tensor
    scale: Tensor
    gaze_x: Tensor  # -1..1
    gaze_y: Tensor
    blink: Tensor  # 0 open, 1 closed
    lids: Tensor  # how wide the eyes are held: 1 as usual
    squint: Tensor  # raised lower lids, 0..1
    brow: Tensor  # both brows up, -1..1
    brow_inner: Tensor  # inner ends up, -1..1
    brow_uneven: Tensor  # one up and one down, -1..1
    smile: Tensor  # corners of the mouth up, -1..1
    opening: Tensor  # of the mouth, 0..1
    width: Tensor  # of the mouth, -1..1
    rounding: Tensor  # 0..1
    teeth: Tensor  # 0..1

    def rows(self, index: Tensor) -> Pose:
        return Pose(*(getattr(self, field.name)[index] for field in fields(self)))

    def to(self, device: torch.device | str) -> Pose:
        return Pose(*(getattr(self, field.name).to(device) for field in fields(self)))

    def __len__(self) -> int:
        return len(self.yaw)


def pose(number: int, **given: float | Tensor) -> Pose:
    """`number` poses at rest, but for what is given."""
    rest = {"scale": 1.0, "lids": 1.0}
    values = {field.name: given.get(field.name, rest.get(field.name, 0.0)) for field in fields(Pose)}
    return Pose(
        **{name: torch.as_tensor(value, dtype=torch.float32).expand(number).clone() for name, value in values.items()}
    )


@dataclass(frozen=True)
class Axes:
    """Half axes of the head's ellipsoid [b]."""

    a: Tensor
    b: Tensor
    d: Tensor


def axes(person: Identity) -> Axes:
    a = person.half_width * 1.04
    return Axes(a, (person.top + person.chin) * 0.56, a * DEPTH)


def project(person: Identity, held: Pose, u: Tensor, v: Tensor, lift: Tensor | float = 0.0) -> Tensor:
    """Points of the head's front [b k], raised by `lift` -> where they are in the picture [b k 2], x and y in -1..1."""
    ellipsoid = axes(person)
    a, b, d = (value[:, None] for value in (ellipsoid.a, ellipsoid.b, ellipsoid.d))
    w = d * torch.sqrt((1 - (u / a).square() - (v / b).square()).clamp_min(0)) + lift
    yaw, pitch, roll = held.yaw[:, None], held.pitch[:, None], held.roll[:, None]
    x = u * torch.cos(yaw) + w * torch.sin(yaw)
    y = v * torch.cos(pitch) - (w * torch.cos(yaw) - u * torch.sin(yaw)) * torch.sin(pitch)
    return from_upright(held, x, y, roll)


def from_upright(held: Pose, x: Tensor, y: Tensor, roll: Tensor) -> Tensor:
    """Coordinates around the head before it leans and moves [b k] -> in the picture [b k 2]."""
    scale = held.scale[:, None]
    across = (x * torch.cos(roll) - y * torch.sin(roll)) * scale + held.shift_x[:, None]
    down = (x * torch.sin(roll) + y * torch.cos(roll)) * scale + held.shift_y[:, None] + HEAD_Y
    return torch.stack([across, down], dim=-1)


@dataclass(frozen=True)
class Head:
    """A head at every pixel [b h w]."""

    x: Tensor  # around the head's centre, the lean taken out
    y: Tensor
    u: Tensor  # of the point of the head that is seen there
    v: Tensor
    front: Tensor  # w over the half axis: 1 where the head's front is, 0 at its edge
    light: Tensor  # how much the light falls on it, -1..1
    facing: Tensor  # how far the surface faces the viewer, 0..1
    outline: Tensor  # distance to the outline of the face
    pixel: Tensor  # size of a pixel [b 1 1]
    turn: Tensor  # sine of yaw [b 1 1]
    nod: Tensor  # sine of pitch [b 1 1]


def head(x: Tensor, y: Tensor, pixel: Tensor, person: Identity, held: Pose) -> Head:
    """`x`, `y` [b h w] in the picture; fields of `person` and `held` [b 1 1] or [b k 1 1] -> what is seen there."""
    cos_roll, sin_roll = torch.cos(held.roll), torch.sin(held.roll)
    x, y = (x - held.shift_x) / held.scale, (y - held.shift_y - HEAD_Y) / held.scale
    x, y = x * cos_roll + y * sin_roll, y * cos_roll - x * sin_roll
    ellipsoid = axes(person)
    sy, cy, sp, cp = torch.sin(held.yaw), torch.cos(held.yaw), torch.sin(held.pitch), torch.cos(held.pitch)
    # A ray towards the viewer in the head's frame: start + z * way.
    start_u, start_v, start_w = x * cy + y * sp * sy, y * cp, x * sy - y * sp * cy
    way_u, way_v, way_w = -cp * sy, sp, cp * cy
    ia, ib, id_ = (
        ellipsoid.a.square().reciprocal(),
        ellipsoid.b.square().reciprocal(),
        ellipsoid.d.square().reciprocal(),
    )
    qa = way_u.square() * ia + way_v.square() * ib + way_w.square() * id_
    qb = start_u * way_u * ia + start_v * way_v * ib + start_w * way_w * id_
    qc = start_u.square() * ia + start_v.square() * ib + start_w.square() * id_ - 1
    z = (torch.sqrt((qb.square() - qa * qc).clamp_min(0)) - qb) / qa
    u, v, w = start_u + z * way_u, start_v + z * way_v, start_w + z * way_w
    nu, nv, nw = u * ia, v * ib, w * id_
    length = torch.rsqrt(nu.square() + nv.square() + nw.square() + 1e-9)
    lx, ly, lz = (person.light[:, axis] for axis in range(3))
    lx, ly = lx * cos_roll + ly * sin_roll, ly * cos_roll - lx * sin_roll
    deep = lz * cp - ly * sp  # the light in the head's frame
    light_u, light_v, light_w = lx * cy - deep * sy, ly * cp + lz * sp, lx * sy + deep * cy
    light = (nu * light_u + nv * light_v + nw * light_w) * length
    facing = ((nu * way_u + nv * way_v + nw * way_w) * length).clamp(0, 1)
    return Head(
        x, y, u, v, w / ellipsoid.d, light, facing, face_outline(x, y, person, held), pixel / held.scale, sy, sp
    )  # fmt: skip


def face_outline(x: Tensor, y: Tensor, person: Identity, held: Pose, grow: Tensor | float = 0.0) -> Tensor:
    """Distance to the outline of the face. The chin lies before the skull and moves further as the head turns."""
    chin = person.chin + 0.055 * held.opening
    depth = person.half_width * (0.12 + 0.5 * smooth(y / chin))
    x, y = x - depth * torch.sin(held.yaw), y + depth * torch.sin(held.pitch)
    below = (y / (chin + grow)).clamp_min(1e-3)
    wide = (person.half_width + grow) * (1 - person.taper * smooth(below))
    lower = torch.pow(below.clamp_max(2), person.jaw)
    upper = (y / (person.top + grow)).clamp_max(0)
    f = (x / wide).square() + torch.where(y > 0, lower, upper.square()) - 1
    slope_y = torch.where(y > 0, person.jaw * lower / below / (chin + grow), 2 * upper / (person.top + grow))
    return f * torch.rsqrt((2 * x / wide.square()).square() + slope_y.square() + 0.3)
