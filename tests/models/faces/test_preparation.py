"""Portrait preparation: what is used of a picture, what is said about it, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.faces.face_finding import (
    DEPTH,
    DETECTOR_SIDE,
    DETECTOR_STRIDES,
    EMBEDDED_TEMPLATE,
    FoundFace,
    OnnxFaces,
    similarity,
    torch_finder,
    turn_degrees,
)
from models.faces.portrait import (
    BadBox,
    FaceTurned,
    NoFace,
    PortraitHints,
    PortraitProblem,
    PortraitSizes,
    SeveralFaces,
    network_picture,
    prepare_portrait,
    square_crop,
)
from models.image.alignment import TEMPLATE
from models.image.masks import Box, motion_masks
from tests.golden.cases import arrays, error
from tests.golden.tolerances_sr import SR

SMALL = PortraitSizes(size=128, mask_side=16, mask_levels=4)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Red grows to the right, green downwards: where a crop was taken from can be read off it."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    image[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return image


def face(x0: float, y0: float, side: float, turned: float = 0.0) -> FoundFace:
    """A face whose box is that square, turned to the side by so many degrees."""
    head = np.column_stack([np.array(TEMPLATE), DEPTH]) - [256, 300, 0]
    angle = np.radians(turned)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    points = (head @ turn.T)[:, :2] * (side / 300) + [x0 + side / 2, y0 + side / 2]
    return FoundFace(Box(x0, y0, x0 + side, y0 + side), 0.9, points, np.arange(512, dtype=np.float32))


def finder(*faces: FoundFace) -> Any:
    return lambda image: list(faces)


def test_golden_network_picture() -> None:
    want = arrays("masks")
    pixels = network_picture(want["image_rgb"], 512)[:, ::8, ::8]
    assert error(pixels, want["pixels_stride8"]) <= SR["mask_pixels"]


def test_shapes_and_ranges() -> None:
    out, notes = prepare_portrait(picture(300, 300), SMALL, PortraitHints(face_box=Box(60, 60, 240, 250)))
    assert out["portrait"].shape == out["region_mask"].shape == (3, 128, 128)
    assert -1 <= out["portrait"].min() < -0.9
    assert out["region_mask"].max() == 1
    for level in range(4):
        for name in ("background", "face", "lip"):
            assert out[f"{name}_mask_{level}"].shape == (1, (16 >> level) ** 2)
    assert out["face_embedding"].shape == (512,)
    assert all(array.dtype == np.float32 for array in out.values())
    assert [note.split(":")[0] for note in notes] == ["no lip_box given", "no face embedding"]


def test_masks_keep_their_shape_at_other_sides() -> None:
    """At a coarser side the masks are those of 64, seen from further away."""
    boxes = Box(60, 60, 240, 250), Box(110, 190, 190, 230)
    fine, coarse = motion_masks(*boxes, 300, 300, 64), motion_masks(*boxes, 300, 300, 16)
    for a, b in zip(fine, coarse, strict=True):
        seen = a[0].reshape(16, 4, 16, 4).mean((1, 3))
        difference = np.abs(seen - b[0].reshape(16, 16))
        assert difference.max() < 0.2
        assert difference.mean() < 0.05


class TestCrop:
    def test_a_square_picture_is_used_whole(self) -> None:
        assert square_crop(500, 500, Box(10, 10, 60, 60), 512) == (0, 0, 500, 500)

    def test_the_middle_if_nothing_is_known(self) -> None:
        assert square_crop(400, 1000, None, 128) == (300, 0, 700, 400)

    def test_around_the_face_and_inside_the_picture(self) -> None:
        assert square_crop(1000, 3000, Box(500, 400, 700, 600), 128) == (400, 300, 800, 700)
        assert square_crop(1000, 3000, Box(20, 10, 220, 210), 128) == (0, 0, 400, 400)
        assert square_crop(1000, 3000, Box(500, 400, 540, 440), 512) == (264, 164, 776, 676)

    def test_never_squashed(self) -> None:
        out, notes = prepare_portrait(picture(256, 512), SMALL)
        across, down = np.ptp(out["portrait"][0]), np.ptp(out["portrait"][1])
        assert across == pytest.approx(1, abs=0.05)  # half of the picture's width
        assert down == pytest.approx(2, abs=0.05)  # and all of its height
        assert any("cropped at its centre" in note for note in notes)

    def test_boxes_follow_the_crop(self) -> None:
        hints = PortraitHints(face_box=Box(300, 100, 400, 200), lip_box=Box(330, 170, 370, 190))
        out, _ = prepare_portrait(picture(256, 512), SMALL, hints)
        # The crop is [250, 50, 450, 250]; the face box has grown to 120 pixels.
        assert out["face_box"] == pytest.approx(np.array([40, 40, 160, 160]) * 128 / 200, abs=0.01)
        assert out["lip_box"] == pytest.approx(np.array([60, 110, 140, 150]) * 128 / 200, abs=0.01)
        lit = np.argwhere(out["region_mask"][0] > 0.5)
        assert lit.min(0) == pytest.approx(out["face_box"][[1, 0]], abs=1)
        assert lit.max(0) + 1 == pytest.approx(out["face_box"][[3, 2]], abs=1)


class TestFaces:
    def test_the_found_face_is_used_and_what_is_guessed_is_said(self) -> None:
        out, notes = prepare_portrait(picture(300, 300), SMALL, None, finder(face(75, 75, 150)))
        assert np.array_equal(out["face_embedding"], np.arange(512))
        assert out["face_box"] == pytest.approx(np.array([60, 60, 240, 240]) * 128 / 300, abs=0.01)
        assert any("detector's box" in note for note in notes)
        assert any("corners of the mouth" in note for note in notes)

    def test_a_mesh_gives_the_published_boxes(self) -> None:
        want = arrays("masks")
        image = want["image_rgb"]
        found = finder(face(205, 170, 200))
        out, notes = prepare_portrait(image, SMALL, None, found, lambda picture: want["landmarks"])
        assert not any("mesh" in note for note in notes)
        crop = 2 * 200  # the picture is not square: twice the detected face
        assert out["face_box"][3] - out["face_box"][1] == pytest.approx((434 - 146) * 128 / crop, abs=0.01)

    def test_none(self) -> None:
        with pytest.raises(NoFace, match="face_box"):
            prepare_portrait(picture(300, 300), SMALL, None, finder())
        hints = PortraitHints(face_box=Box(60, 60, 240, 240))
        assert any(
            "no face was found" in note for note in prepare_portrait(picture(300, 300), SMALL, hints, finder())[1]
        )

    def test_several(self) -> None:
        two = finder(face(10, 100, 80), face(180, 90, 100))
        with pytest.raises(SeveralFaces, match=r"2 faces .*\[10, 100, 90, 180\]"):
            prepare_portrait(picture(300, 300), SMALL, None, two)
        largest, _ = prepare_portrait(picture(300, 300), SMALL, PortraitHints(several="largest"), two)
        assert largest["face_box"][0] == pytest.approx(170 * 128 / 300, abs=0.01)
        chosen = PortraitHints(face_box=Box(5, 95, 95, 185))
        assert prepare_portrait(picture(300, 300), SMALL, chosen, two)[0]["face_embedding"].any()

    def test_turned(self) -> None:
        with pytest.raises(FaceTurned, match="about 40 degrees"):
            prepare_portrait(picture(300, 300), SMALL, None, finder(face(75, 75, 150, turned=40)))
        prepare_portrait(picture(300, 300), SMALL, None, finder(face(75, 75, 150, turned=-25)))

    @pytest.mark.parametrize("degrees", [0, 10, 30, -45])
    @pytest.mark.parametrize("roll", [0, 25])
    def test_turn_is_measured_whatever_the_roll(self, degrees: float, roll: float) -> None:
        points = face(75, 75, 150, turned=degrees).landmarks
        angle = np.radians(roll)
        rolled = points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        assert turn_degrees(rolled) == pytest.approx(abs(degrees), abs=0.1)

    def test_every_problem_is_a_portrait_problem(self) -> None:
        assert issubclass(PortraitProblem, ValueError)
        assert {NoFace, SeveralFaces, FaceTurned, BadBox} <= set(PortraitProblem.__subclasses__())


class TestHints:
    @pytest.mark.parametrize("box", [Box(0, 0, 400, 100), Box(50, 50, 40, 90), Box(-1, 0, 50, 50)])
    def test_bad_boxes(self, box: Box) -> None:
        for name in ("face_box", "lip_box"):
            with pytest.raises(BadBox, match=f"{name} is .* 300 x 200 pixels"):
                prepare_portrait(picture(200, 300), SMALL, PortraitHints(**{name: box}))

    def test_embedding(self) -> None:
        hints = PortraitHints(face_embedding=np.ones((1, 512), np.float32))
        out, notes = prepare_portrait(picture(300, 300), SMALL, hints)
        assert out["face_embedding"].sum() == 512
        assert not any("embedding" in note for note in notes)
        with pytest.raises(PortraitProblem, match="has 3 numbers: 512"):
            prepare_portrait(picture(300, 300), SMALL, PortraitHints(face_embedding=np.ones(3, np.float32)))

    def test_small_faces_and_small_pictures_are_noted(self) -> None:
        notes = prepare_portrait(picture(100, 100), SMALL, PortraitHints(face_box=Box(40, 40, 60, 60)))[1]
        assert any("100 pixels wide and was enlarged to 128" in note for note in notes)
        assert any("face is 24 %" in note for note in notes)


class StandInSession:
    """An onnxruntime session that answers with fixed arrays and remembers what it was asked."""

    def __init__(self, outputs: list[NDArray[np.float32]]) -> None:
        self.outputs = outputs
        self.asked: list[NDArray[np.float32]] = []

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "input.1"})()]

    def run(self, names: None, feed: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.asked.append(feed["input.1"])
        return self.outputs


def test_onnx_faces_are_decoded_in_the_pictures_pixels() -> None:
    """One anchor of stride 16 fires, twice over: the second is suppressed."""
    cells = [(DETECTOR_SIDE // stride) ** 2 * 2 for stride in DETECTOR_STRIDES]
    scores = [np.zeros((n, 1), np.float32) for n in cells]
    boxes = [np.zeros((n, 4), np.float32) for n in cells]
    points = [np.zeros((n, 10), np.float32) for n in cells]
    row = (10 * 40 + 20) * 2  # cell x = 20, y = 10 of stride 16: (320, 160)
    for k, score in ((0, 0.9), (1, 0.6)):
        scores[1][row + k] = score
        boxes[1][row + k] = [2, 3, 4, 5]
        points[1][row + k] = np.arange(10)
    detector = StandInSession([*scores, *boxes, *points])
    embedder = StandInSession([np.full((1, 512), 3.0, np.float32)])
    (found,) = OnnxFaces(detector, embedder)(picture(320, 160))  # shown to the detector at twice its size
    assert found.box == pytest.approx((160 - 16, 80 - 24, 160 + 32, 80 + 40))
    assert found.landmarks[1] == pytest.approx((160 + 2 * 8, 80 + 3 * 8))
    assert found.embedding is not None
    assert found.embedding.sum() == 3 * 512
    assert detector.asked[0].shape == (1, 3, 640, 640)
    assert embedder.asked[0].shape == (1, 3, 112, 112)
    assert np.abs(embedder.asked[0]).max() <= 1


def test_similarity_brings_points_onto_their_target() -> None:
    target = np.array(EMBEDDED_TEMPLATE)
    angle = 0.3
    turn = 2.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = target @ turn.T + [40, -7]
    matrix = similarity(points, target)
    assert np.allclose(points @ matrix[:, :2].T + matrix[:, 2], target)


def test_the_restorers_detector_serves_as_finder() -> None:
    from tests.models.restoration.test_upscale import StandInDetector

    with torch.inference_mode():
        faces = torch_finder(StandInDetector())(np.full((64, 64, 3), 200, np.uint8))
    assert len(faces) == 1
    assert faces[0].landmarks.shape == (5, 2)
    assert faces[0].embedding is None
