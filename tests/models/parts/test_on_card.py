"""Every path of a title's networks on an accelerator: on a pretended one in every build, on a real one where there is.

    make test-slow               # the pretended device (tests/support/pretended_device.py)
    pytest -m gpu -s             # a real card; ends in a report to paste into an issue

Both run the same functions (tests/support/card_paths.py). The pretended device bounds how often the processor waits;
the real one shows what a pretended one cannot: kernels' rounding, seconds, memory.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from models.diffusion.clip import ChainNetworks
from models.families.config import HALLO2
from models.families.protocol import ClipOptions, Family, PictureOptions
from models.families.registry import load_part
from models.parts.lanes import independent
from tests.golden.cases import arrays, error
from tests.golden.test_golden_chain import denoised, synthetic
from tests.golden.tolerances import HALF
from tests.support.card_paths import (
    CLIPS,
    MINI,
    MINI_WEIGHTS,
    PICTURES,
    clip,
    frames_of,
    lane_of,
    pictures,
    prepared,
    speech,
    tiny_weights,
)
from tests.support.pretended_device import Card, pretended
from tests.support.tiny_hallo2 import TINY_FAMILY

pytestmark = pytest.mark.usefixtures("one_thread")

A_CLIP = 6  # waits of one lane's clip: the schedule, latents and state; never one a step
A_PICTURE = 2.0  # waits of a frame from latents to planes


class Place:
    """Where a test runs, and what it has to say afterwards."""

    def __init__(self, device: str, card: Card | None) -> None:
        self.device, self.card = device, card
        self.said: dict[str, str] = {}

    def waits(self) -> int:
        return self.card.waits if self.card else 0

    def forget(self) -> None:
        if self.card:
            self.card.forget()

    def timed(self, name: str, work: Any) -> Any:
        torch.cuda.synchronize()
        began = time.perf_counter()
        result = work()
        torch.cuda.synchronize()
        self.said[name] = f"{time.perf_counter() - began:.3f} s"
        return result


@pytest.fixture(
    scope="module",
    params=[pytest.param("pretended", marks=pytest.mark.slow), pytest.param("real", marks=pytest.mark.gpu)],
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "pretended":
        with pretended(2) as card:
            yield Place("cuda", card)
        return
    if not torch.cuda.is_available():
        pytest.skip("no accelerator that torch sees: nothing of this can be tried here")
    torch.cuda.reset_peak_memory_stats()
    found = Place("cuda", None)
    yield found
    print("\n" + report(found))


def report(place: Place) -> str:
    """What a run on a real card leaves behind, as text for an issue."""
    free, total = torch.cuda.mem_get_info()
    facts = {
        "card": f"{torch.cuda.get_device_name()}, {total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB free",
        "versions": f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, "
        f"Python {platform.python_version()}",
        "peak of memory": f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB",
        **place.said,
    }
    return "\n".join(["```", *(f"{name}: {value}" for name, value in facts.items()), "```"])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


class Loaded:
    """A family's parts on the device, each loaded when it is first asked for."""

    def __init__(self, family: Family, weights: str, device: str, base: int) -> None:
        self.family, self.weights, self.device, self.base = family, weights, device, base
        self._parts: dict[str, Any] = {}
        self._prepared: Any = None

    def part(self, name: Any) -> Any:
        if name not in self._parts:
            self._parts[name] = load_part(self.family, name, self.weights, self.device)
        return self._parts[name]

    @property
    def given(self) -> tuple[Any, np.ndarray]:
        if self._prepared is None:
            self._prepared = prepared(self.family, self.weights, self.device, self.base)
        return self._prepared


@pytest.fixture(scope="module")
def tiny(place: Place, weights: str) -> Loaded:
    return Loaded(TINY_FAMILY, weights, place.device, 64)


@pytest.fixture(scope="module")
def mini(place: Place) -> Loaded:
    return Loaded(MINI, MINI_WEIGHTS, place.device, 128)


