"""How a photograph moves with what is heard: flow, holes, contours of lips and lids, a few numbers, blinks.

The reference pass looks at a portrait once: its latents and a map of face coordinates become basis fields of flow and
features. Every frame's sound becomes a short code; flow is the basis fields weighed by it, so a portrait's shape and a
moment's sound meet in one product. Appearance comes from the portrait's own pixels, moved by that flow.

Shapes: p portraits, n frames, k numbers of the code, h = w = 32 cells. Flow and contours are in pixels of a portrait of
512 x 512, flow backwards: where a cell was in the portrait, less where it is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.families.config import MovementConfig

SIDE, CELLS = 512, 32
LATENTS_SIDE = 256  # pixels of a portrait whose latents are looked at
NUMBERS = (
    "yaw", "pitch", "roll", "shift_x", "shift_y", "scale", "gaze_x", "gaze_y", "blink", "lids", "squint", "brow",
    "brow_inner", "brow_uneven", "smile", "opening", "width", "rounding", "teeth",
)  # fmt: skip
"""What else a frame is told to be: the fields of `puppet.track.Track`."""
SPREADS = (0.12, 0.12, 0.12, 0.02, 0.02, 0.02, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.7, 1, 0.7, 0.7, 0.7)
RESTS = (0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
LIP_POINTS, LID_POINTS = 22, 36
CALMER = {"opening": (0.45, 0.35), "rounding": (0.25, 0.4)}
"""From which value on a number of the mouth goes further by a share alone."""
BLINK = (0.55, 1.0, 0.85, 0.35)  # how closed the lids are in a blink's frames
BLINK_GAP = 30  # frames between the beginnings of two, at least
LONGEST_GAP = 200  # at most
BLINK_SURE = 1.5  # logit from which lids shut: frames of blinks are drawn about five times as often in training


class Looked(NamedTuple):
    """What is known of portraits before anything is heard."""

    basis: Tensor  # [p 2 k h w]
    detail: Tensor  # [p m h w]
    reach: Tensor  # [p k 2·58]: how far every number of the code moves the contours
    contours: Tensor  # [p 58 2] the portrait's own, lips first


class Moved(NamedTuple):
    flow: Tensor  # [n 2 h w]
    hole: Tensor  # [n h w] logits
    contours: Tensor  # [n 58 2]
    numbers: Tensor  # [n 19]
    blink: Tensor  # [n] logit that lids are shutting or shut

    @property
    def lips(self) -> Tensor:
        """[n 2 11 2]."""
        return self.contours[:, :LIP_POINTS].unflatten(1, (2, 11))

    @property
    def lids(self) -> Tensor:
        """[n 2 2 9 2]."""
        return self.contours[:, LIP_POINTS:].unflatten(1, (2, 2, 9))


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class Hearing(nn.Module):
    """Windows of what is heard [n window rows bands], and what a prompt asks for [n prompts] -> codes [n k].

    Prompts scale and shift normalised features, as adaptive layer norm does; they change nothing before training.
    """

    def __init__(self, config: MovementConfig) -> None:
        super().__init__()
        self.config = config
        self.moment = nn.Linear(4 * config.bands, 64)
        self.before = nn.Linear((config.rows - 4) * config.bands, 64)
        self.join = nn.Linear(64 * config.window + 64, 160)
        self.norm = nn.LayerNorm(160)
        self.prompt = nn.Linear(config.prompts, 320)
        self.deepen = nn.Linear(160, 160)
        self.out = nn.Linear(160, config.code)
        for value in self.prompt.parameters():
            nn.init.zeros_(value)

    def forward(self, windows: Tensor, prompt: Tensor) -> Tensor:
        moments = F.silu(self.moment(windows[:, :, :4].flatten(2))).flatten(1)
        before = F.silu(self.before(windows[:, self.config.past, 4:].flatten(1)))
        gain, offset = self.prompt(prompt).chunk(2, 1)
        joined = F.silu(self.norm(self.join(torch.cat([moments, before], 1))) * (1 + gain) + offset)
        found: Tensor = self.out(joined + F.silu(self.deepen(joined)))
        return found


class Reference(nn.Module):
    """Portraits' latents [p 8 h w] and face maps [p 9 h w] -> basis fields, features, reach of the contours."""

    def __init__(self, config: MovementConfig) -> None:
        super().__init__()
        self.config = config
        n, d = config.width, config.deep
        self.enter, self.first = nn.Conv2d(config.latents + config.maps, n, 3, padding=1), Block(n)
        self.down1, self.second = nn.Conv2d(n, n, 3, 2, 1), Block(n)
        self.down2, self.down3 = nn.Conv2d(n, d, 3, 2, 1), nn.Conv2d(d, d, 3, 2, 1)
        self.bottom, self.third = nn.Sequential(Block(d), Block(d)), nn.Sequential(Block(d), Block(d))
        self.up3, self.up2, self.up1 = nn.Conv2d(d, 4 * d, 1), nn.Conv2d(d, 4 * n, 1), nn.Conv2d(n, 4 * n, 1)
        self.fourth, self.last = Block(n), nn.Sequential(Block(n), Block(n))
        self.out = nn.Conv2d(n, 2 * config.code + config.detail, 3, padding=1)
        points = 2 * (LIP_POINTS + LID_POINTS)
        last = nn.Linear(128, config.code * points)
        with torch.no_grad():
            last.weight.mul_(0.3)
        self.reach = nn.Sequential(nn.Linear(d + points, 128), nn.SiLU(), last)

    def forward(self, latents: Tensor, maps: Tensor, contours: Tensor) -> Looked:
        """`contours` [p 58 2]: the portraits' own."""
        fine = self.first(self.enter(torch.cat([latents, maps], 1)))
        half = self.second(self.down1(fine))
        quarter = self.down2(half)
        deep = self.bottom(self.down3(quarter))
        quarter = self.third(quarter + F.pixel_shuffle(self.up3(deep), 2))
        half = self.fourth(half + F.pixel_shuffle(self.up2(quarter), 2))
        fine = self.last(fine + F.pixel_shuffle(self.up1(half), 2))
        fields, detail = self.out(F.silu(fine)).split([2 * self.config.code, self.config.detail], dim=1)
        middle = contours.mean(1, keepdim=True)
        shape = ((contours - middle) / 64).flatten(1)
        reach = self.reach(torch.cat([deep.mean((2, 3)), shape.to(deep.dtype)], 1)).float()
        return Looked(
            fields.float().unflatten(1, (2, self.config.code)) * 4,
            detail,
            reach.unflatten(1, (self.config.code, -1)),
            contours,
        )


