"""Warping, eroding and blurring of pictures, on any device.

Source positions are integers in 1/32 pixel, as in OpenCV 4: devices agree on them exactly, and a picture does not
depend on the version of an image library. Matrices are 2x3, float64, on the CPU, and act on (x, y, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.image.taps import Runs, filter_axis, runs_of_taps, sliding_runs

FINE = 1024  # positions are first rounded to this fraction of a pixel ...
STEPS = 32  # ... then to this one


def invert(matrix: Tensor) -> Tensor:
    """Matrix [2, 3] of the opposite direction."""
    linear = torch.linalg.inv(matrix[:, :2])
    return torch.cat([linear, -linear @ matrix[:, 2:]], dim=1)


def warp(
    image: Tensor, matrix: Tensor, size: tuple[int, int], fill: Sequence[float] | None = None, extended: bool = False
) -> Tensor:
    """image [c, h, w], matrix from the image to the result -> [c, *size], bilinear.

    Outside the image is `fill`, one value a channel, or zero; an `extended` image is first continued by a pixel on
    each side. A matrix that does not turn the image is applied to one axis after the other, which is much cheaper
    and differs by rounding only.
    """
    back = invert(matrix.double())
    if not float(back[0, 1]) and not float(back[1, 0]):
        return _warp_upright(image, tuple(back.flatten().tolist()), size, fill, extended)
    across, down = _places(back.tolist(), size, image.device)

    # A ring of `fill` around the image catches every position outside of it.
    border = 2 if extended else 1
    if extended:
        image = F.pad(image, (1, 1, 1, 1), mode="replicate")
    framed = F.pad(image, (1, 1, 1, 1))
    height, width = framed.shape[-2:]
    if fill is not None:
        for plane, value in zip(framed, fill, strict=True):
            plane.fill_(value)
        framed[:, 1:-1, 1:-1] = image
    pixels = framed.flatten(1)
    place = (down[:, :, None] + across[:, None, :]) // (FINE // STEPS)
    (left, top), (right_share, low_share) = place // STEPS, (place % STEPS) / STEPS

    def take(dx: int, dy: int) -> Tensor:
        column = (left + dx + border).clamp(0, width - 1)
        row = (top + dy + border).clamp(0, height - 1)
        return pixels[:, row * width + column]

    right_share, low_share = right_share.to(image.dtype), low_share.to(image.dtype)
    upper = torch.lerp(take(0, 0), take(1, 0), right_share)
    lower = torch.lerp(take(0, 1), take(1, 1), right_share)
    return torch.lerp(upper, lower, low_share)


def _places(back: list[list[float]], size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """What a column [2 w] and a row [2 h] of the result add to the place in the image, x and y, in 1/FINE pixel.

    Computed on the device, from numbers: nothing is copied there.
    """
    y, x = (torch.arange(n, dtype=torch.float64, device=device) for n in size)
    across = torch.stack([x * right * FINE for right, _, _ in back]).round().long()
    down = torch.stack([(y * low + shift) * FINE for _, low, shift in back]).round().long()
    return across, down + FINE // STEPS // 2


def _warp_upright(
    image: Tensor, back: tuple[float, ...], size: tuple[int, int], fill: Sequence[float] | None, extended: bool
) -> Tensor:
    """`back`: the matrix from the result to the image, row by row, without a turn."""
    rows, columns = _upright(back, size, (image.shape[-2], image.shape[-1]), extended, image.device)
    image = filter_axis(filter_axis(image, -2, rows.runs), -1, columns.runs)
    if fill is not None and min(rows.least, columns.least) < 1:
        outside = (1 - rows.shares[:, None] * columns.shares).to(image)
        image = image + torch.stack([outside * value for value in fill])
    return image


class _Axis(NamedTuple):
    runs: Runs
    shares: Tensor  # of each output, what comes from within the image
    least: float


@lru_cache(maxsize=8)  # a fixed crop is cut out of every frame of a title, and pasted back
def _upright(
    back: tuple[float, ...], size: tuple[int, int], shape: tuple[int, int], extended: bool, device: torch.device
) -> tuple[_Axis, _Axis]:
    with torch.inference_mode(False):
        across, down = _places([list(back[:3]), list(back[3:])], size, torch.device("cpu"))
        rows, columns = across[1, 0] + down[1], across[0] + down[0, 0]
        found = []
        for length, fine in zip(shape, (rows, columns), strict=True):
            places, beyond = fine // (FINE // STEPS), int(extended)
            left, share = places // STEPS, (places % STEPS).float() / STEPS
            index, weight = torch.stack([left, left + 1]), torch.stack([1 - share, share])
            weight *= (index >= -beyond) & (index < length + beyond)
            runs = runs_of_taps(index.clamp(0, length - 1), weight, device)
            shares = weight.sum(0)
            found.append(_Axis(runs, shares.to(device), float(shares.min())))
    return found[0], found[1]


def erode(mask: Tensor, size: int) -> Tensor:
    """mask [h, w] -> the least value in a square of `size` pixels a side; what is outside the mask is ignored.

    An even square reaches one pixel further to the left and up. Doubling: log2(size) passes a side.
    """
    if size < 2:
        return mask
    for dim in (0, 1):
        before, after = size // 2, size - 1 - size // 2
        pad = (0, 0, before, after) if dim == 0 else (before, after, 0, 0)
        least, reach = F.pad(mask, pad, value=float("inf")), 1
        while reach < size:
            step = min(reach, size - reach)
            length = least.shape[dim] - step
            least = torch.minimum(least.narrow(dim, 0, length), least.narrow(dim, step, length))
            reach += step
        mask = least
    return mask


def gaussian_blur(mask: Tensor, size: int, sigma: float | None = None) -> Tensor:
    """mask [..., h, w] -> the same shape, mirrored at the border; `size` odd; sigma from the size if not given."""
    sigma = sigma or 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    x = torch.arange(size, dtype=torch.float64, device=mask.device) - size // 2
    kernel = torch.exp(-x.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).float()
    for dim in (-1, -2):
        mask = filter_axis(_mirror(mask, dim, size // 2), dim, sliding_runs(kernel, mask.shape[dim]))
    return mask


def _mirror(x: Tensor, dim: int, reach: int) -> Tensor:
    """Extend by mirroring about the border pixel, also where `reach` is longer than the picture."""
    length = x.shape[dim]
    period = max(2 * (length - 1), 1)
    margins = []
    for first, stop in ((-reach, 0), (length, length + reach)):
        place = torch.arange(first, stop, device=x.device) % period
        margins.append(x.index_select(dim, torch.minimum(place, period - place).clamp(max=length - 1)))
    return torch.cat([margins[0], x, margins[1]], dim)
