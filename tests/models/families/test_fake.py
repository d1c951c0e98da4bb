"""Family `fake` must notice everything: whatever its output may depend on changes the bytes, and nothing else does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.families.fake import mix
from models.families.noise_keys import noise_key
from models.families.protocol import ClipOptions, Hints, Lane, PictureOptions
from models.families.registry import FAKE, FAMILIES, load_part
from pipeline.core.timeline import GOP

PREPARE, CHAIN, UPSCALE = (load_part(FAKE, part, None, "cpu") for part in ("prepare", "chain", "upscale"))
REACH, HALO = FAKE.feature_reach, FAKE.feature_halo
PORTRAIT = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
CONDITIONING = PREPARE.conditioning(PORTRAIT, 64, Hints())[0]
PICTURE = PictureOptions(base_size=64, resolution=64, fidelity=0.5, background="none")


def hashed(value: Any) -> str:
    """Of arrays in any nesting, with their types and shapes."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(f"{value.dtype}{value.shape}".encode() + value.tobytes()).hexdigest()
    if isinstance(value, dict):
        return hashed([hashed(value[name]) for name in sorted(value)])
    if isinstance(value, (list, tuple)):
        return hashlib.sha256("".join(hashed(one) for one in value).encode()).hexdigest()
    return hashlib.sha256(repr(value).encode()).hexdigest()


def lane(**changes: Any) -> Lane:
    features = np.random.default_rng(1).integers(0, 2**63, (REACH + 16 + REACH, 1), np.uint64)
    values: dict[str, Any] = {
        "seed": 7,
        "clip": 3,
        "conditioning": CONDITIONING,
        "state": CHAIN.start(CONDITIONING, 7, 64),
        "features": features,
        "text": "she smiles",
        "options": ClipOptions(steps=4, guidance_scale=1.0, base_size=64),
    }
    return Lane(**(values | changes))


def clip(one: Lane) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    (result,) = CHAIN.next_clip([one])
    return result


