"""Reading the numbers recorded from the published implementation with synthetic weights (`tests/golden/`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.weights.synthetic import draw, fill

torch.set_num_threads(1)  # as when the numbers were recorded

FOLDER = Path(__file__).parent
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())


def arrays(case: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{case}.npz") as file:
        return dict(file)


def entries(names: str) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a published file, in its order."""
    listed = json.loads((FOLDER / f"{names}.json").read_text())["entries"]
    return [(name, tuple(shape)) for name, shape, *_ in listed]


def state(net: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(value.shape)) for name, value in net.state_dict().items()]


def filled(build: Any) -> Any:
    """A network made without spending time on initial weights, then filled by the rule."""
    with torch.device("meta"):
        net = build()
    return fill(net.to_empty(device="cpu")).eval()


def given(case: str, name: str, shape: tuple[int, ...]) -> Tensor:
    """The recorded case's input `name`."""
    return draw(f"input:{case}:{name}", shape)


def error(got: Any, want: np.ndarray) -> float:
    """Largest absolute difference; the shapes must agree."""
    found = np.asarray(got, dtype=np.float64)
    assert found.shape == want.shape
    return float(np.abs(found - want.astype(np.float64)).max())


def rgb(bgr: np.ndarray) -> Tensor:
    """uint8 [h, w, 3] BGR -> uint8 [3, h, w] RGB."""
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1])).permute(2, 0, 1)


def bgr(picture: Tensor) -> np.ndarray:
    """[3, h, w] RGB -> [h, w, 3] BGR."""
    return picture.flip(0).permute(1, 2, 0).numpy()


def blocks(x: Tensor, size: int) -> Tensor:
    """Every value a block of size x size."""
    return x.repeat_interleave(size, -1).repeat_interleave(size, -2)
