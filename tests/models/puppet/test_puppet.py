"""A portrait that moves: flow that says where pixels came from, a border that stands still, lips that meet."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.teeth_blend import blended
from models.puppet.delaunay import delaunay
from models.puppet.mouth_inside import draw_inside
from models.puppet.puppet import Puppet, crop_square
from models.puppet.raster import backward, pixels
from models.puppet.teeth import own_teeth, read_teeth, teeth_of, write_teeth
from models.puppet.topology import EYES, INNER_LOWER, INNER_UPPER, OVAL, POINTS, canonical
from models.puppet.track import Track, track

SIDE = 320


def face(gap: float = 0.0, wide: float = 1.0, roll: float = 0.0) -> NDArray[np.float64]:
    """Landmarks [478 3] of the mean face in a picture of SIDE, its mouth open by `gap` pixels, `wide` times as wide."""
    points = canonical().points.copy()
    lips = np.linalg.norm(points[:, :2] - points[[13, 14], :2].mean(0), axis=1) < 0.22
    points[lips, 0] *= wide
    points *= 135
    for place, (up, low) in enumerate(zip(INNER_UPPER, INNER_LOWER, strict=True)):
        if up != low:
            points[low, 1] = points[up, 1] + 0.3 + gap * (1 - ((place - 5) / 5) ** 2)
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return points @ turn.T + [SIDE / 2, SIDE / 2 - 12, 0]


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours that are nowhere alike."""
    noise = np.random.default_rng(seed).uniform(40, 220, (20, 20, 3)).astype(np.float32)
    return np.clip(cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def puppet() -> Puppet:
    return Puppet(picture(), face(), read_teeth()[0])


MOVING = track(
    4, yaw=np.array([0.0, 0.3, -0.3, 0.1]), pitch=np.array([0.0, 0.1, -0.2, 0.0]),
    roll=np.array([0.0, -0.1, 0.1, 0.05]),
    opening=np.array([0.0, 0.3, 1.0, 0.6]), blink=np.array([0.0, 1.0, 0.4, 0.0]), smile=np.array([0.0, 1.0, -1.0, 0.0]),
    brow=np.array([0.0, 1.0, -1.0, 0.0]), gaze_x=np.array([0.0, 0.0, 0.5, 0.0]),
)  # fmt: skip


def test_flow_says_where_every_pixel_came_from(puppet: Puppet) -> None:
    for frame in puppet.frames(MOVING):
        moved = puppet.warped(pixels(SIDE) + frame.flow)
        hidden = cv2.dilate((frame.hole > 0.01).astype(np.uint8), np.ones((15, 15), np.uint8))
        for eye in EYES:  # lashes and the shade under a falling lid reach a little further
            around = cv2.convexHull(frame.landmarks[list(eye.ring + eye.crease)].astype(np.int32))
            cv2.fillConvexPoly(hidden, around, 1)
        hidden = cv2.dilate(hidden, np.ones((15, 15), np.uint8))
        step = np.abs(np.diff(frame.flow, axis=0, append=0)).max(-1) + np.abs(
            np.diff(frame.flow, axis=1, append=0)
        ).max(-1)
        edges = cv2.dilate((step > 2).astype(np.uint8), np.ones((9, 9), np.uint8))
        seen = (hidden == 0) & (edges == 0)
        assert seen.mean() > 0.7
        assert np.abs(moved[seen] - frame.picture[seen]).max() <= 1


def test_nothing_moves_at_the_border_nor_at_rest(puppet: Puppet) -> None:
    frames = list(puppet.frames(MOVING))
    for frame in frames:
        border = np.concatenate([frame.flow[0], frame.flow[-1], frame.flow[:, 0], frame.flow[:, -1]])
        assert not border.any()
        assert np.array_equal(frame.picture[0], puppet.picture[0])
    assert np.abs(frames[0].flow).max() < 1.5  # lips that press together, and no more
    assert np.abs(frames[1].flow).max() > 15


def test_landmarks_move_with_the_pixels(puppet: Puppet) -> None:
    """At a landmark of the frame the flow leads back to the portrait's own landmark."""
    for frame, yaw in zip(puppet.frames(MOVING), MOVING.yaw, strict=True):
        inner = [
            place
            for place in (1, 4, 5, 6, 168, 9, 50, 280, 199, 0, 17, 61, 291, 205, 425)
            if abs(yaw) < 0.2 or place in (1, 4, 5, 6, 168, 9)
        ]
        at = frame.landmarks[inner].astype(np.float32)
        flow = [cv2.remap(frame.flow[..., axis], at[:, :1], at[:, 1:], cv2.INTER_LINEAR)[:, 0] for axis in range(2)]
        back = at + np.stack(flow, 1)
        assert np.abs(back - puppet.landmarks[inner, :2]).max() < 1.0


@pytest.mark.parametrize(
    ("gap", "wide", "roll"), [(0.0, 1.0, 0.0), (12.0, 1.25, 0.0), (6.0, 1.0, 0.15), (18.0, 0.9, -0.1)]
)
def test_lips_meet_where_they_are_to(gap: float, wide: float, roll: float) -> None:
    """Whatever the portrait's mouth does, at opening 0 there is nothing between the lips, and at 1 there is much."""
    held = track(3, opening=np.array([0.0, 0.5, 1.0]))
    one = Puppet(picture(1), face(gap, wide, roll), read_teeth()[1])
    apart = [np.linalg.norm(frame.lips[1, 5] - frame.lips[0, 5]) for frame in one.frames(held)]
    holes = [frame.hole.sum() for frame in one.frames(held)]
    assert apart[0] < 1.6
    assert apart[0] < apart[1] < apart[2]
    assert apart[2] > 12
    assert holes[0] < 0.25 * holes[2]  # no more than the line between the lips
    assert holes[1] < holes[2]


def test_lids_close_and_open(puppet: Puppet) -> None:
    frames = list(puppet.frames(track(3, blink=np.array([0.0, 0.5, 1.0]))))
    gaps = [np.linalg.norm(frame.lids[:, 1, 4] - frame.lids[:, 0, 4], axis=-1).mean() for frame in frames]
    assert gaps[2] < 0.05 * gaps[0]
    assert 0.3 * gaps[0] < gaps[1] < 0.7 * gaps[0]
    assert frames[0].hole.sum() == 0
    assert frames[2].hole.sum() > 50


def test_the_same_track_gives_the_same_frames(puppet: Puppet) -> None:
    again = Puppet(picture(), face(), read_teeth()[0])
    for one, other in zip(puppet.frames(MOVING), again.frames(MOVING), strict=True):
        assert np.array_equal(one.picture, other.picture)
        assert np.array_equal(one.flow, other.flow)
    # A frame does not depend on those around it.
    alone = next(iter(puppet.frames(MOVING.rows(slice(2, 3)))))
    assert np.array_equal(alone.picture, list(puppet.frames(MOVING))[2].picture)


def test_what_is_drawn_lies_between_the_lips() -> None:
    frame = np.full((80, 120, 3), 200, np.float32)
    across = np.linspace(20, 100, 11)
    bow = 1 - ((across - 60) / 40) ** 2
    upper, lower = np.stack([across, 40 - 4 * bow], 1), np.stack([across, 40 + 22 * bow], 1)
    look = Puppet(picture(), face(), read_teeth()[0]).look
    mask = draw_inside(frame, upper, lower, look, teeth=0.5, rounding=0.0)
    assert mask[:34].max() < 0.01
    assert mask[66:].max() < 0.01
    assert (frame[mask == 0] == 200).all()
    assert mask[45:55, 50:70].min() > 0.99
    assert not draw_inside(frame, upper, upper, look, teeth=0.5, rounding=0.0).any()


def test_triangles_lie_within_the_face_and_share_its_contours() -> None:
    triangles = canonical().triangles
    edges = {tuple(sorted((int(three[a]), int(three[b])))) for three in triangles for a, b in ((0, 1), (1, 2), (0, 2))}
    for line in (INNER_UPPER, INNER_LOWER, (*OVAL, OVAL[0]), *((*eye.ring, eye.ring[0]) for eye in EYES)):
        assert all(tuple(sorted(pair)) in edges for pair in pairwise(line))
    assert triangles.max() < POINTS - 10  # no iris
    assert len(np.unique(triangles)) == POINTS - 10


def test_triangulation_covers_a_square_once() -> None:
    points = np.concatenate([np.random.default_rng(2).uniform(0, 1, (60, 2)), [[0, 0], [0, 1], [1, 0], [1, 1]]])
    corners = points[delaunay(points)]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert abs(np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).sum() / 2 - 1) < 1e-3