def with_bit(array: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
    changed = array.copy()
    changed[place] = changed[place] + 1
    return changed


def test_a_clip_has_the_shapes_of_the_family() -> None:
    latents, state = clip(lane())
    assert latents.shape == (16, *FAKE.latent_shape(64))
    assert latents.dtype.itemsize == FAKE.latent_bytes
    assert state["motion"].shape == (FAKE.motion_frames, *FAKE.latent_shape(64))
    assert (state["motion"] == latents[-2:]).all()
    assert {name: array.dtype for name, array in state.items()} == {
        name: array.dtype for name, array in lane().state.items()
    }


CHANGES: dict[str, Callable[[Lane], Lane]] = {
    "seed": lambda one: replace(one, seed=8),
    "clip": lambda one: replace(one, clip=4),
    "portrait": lambda one: replace(
        one, conditioning=PREPARE.conditioning(with_bit(PORTRAIT, (5, 5, 1)), 64, Hints())[0]
    ),
    "text": lambda one: replace(one, text="she frowns"),
    "no text": lambda one: replace(one, text=None),
    "steps": lambda one: replace(one, options=replace(one.options, steps=5)),
    "guidance": lambda one: replace(one, options=replace(one.options, guidance_scale=1.5)),
    "compat": lambda one: replace(one, options=replace(one.options, compat="published")),
    "older motion frame": lambda one: replace(one, state={"motion": with_bit(one.state["motion"], (0, 0, 0, 0))}),
    "newer motion frame": lambda one: replace(one, state={"motion": with_bit(one.state["motion"], (1, 0, 3, 3))}),
    "motion frames the wrong way round": lambda one: replace(one, state={"motion": one.state["motion"][::-1].copy()}),
    "features shifted": lambda one: replace(one, features=np.roll(one.features, 1, 0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_clip_depends_on_changes_it(change: str) -> None:
    assert hashed(clip(CHANGES[change](lane()))) != hashed(clip(lane()))
    assert hashed(clip(CHANGES[change](lane()))[1]) != hashed(clip(lane())[1]), "and the state that it leaves"


@pytest.mark.parametrize("place", range(16 + 2 * REACH))
def test_every_frame_of_features_is_heard_from_its_place_on(place: int) -> None:
    before = clip(lane())[0]
    after = clip(lane(features=with_bit(lane().features, (place, 0))))[0]
    heard_first = max(0, place - 2 * REACH)
    assert (before[:heard_first] == after[:heard_first]).all()
    for frame in range(heard_first, 16):
        assert (before[frame] != after[frame]).any()


def test_the_same_input_gives_the_same_bytes() -> None:
    other = load_part(FAKE, "chain", None, "cpu")
    assert hashed(clip(lane())) == hashed(clip(lane())) == hashed(other.next_clip([lane()])[0])


@given(st.permutations([0, 1, None]))
def test_a_lane_does_not_see_its_neighbours(order: list[int | None]) -> None:
    lanes = [lane(), lane(seed=99, clip=5, text=None)]
    alone = [hashed(clip(one)) for one in lanes]
    results = CHAIN.next_clip([None if one is None else lanes[one] for one in order])
    assert [result and hashed(result) for result in results] == [None if one is None else alone[one] for one in order]


def test_a_chain_resumed_from_its_state_is_the_same_chain() -> None:
    state, through = CHAIN.start(CONDITIONING, 7, 64), []
    for number in range(4):
        latents, state = clip(lane(state=state, clip=number))
        through.append((hashed(latents), {name: array.copy() for name, array in state.items()}))
    again = clip(lane(state=through[1][1], clip=2))
    assert hashed(again[0]) == through[2][0]
    skipped = clip(lane(state=through[1][1], clip=3))
    assert hashed(skipped[0]) != through[3][0]


@pytest.mark.parametrize("change", [{"seed": 8}, {"base_size": 80}])
def test_a_chain_starts_from_seed_and_portrait(change: dict[str, int]) -> None:
    values = {"seed": 7, "base_size": 64}
    before = hashed(CHAIN.start(CONDITIONING, **values))
    assert hashed(CHAIN.start(CONDITIONING, **values)) == before
    assert hashed(CHAIN.start(CONDITIONING, **(values | change))) != before
    other = PREPARE.conditioning(with_bit(PORTRAIT, (0, 0, 0)), 64, Hints())[0]
    assert hashed(CHAIN.start(other, **values)) != before


def test_conditioning_sees_portrait_hints_and_size() -> None:
    arguments = [
        (PORTRAIT, 64, Hints()),
        (with_bit(PORTRAIT, (63, 63, 2)), 64, Hints()),
        (PORTRAIT.reshape(32, 128, 3), 64, Hints()),
        (PORTRAIT, 80, Hints()),
        (PORTRAIT, 64, Hints(face_box=(1, 2, 3, 4))),
        (PORTRAIT, 64, Hints(lip_box=(1, 2, 3, 4))),
        (PORTRAIT, 64, Hints(face_embedding=np.ones(4, np.float32))),
        (PORTRAIT, 64, Hints(compat="published")),
    ]
    assert len({hashed(PREPARE.conditioning(*one)[0]) for one in arguments}) == len(arguments)


# -- features -------------------------------------------------------------------------------------------------------

SPEECH = np.random.default_rng(2).uniform(-1, 1, 40 * 640).astype(np.float32)


def features(first: int, stop: int, left: int = HALO, right: int = HALO, silence: int = 0) -> np.ndarray:
    """Of frames [first, stop) of a title of 40 frames, with halos of at most `left` and `right`."""
    left, right = min(left, first), min(right, 40 - stop)
    return PREPARE.features(
        SPEECH[(first - left) * 640 : (stop + right) * 640], left, stop - first, right, silence, 0.1
    )


def test_blocks_are_cuts_of_the_whole() -> None:
    whole = features(0, 40)
    assert whole.shape == (40, 1)
    for border in range(1, 40):
        assert (np.concatenate([features(0, border), features(border, 40)]) == whole).all()


@pytest.mark.parametrize("halo", range(HALO))
def test_a_halo_too_small_shows(halo: int) -> None:
    whole = features(0, 40)
    assert (features(10, 20, left=halo) != whole[10:20]).any()
    assert (features(10, 20, right=halo) != whole[10:20]).any()
    assert (features(10, 20, left=HALO + 3, right=HALO + 1) == whole[10:20]).all(), "a larger one does not matter"


def test_silence_fills_the_last_clip() -> None:
    whole, filled = features(0, 40), features(0, 40, silence=8)
    assert filled.shape == (48, 1)
    assert (filled[: 40 - HALO] == whole[: 40 - HALO]).all()


def test_every_sample_is_heard() -> None:
    whole = features(0, 40)
    for sample in (0, 639, 640, 12_345, 40 * 640 - 1):
        frame = sample // 640
        changed = SPEECH.copy()
        changed[sample] += 0.25
        other = PREPARE.features(changed, 0, 40, 0, 0, 0.1)
        near = [k for k in range(40) if abs(k - frame) <= HALO]
        assert [k for k in range(40) if other[k, 0] != whole[k, 0]] == near


# -- the picture ----------------------------------------------------------------------------------------------------


def base_frames(count: int = 16, options: PictureOptions = PICTURE) -> list[np.ndarray]:
    latents = np.random.default_rng(3).integers(0, 2**16, (count, *FAKE.latent_shape(64)), np.uint16)
    return UPSCALE.decode(latents, options)


def planes(window: list[np.ndarray], places: range = range(16), **changes: Any) -> list[str]:
    options = replace(PICTURE, **changes)
    return [hashed(UPSCALE.planes(frame)) for frame in UPSCALE.restore(window, places, CONDITIONING, options)]


def test_frames_are_yuv420p_of_the_resolution() -> None:
    for resolution in (64, 80, 1024):
        options = replace(PICTURE, resolution=resolution)
        (frame,) = UPSCALE.restore(base_frames(), range(3, 4), CONDITIONING, options)
        assert UPSCALE.planes(frame).shape == (resolution * 3 // 2, resolution)
        assert UPSCALE.planes(frame).dtype == np.uint8
        assert UPSCALE.planes(frame).min() >= 16
        assert UPSCALE.planes(frame).max() <= 235


@pytest.mark.parametrize("place", range(16))
def test_every_frame_of_a_window_is_seen_by_all(place: int) -> None:
    window = base_frames()
    changed = [*window[:place], with_bit(window[place], (0, 0)), *window[place + 1 :]]
    assert all(a != b for a, b in zip(planes(window), planes(changed), strict=True))


def test_order_and_place_in_a_window_matter() -> None:
    window = base_frames()
    usual = planes(window)
    swapped = [window[1], window[0], *window[2:]]
    assert all(a != b for a, b in zip(usual, planes(swapped), strict=True))
    assert len(set(planes([window[0]] * 16))) == 16, "even equal frames differ by their places"
    assert planes(window, range(4, 16)) == usual[4:], "what is asked for changes nothing"


@pytest.mark.parametrize(
    "change", [{"fidelity": 0.6}, {"background": "plain"}, {"resolution": 80}, {"compat": "published"}]
)
def test_options_of_the_picture_matter(change: dict[str, Any]) -> None:
    assert all(a != b for a, b in zip(planes(base_frames()), planes(base_frames(), **change), strict=True))


def test_the_portrait_matters_to_the_picture() -> None:
    other = PREPARE.conditioning(with_bit(PORTRAIT, (0, 0, 0)), 64, Hints())[0]
    for a, b in zip(
        UPSCALE.restore(base_frames(), range(16), CONDITIONING, PICTURE),
        UPSCALE.restore(base_frames(), range(16), other, PICTURE),
        strict=True,
    ):
        assert (a != b).any()


def test_groups_that_are_not_anchored_show() -> None:
    latents = np.random.default_rng(3).integers(0, 2**16, (16, *FAKE.latent_shape(64)), np.uint16)
    anchored = [*UPSCALE.decode(latents[:8], PICTURE), *UPSCALE.decode(latents[8:], PICTURE)]
    shifted = [*UPSCALE.decode(latents[:4], PICTURE), *UPSCALE.decode(latents[4:12], PICTURE)]
    assert all((a == b).all() for a, b in zip(anchored[:4], shifted[:4], strict=True))
    assert all((a != b).any() for a, b in zip(anchored[4:12], shifted[4:12], strict=True))


def test_a_window_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a window of 15 frames: expected 16"):
        list(UPSCALE.restore(base_frames(15), range(15), CONDITIONING, PICTURE))


# -- keys and constants ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=5))
def test_mixing_sees_order_and_every_part(parts: list[int]) -> None:
    usual = int(mix(*parts))
    assert usual == int(mix(*parts))
    assert usual != int(mix(*parts, 0))
    for place in range(len(parts)):
        assert usual != int(mix(*parts[:place], parts[place] ^ 1, *parts[place + 1 :]))
    if parts != parts[::-1]:
        assert usual != int(mix(*parts[::-1]))


def test_known_noise_keys() -> None:
    """The first 8 bytes of the SHA-256 of `longtake/1|7|latents|3`, without the sign bit."""
    for seed, purpose, number in ((7, "latents", 3), (0, "latents", 0), (2**63 - 1, "motion", 12_345)):
        whole = hashlib.sha256(b"longtake/1|%d|%s|%d" % (seed, purpose.encode(), number)).hexdigest()
        assert noise_key(seed, purpose, number) == int(whole[:16], 16) % 2**63
    assert noise_key(7, "latents", 3) == 3_409_024_383_952_784_533


@pytest.mark.parametrize("name", FAMILIES)
def test_constants_of_every_family_fit_the_gop(name: str) -> None:
    family = FAMILIES[name]
    assert GOP % family.decode_group == 0, "a GOP must not need latents of the next"
    assert family.feature_block >= 16 + 2 * family.feature_reach, "a clip reads two blocks at most"
    for size in family.base_sizes:
        assert size % family.latent_factor == 0
    assert family.default_weights_hash() == family.default_weights_hash()
    changed = replace(family, motion_frames=family.motion_frames + 1)
    assert changed.default_weights_hash() != family.default_weights_hash()
    assert replace(family, seconds_per_clip=9.0).default_weights_hash() == family.default_weights_hash()