def psnr(one: np.ndarray, other: np.ndarray, most: float) -> float:
    return float(-10 * np.log10(np.square((one.astype(np.float64) - other) / most).mean() + 1e-20))


# -- preparation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["tiny", "mini"])
def test_preparation(place: Place, which: str, request: pytest.FixtureRequest) -> None:
    loaded: Loaded = request.getfixturevalue(which)
    (conditioning, features), part = loaded.given, loaded.part("prepare")
    assert all(np.isfinite(array).all() for array in (*conditioning.values(), features))
    assert len(features) == 24
    faces = part.faces if which == "tiny" else None
    assert faces is None or isinstance(faces(np.zeros((80, 96, 3), np.uint8)), list)
    place.forget()
    part.features(speech(8), 0, 8, 0, 0, 0.1)
    assert place.waits() <= 4


# -- the chain --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_waits_for_the_device_once_and_not_at_every_step(place: Place, tiny: Loaded, name: str) -> None:
    part, given = tiny.part("chain"), tiny.given
    clip(part, *given, **CLIPS[name])  # prompts are embedded once a worker
    place.forget()
    few = place.timed(f"clip, {name}", lambda: clip(part, *given, **CLIPS[name]))
    waits = place.waits()
    assert np.isfinite(few).all()
    assert waits <= A_CLIP, place.card and place.card.blocking
    place.forget()
    clip(part, *given, **(CLIPS[name] | {"steps": 2 + CLIPS[name].get("steps", 2)}))
    assert place.waits() == waits, place.card and place.card.blocking


def test_a_clip_is_what_a_processor_makes_but_for_rounding(place: Place, tiny: Loaded, weights: str) -> None:
    wanted = clip(load_part(TINY_FAMILY, "chain", weights, "cpu"), *tiny.given)
    found = clip(tiny.part("chain"), *tiny.given)
    error = place.said["clip in float16 against float32"] = f"{psnr(found, wanted, np.ptp(wanted)):.1f} dB"
    assert float(error.split()[0]) > 40


def test_a_worker_goes_on_from_a_committed_state_with_the_same_bits(place: Place, tiny: Loaded, weights: str) -> None:
    """As after a kill: another worker, which loads the networks anew and has nothing but what the first one left."""
    part = tiny.part("chain")
    lane = lane_of(part, *tiny.given, ClipOptions(2, 3.5, 64), "a sad face")
    ((_, state),) = part.next_clip([lane])

    def second(worker: Any) -> np.ndarray:
        ((latents, _),) = worker.next_clip([replace(lane, clip=1, state=state)])
        return np.asarray(latents)

    never_stopped = second(part)
    assert np.array_equal(never_stopped, second(load_part(TINY_FAMILY, "chain", weights, place.device)))
    place.said["killed and continued"] = "the same bits"
    assert not np.array_equal(never_stopped, part.next_clip([lane])[0][0])


@pytest.mark.parametrize("place", [pytest.param("real", marks=pytest.mark.gpu)], indirect=True)
@pytest.mark.parametrize("case", ["denoise_f4", "denoise_f16", "denoise_64_f2"])
@torch.no_grad()
def test_numbers_of_the_published_denoiser_in_float16(place: Place, full: ChainNetworks, case: str) -> None:
    found = place.timed(f"published width, {case}", lambda: denoised(full, case)).float().cpu()
    off = error(found, arrays(case)["output"])
    place.said[f"{case} in float16 against the recorded numbers"] = f"{off:.4f} at most"
    assert off <= HALF


@pytest.fixture(scope="module")
def full(place: Place) -> ChainNetworks:
    """The published width with weights by rule, as a worker lays it out."""
    networks: Any = synthetic(ChainNetworks, HALLO2).half().to(place.device)
    made: ChainNetworks = networks.to(memory_format=torch.channels_last)
    return made


def test_lanes_do_not_see_each_other(place: Place, tiny: Loaded) -> None:
    assert independent(tiny.part("chain"), ClipOptions(1, 3.5, 64), 2)