class MovementNet(nn.Module):
    def __init__(self, config: MovementConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MovementConfig()
        m = config.detail
        self.hearing, self.reference = Hearing(config), Reference(config)
        self.tune = nn.Linear(config.code, 2 * m)
        self.enter = nn.Conv2d(m + config.latents + 2, m, 3, padding=1)
        self.blocks = nn.Sequential(Block(m), Block(m))
        self.out = nn.Conv2d(m, 3, 3, padding=1)
        self.numbers = nn.Linear(config.code, len(NUMBERS))
        self.blink = nn.Sequential(nn.Linear(config.code, 32), nn.SiLU(), nn.Linear(32, 1))
        last = nn.Linear(96, 2 * (LIP_POINTS + LID_POINTS))
        self.fine = nn.Sequential(nn.Linear(config.code + m, 96), nn.SiLU(), last)
        for value in (*self.out.parameters(), *last.parameters()):
            nn.init.zeros_(value)

    def look(self, latents: Tensor, maps: Tensor, contours: Tensor) -> Looked:
        found: Looked = self.reference(latents, maps, contours)
        return found

    def hear(self, windows: Tensor, prompt: Tensor) -> Tensor:
        found: Tensor = self.hearing(windows, prompt).float()
        return found

    def told(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What is the same for every portrait: the 19 numbers [n 19], logits that lids are shutting or shut [n]."""
        numbers = self.numbers(codes).float() * torch.tensor(SPREADS).to(codes) + torch.tensor(RESTS).to(codes)
        return numbers, self.blink(codes).float()[:, 0]

    def calmer(self, codes: Tensor) -> Tensor:
        """Codes [n k] of mouths that go less far where they are told to go very far, the other numbers as they were: a
        jaw that drops all the way in speech makes a stranger of its owner."""
        numbers, inverse = self.told(codes)[0], torch.linalg.pinv(self.numbers.weight.float())
        for name, (most, share) in CALMER.items():
            place = NUMBERS.index(name)
            beyond = (numbers[:, place] - most).clamp_min(0) * (1 - share) / SPREADS[place]
            codes = codes - beyond[:, None] * inverse[:, place]
        return codes

    def forward(self, looked: Looked, latents: Tensor, codes: Tensor) -> Moved:
        """`looked` and `latents` of the portrait of every frame, codes [n k]."""
        flow = torch.einsum("ndkhw,nk->ndhw", looked.basis, codes)
        gain, offset = self.tune(codes).chunk(2, 1)
        tuned = looked.detail * (1 + gain[..., None, None]) + offset[..., None, None]
        seen = torch.cat([tuned, moved(latents, flow), flow / 8], 1)
        found = self.out(F.silu(self.blocks(self.enter(seen)))).float()
        edge = border(found)
        flow = (flow + 2 * found[:, :2]) * edge
        carried = looked.contours - at_points(flow.detach(), looked.contours)
        bend = (
            torch.einsum("nkc,nk->nc", looked.reach, codes)
            + self.fine(torch.cat([codes, tuned.mean((2, 3))], 1)).float()
        )
        numbers, blink = self.told(codes)
        return Moved(flow, 2 * found[:, 2] - 3, carried + bend.unflatten(1, (-1, 2)), numbers, blink)


def border(like: Tensor) -> Tensor:
    """[h w]: 0 in the outermost cells, where nothing may move, 1 from the third on."""
    away = torch.arange(CELLS, device=like.device)
    line = (torch.minimum(away, away.flip(0)) / 2).clamp(0, 1)
    return line[:, None] * line[None]


def moved(fields: Tensor, flow: Tensor) -> Tensor:
    """Fields [n c h w] moved by backward flow [n 2 h w] in pixels of 512."""
    line = (torch.arange(CELLS, device=fields.device) + 0.5) * 2 / CELLS - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    at = torch.stack([x, y], -1) + flow.float().permute(0, 2, 3, 1) * (2 / SIDE)
    return F.grid_sample(fields.float(), at, mode="bilinear", padding_mode="border", align_corners=False).to(
        fields.dtype
    )


def at_points(flow: Tensor, points: Tensor) -> Tensor:
    """Flow [n 2 h w] at points [n q 2] in pixels -> [n q 2]."""
    at = (points + 0.5) * (2 / SIDE) - 1
    found = F.grid_sample(flow.float(), at[:, :, None], mode="bilinear", padding_mode="border", align_corners=False)
    return found[..., 0].transpose(1, 2)


def windows(features: Tensor, frames: list[int], config: MovementConfig) -> Tensor:
    """What is heard [f rows bands] around some frames -> [n window rows bands]; silence before the first."""
    found = []
    for frame in frames:
        places = torch.arange(frame - config.past, frame + config.next + 1)
        window = features[places.clamp(0, len(features) - 1)].clone()
        window[places < 0] = -1
        found.append(window)
    return torch.stack(found)


class BlinkState(NamedTuple):
    """What decides about the next frame's lids."""

    since: int = BLINK_GAP
    """Frames since the last blink began, at most `LONGEST_GAP`."""
    shut: bool = False
    """Whether the frame before was to have shut lids."""


def blinks(logits: Tensor, state: BlinkState, longest: int = LONGEST_GAP) -> tuple[Tensor, BlinkState]:
    """Logits [n] of frames in a row -> how far lids are shut [n]: whole blinks or none, never half of one.

    Where nothing of what is heard asks for one, lids close `longest` frames after the last time.
    """
    since, before = state
    closed = []
    for logit in logits.tolist():
        shut = logit > BLINK_SURE
        since = min(since + 1, LONGEST_GAP)
        if (shut and not before and since >= BLINK_GAP) or since >= longest:
            since = 0
        closed.append(BLINK[since] if since < len(BLINK) else 0.0)
        before = shut
    return torch.tensor(closed), BlinkState(since, before)


def decided_blinks(logits: Tensor) -> Tensor:
    """The same, of a film's first frames."""
    return blinks(logits, BlinkState())[0]