def test_the_nearer_triangle_is_seen() -> None:
    places = np.array([[0, 0, 5], [40, 0, 5], [0, 40, 5], [0, 0, 1], [40, 0, 1], [0, 40, 1]], float)
    sources = places[:, :2] + np.repeat([[0, 0], [7, 0]], 3, 0)
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        found = backward(np.array(order, np.int32), places, sources, 64)
        assert np.allclose(found[10, 10], [17, 10], atol=1e-4)
        assert np.allclose(found[60, 60], [60, 60])


def test_a_face_that_leaves_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a square that holds all of the face"):
        Puppet(picture(), face() + np.array([SIDE / 2, 0, 0]), read_teeth()[0])


def test_cropping_takes_landmarks_along() -> None:
    drawn = np.zeros((200, 240, 3), np.uint8)
    cv2.circle(drawn, (130, 90), 4, (255, 255, 255), -1)
    for reach in (100.0, 260.0):
        crop, moved = crop_square(drawn, np.array([[130.0, 90.0, 3.0]]), (120.0, 100.0), reach, 128)
        weight = crop[..., 0].astype(float)
        y, x = np.mgrid[:128, :128]
        centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        assert np.abs(centre - moved[0, :2]).max() < 0.6


def test_teeth_are_read_as_they_were_written_and_blends_show_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = read_teeth()
    path = tmp_path_factory.mktemp("teeth") / "teeth.safetensors"
    write_teeth(rows, path)
    for one, other in zip(rows, read_teeth(path), strict=True):
        assert np.array_equal(one.alpha, other.alpha)
    with pytest.raises(ValueError, match="at least 6"):
        blended(rows[:4], 1, np.random.default_rng(0))
    assert teeth_of(np.full((SIDE, SIDE, 3), 90, np.uint8), face()) is None