def test_the_halves_of_guidance_on_two_cards(place: Place, tiny: Loaded) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one accelerator: halves have nowhere to go")
    part = tiny.part("chain")
    together, apart = clip(part, *tiny.given), clip(part, *tiny.given, devices=2)
    assert psnr(apart, together, np.ptp(together)) > 40


def test_eight_bits_have_shapes_that_the_card_multiplies(place: Place, tiny: Loaded) -> None:
    assert np.isfinite(clip(tiny.part("chain"), *tiny.given, linears="int8")).all()


def test_a_clip_of_mini(place: Place, mini: Loaded) -> None:
    options: dict[str, Any] = {"base_size": 128, "guidance_scale": 1.0}
    made = clip(mini.part("chain"), *mini.given, **options)
    again = clip(load_part(MINI, "chain", MINI_WEIGHTS, "cpu"), *mini.given, **options)
    assert psnr(made, again, np.ptp(again)) > 60


# -- upscaling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_wait_for_the_device_twice_a_frame_at_most(place: Place, tiny: Loaded, name: str) -> None:
    part, options, conditioning = tiny.part("upscale"), PICTURES[name], tiny.given[0]
    latents = np.random.default_rng(3).standard_normal((16, 4, 8, 8)).astype(np.float16)
    part.fit(options, None)
    frames = frames_of(part, latents, options)
    part.still(frames, conditioning, options)
    place.forget()
    frames = frames_of(part, latents, options)
    planes = place.timed(f"twelve pictures, {name}", lambda: pictures(part, frames, conditioning, options))
    assert planes.shape == (12, options.resolution * 3 // 2, options.resolution)
    assert place.waits() / 12 <= A_PICTURE, place.card and place.card.blocking


def test_faces_are_looked_for_once_a_window(place: Place, tiny: Loaded) -> None:
    part, options, conditioning = tiny.part("upscale"), PICTURES["lanczos"], tiny.given[0]
    latents = np.random.default_rng(3).standard_normal((16, 4, 8, 8)).astype(np.float16)
    place.forget()
    frames = frames_of(part, latents, options, faces=False)
    assert place.waits() == 0, place.card and place.card.blocking
    list(part.restore(frames, range(4, 5), conditioning, options))
    assert place.waits() <= 2, place.card and place.card.blocking


@pytest.mark.parametrize("plate", ["off", "on"])
def test_pictures_of_mini(place: Place, mini: Loaded, plate: str) -> None:
    options, conditioning = PictureOptions(128, 256, 0.7, "x2", plate=plate), mini.given[0]
    part = mini.part("upscale")
    latents = np.random.default_rng(3).standard_normal((16, *MINI.latent_shape(128))).astype(np.float16) * 0.5
    frames = frames_of(part, latents, options, faces=False)
    pictures(part, frames, conditioning, options)
    place.forget()
    planes = pictures(part, frames, conditioning, options)
    assert place.waits() / 12 <= A_PICTURE, place.card and place.card.blocking
    other = load_part(MINI, "upscale", MINI_WEIGHTS, "cpu")
    same = pictures(other, frames_of(other, latents, options, faces=False), conditioning, options)
    assert psnr(planes, same, 255) > 50


# -- mistakes that must be found --------------------------------------------------------------------------------------


@pytest.fixture
def card() -> Iterator[Card]:
    with pretended(2) as found:
        yield found


CUDA = torch.device("cuda")
MISTAKES: dict[str, tuple[Any, str]] = {
    "a tensor left behind": (lambda: torch.ones(3, device=CUDA) + torch.ones(3), "on the same device"),
    "two cards in one sum": (lambda: torch.ones(3, device=CUDA) + torch.ones(3, device="cuda:1"), "same device"),
    "an index of the card into the processor's": (
        lambda: torch.ones(3)[torch.zeros(1, dtype=torch.long, device=CUDA)], "indices should be on the same device",
    ),
    "numpy of the card's": (lambda: torch.ones(3, device=CUDA).numpy(), "can't convert cuda:0"),
    "a generator of the processor's": (
        lambda: torch.rand(3, generator=torch.Generator(), device=CUDA), "Expected a 'cuda' device type for generator",
    ),
    "a card that is not there": (lambda: torch.ones(3, device="cuda:7"), "invalid device ordinal"),
    "more rows than the grid": (
        lambda: torch.nn.functional.scaled_dot_product_attention(*[torch.zeros(65_536, 1, 1, 8, device=CUDA)] * 3),
        "invalid configuration argument",
    ),
    "int8 of an odd shape": (
        lambda: torch._int_mm(*[torch.zeros(17, 17, dtype=torch.int8, device=CUDA)] * 2), "multiples of 8",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_a_card_refuses_is_refused(card: Card, name: str) -> None:
    mistake, said = MISTAKES[name]
    with pytest.raises((RuntimeError, TypeError), match=said):
        mistake()


WAITS = {
    "a list as an index": lambda x: x[:, [0, 1]],
    "a mask as an index": lambda x: x[x > 0],
    "a number that is looked at": lambda x: float(x.sum()),
    "a question": lambda x: bool((x > 0).any()),
    "a table of numbers": lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=x.device),
    "a table that is sent": lambda x: x + torch.ones(3).to(x.device),
    "a result that is fetched": lambda x: x.cpu(),
    "a list of a result": lambda x: x.tolist(),
    "a count": lambda x: x.nonzero(),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_makes_the_processor_wait_is_counted(card: Card, name: str) -> None:
    x = torch.zeros(2, 3, device=CUDA)
    assert card.waits == 0
    WAITS[name](x)
    assert card.waits == 1
    assert "test_on_card.py" in next(iter(card.blocking))


def test_what_does_not_make_it_wait_is_not(card: Card) -> None:
    x = torch.arange(6.0, device=CUDA).view(2, 3)
    torch.ones(3).pin_memory().to(CUDA, non_blocking=True)
    (x[torch.zeros(1, dtype=torch.long, device=CUDA)] @ x.T).softmax(-1).half().to(x)
    x.to("cuda:1")
    assert card.waits == 0


@pytest.mark.slow
def test_a_step_that_waits_would_be_found(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of a clip, against a denoiser that looks at a number in every step."""
    from models.diffusion.denoiser import DenoisingUNet

    family = replace(TINY_FAMILY, networks=replace(TINY_FAMILY.networks, text=None))  # type: ignore[type-var]
    part = load_part(family, "chain", None, "cuda")
    plain = DenoisingUNet.forward

    def looking(self: Any, latents: Any, *rest: Any) -> Any:
        float(latents.sum())
        return plain(self, latents, *rest)

    monkeypatch.setattr(DenoisingUNet, "forward", looking)
    lane = part.sample(0, ClipOptions(A_CLIP, 1.0, 64))
    card.forget()
    part.next_clip([lane])
    assert card.waits > A_CLIP


def test_gradients_go_through_the_pretended_card(card: Card) -> None:
    layer, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
    layer(x).square().sum().backward()
    wanted = layer.weight.grad
    there = torch.nn.Linear(3, 2).to(CUDA)
    with torch.no_grad():
        there.weight.copy_(layer.weight.to(CUDA))
        there.bias.copy_(layer.bias.to(CUDA))
    there(x.to(CUDA)).square().sum().backward()
    assert there.weight.grad is not None
    torch.testing.assert_close(there.weight.grad.cpu(), wanted)


def test_the_report_says_what_an_issue_needs(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 << 30)
    place = Place("cuda", None)
    place.said["clip"] = "0.1 s"
    text = report(place)
    for part in ("card: NVIDIA H200", "torch ", "cuDNN", "peak of memory: 3.00 GiB", "clip: 0.1 s"):
        assert part in text
