"""Family `photo`: a face is found, clips go on from each other, frames are the portrait's own pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models.faces.portrait import PortraitProblem
from models.families.protocol import Arrays, ClipOptions, Hints, Lane, PictureOptions
from models.families.registry import FAMILIES, load_part
from models.families.vocabulary import ASKED
from models.parts.movement_chain import KEPT, LONGEST_GAP
from models.puppet.teeth import read_teeth
from models.weights.shipped import shipped_weights
from tests.models.puppet.test_puppet import face, picture

EXAMPLE = Path(__file__).parents[3] / "examples/portrait.png"
PHOTO, WEIGHTS = FAMILIES["photo"], shipped_weights("photo")
CLIP = ClipOptions(1, 1.0, 512)
FILM = (384, 256)
OPTIONS = PictureOptions(512, 256, 0.5, "x2", film=FILM)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A wide picture with the drawn face left of its middle."""
    drawn = cv2.resize(picture(), (200, 200), interpolation=cv2.INTER_AREA)
    wide = np.full((240, 360, 3), drawn[0, 0], np.uint8)
    wide[20:220, 30:230] = drawn
    return wide


@pytest.fixture(scope="module")
def conditioning(portrait: np.ndarray) -> Arrays:
    arrays, _ = load_part(PHOTO, "prepare", WEIGHTS, "cpu").conditioning(portrait, 512, Hints((60, 40, 140, 160)))
    return arrays | {"pixels": portrait}


def clips(conditioning: Arrays, count: int, text: str | None = None, seed: int = 3) -> list[np.ndarray]:
    """A film's first clips of sound that is made up."""
    chain = load_part(PHOTO, "chain", WEIGHTS, "cpu")
    state, made = chain.start(conditioning, seed, 512), []
    for number in range(count):
        lane: Lane = replace(chain.sample(number, CLIP), conditioning=conditioning, seed=seed, clip=number, text=text)
        ((latents, state),) = chain.next_clip([replace(lane, state=state)])
        made.append(latents)
    return made


def frames(latents: np.ndarray, conditioning: Arrays, places: range = range(16)) -> list[np.ndarray]:
    part = load_part(PHOTO, "upscale", WEIGHTS, "cpu")
    window = part.decode(latents, OPTIONS, conditioning)
    return [part.planes(one) for one in part.restore(window, places, conditioning, OPTIONS)]


def test_a_film_begins_with_the_portrait_as_it_is(conditioning: Arrays) -> None:
    first = clips(conditioning, 1)[0][0].astype(np.float32)
    assert np.abs(first[:2]).max() == 0, "nothing has moved"
    assert np.abs(first[2].ravel()[44:116]).max() == 0, "lids are the portrait's own"
    assert np.abs(first[2].ravel()[:44]).max() > 0, "lips do what is heard"


def test_around_the_square_every_frame_is_the_portrait(conditioning: Arrays) -> None:
    shown = frames(clips(conditioning, 1)[0], conditioning)
    assert {frame.shape for frame in shown} == {(FILM[1] * 3 // 2, FILM[0])}
    x0, y0, x1, y1 = (edge * FILM[0] / 360 for edge in conditioning["crop_box"])
    outside = np.ones((FILM[1], FILM[0]), bool)
    outside[max(0, int(y0) - 2) : int(y1) + 3, max(0, int(x0) - 2) : int(x1) + 3] = False
    assert outside.any()
    assert all((frame[: FILM[1]][outside] == shown[0][: FILM[1]][outside]).all() for frame in shown)
    assert not all((frame == shown[0]).all() for frame in shown)


def test_frames_depend_on_their_window_alone(conditioning: Arrays) -> None:
    """A part that has made another title's frames before, and another frame first, gives the same bits."""
    latents = clips(conditioning, 1)[0]
    part = load_part(PHOTO, "upscale", WEIGHTS, "cpu")
    other = conditioning | {
        "pixels": conditioning["pixels"][:, ::-1].copy(),
        "teeth": (conditioning["teeth"] + 1) % len(read_teeth()),
    }
    list(part.restore(part.decode(latents, OPTIONS, other), range(2), other, OPTIONS))
    window = part.decode(latents, OPTIONS, conditioning)
    late = [part.planes(one) for one in part.restore(window, range(9, 16), conditioning, OPTIONS)]
    early = [part.planes(one) for one in part.restore(window, range(9), conditioning, OPTIONS)]
    for mine, frame in zip([*early, *late], frames(latents, conditioning), strict=True):
        assert (mine == frame).all()


def test_a_prompt_comes_and_goes_over_frames(conditioning: Arrays) -> None:
    plain, asked = (clips(conditioning, 2, text) for text in (None, "a sad person"))
    away = [np.abs(a.astype(np.float32) - b).mean() for one, other in zip(plain, asked, strict=True)
            for a, b in zip(one, other, strict=True)]  # fmt: skip
    assert away[20] > 0
    assert away[2] < away[20]


def test_eyes_close_in_silence_too(conditioning: Arrays) -> None:
    """Not later than LONGEST_GAP frames after the last time, and at other moments with another seed."""
    chain = load_part(PHOTO, "chain", WEIGHTS, "cpu")
    at = []
    for seed in (1, 2):
        state, closed = chain.start(conditioning, seed, 512), []
        for number in range(2 * LONGEST_GAP // 16 + 2):
            lane = replace(chain.sample(0, CLIP), conditioning=conditioning, seed=seed, clip=number)
            lane = replace(lane, features=np.full_like(lane.features, -1), state=state)
            ((latents, state),) = chain.next_clip([lane])
            closed += [float(frame[2].ravel()[135]) for frame in latents]
        begins = [place for place in range(1, len(closed)) if closed[place] > 0 == closed[place - 1]]
        assert len(begins) >= 2
        assert max(b - a for a, b in zip([0, *begins], begins, strict=False)) <= LONGEST_GAP
        at.append(begins)
    assert at[0] != at[1]


def test_no_face_and_two_are_told_with_what_to_do() -> None:
    part = load_part(PHOTO, "prepare", WEIGHTS, "cpu")
    with pytest.raises(PortraitProblem, match=r"no face was found in the portrait of 300 x 200.*face_box"):
        part.conditioning(np.full((200, 300, 3), 128, np.uint8), 512, Hints())
    face = np.array(Image.open(EXAMPLE).convert("RGB"))
    with pytest.raises(PortraitProblem, match=r"2 faces were found.*face_box"):
        part.conditioning(np.concatenate([face, face], 1), 512, Hints())


def test_whoever_smiles_goes_on_smiling_unless_something_else_is_asked_for(conditioning: Arrays) -> None:
    """A prompt that comes to be shown is part of a clip's state."""
    smile = ASKED.index("smile")
    chain = load_part(PHOTO, "chain", WEIGHTS, "cpu")
    for wide, text, expected in ((1.0, None, 0.0), (1.5, None, KEPT), (1.5, "sad", 0.0), (1.0, "smiling", 1.0)):
        given = conditioning | {"landmarks": face(0.0, wide).astype(np.float32)}
        state = chain.start(given, 3, 512)
        assert state["prompt"][smile] == pytest.approx(KEPT * (wide > 1))
        lane: Lane = replace(chain.sample(1, CLIP), conditioning=given, seed=3, clip=0, text=text, state=state)
        ((_, after),) = chain.next_clip([lane])
        assert after["prompt"][smile] == pytest.approx(expected)