def test_a_smile_that_shows_teeth_keeps_them() -> None:
    """White between the lips of a wide mouth is taken for its teeth; of a mouth that does not smile, others' are."""
    drawn = np.full((SIDE, SIDE, 3), (190, 130, 110), np.uint8)
    others = read_teeth()[0]
    for wide, own in ((1.35, True), (0.95, False)):
        landmarks = face(14.0, wide)
        inside = landmarks[[*INNER_UPPER, *INNER_LOWER[::-1]], :2].round().astype(np.int32)
        shown = cv2.fillPoly(drawn.copy(), [inside], (225, 222, 210))
        assert (own_teeth(shown, landmarks, others) is not others) == own
    lips = cv2.fillPoly(
        drawn.copy(), [face(14.0, 1.35)[[*INNER_UPPER, *INNER_LOWER[::-1]], :2].astype(np.int32)], (150, 60, 60)
    )
    assert own_teeth(lips, face(14.0, 1.35), others) is others


def test_a_track_begins_where_the_portrait_is() -> None:
    held = track(3, yaw=np.array([0.2, 0.3, 0.1]), scale=np.array([1.1, 1.1, 2.2]), opening=np.array([0.4, 0.5, 0.6]))
    moved: Track = held.from_the_portrait()
    assert np.allclose(moved.yaw, [0, 0.1, -0.1])
    assert np.allclose(moved.scale, [1, 1, 2])
    assert np.allclose(moved.opening, held.opening)
