"""The mouth's curves from landmarks, their windows, and faces laid out for networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musetalk_core.errors import FaceError
from musetalk_core.eval.align import ARCFACE, LATENTSYNC, LATENTSYNC_SHAPE, align_face, fit_similarity
from musetalk_core.eval.mouth import LIPS, box_jerk, lip_distance, mouth_curves, mouth_windows, pose_gap
from musetalk_core.types import FaceTrack

HEIGHT = 130.0  # pixels of the drawn face


def face_track(frames: int, seed: int = 0) -> FaceTrack:
    """The same random points on every frame, with the named ones where a face has them."""
    points = np.random.default_rng(seed).uniform(60, 190, (478, 2))
    named = {10: (120, 50), 152: (120, 180), 13: (120, 150), 14: (120, 153), 61: (98, 152), 291: (142, 152)}
    named |= {33: (90, 95), 133: (108, 95), 362: (132, 95), 263: (150, 95)}
    named |= {168: (120, 95), 6: (120, 100), 197: (120, 108), 195: (120, 113), 5: (120, 118), 4: (120, 123)}
    for index, place in named.items():
        points[index] = place
    return track_of(np.repeat(points[None], frames, 0))


def track_of(points: np.ndarray, found: np.ndarray | None = None) -> FaceTrack:
    n = len(points)
    seen = np.ones(n, bool) if found is None else found
    boxes = np.tile(np.array([60, 40, 180, 190], np.int32), (n, 1))
    zeros = np.zeros(n, np.float32)
    skip = np.zeros(n, np.uint8)
    return FaceTrack(seen, points.astype(np.float32), boxes, zeros, zeros + 1, skip, 360, 288)


def test_opening_and_width_are_shares_of_the_face() -> None:
    curves = mouth_curves(face_track(3))
    np.testing.assert_allclose(curves.opening, 3 / HEIGHT, rtol=1e-5)
    np.testing.assert_allclose(curves.width, 44 / HEIGHT, rtol=1e-5)


@given(scale=st.floats(0.3, 4), turn=st.floats(-0.6, 0.6), x=st.floats(-50, 500))
def test_curves_do_not_depend_on_size_turn_and_place(scale: float, turn: float, x: float) -> None:
    track = face_track(1)
    rotate = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = track_of(track.landmarks.astype(float) @ rotate.T + [x, 3])
    before, after = mouth_curves(track), mouth_curves(moved)
    np.testing.assert_allclose(after.opening, before.opening, rtol=1e-3)
    np.testing.assert_allclose(after.width, before.width, rtol=1e-3)


def test_frames_without_a_face_are_unknown() -> None:
    track = track_of(face_track(4).landmarks, np.array([True, False, True, True]))
    curves = mouth_curves(track)
    assert np.isnan(curves.opening[1])
    assert np.isnan(curves.lips[1]).all()
    assert np.isfinite(curves.opening[[0, 2, 3]]).all()


def test_68_points_are_refused() -> None:
    with pytest.raises(FaceError):
        mouth_curves(track_of(np.zeros((2, 68, 2))))


def test_lip_distance_is_that_of_the_lips_and_not_of_the_head() -> None:
    track = face_track(2)
    head = track_of(track.landmarks + np.float32(7))
    lips = track.landmarks.copy()
    lips[:, LIPS, 0] += 1.3
    own = mouth_curves(track)
    np.testing.assert_allclose(lip_distance(mouth_curves(head), own), 0, atol=1e-4)
    np.testing.assert_allclose(lip_distance(mouth_curves(track_of(lips)), own), 100 * 1.3 / HEIGHT, rtol=1e-3)
    np.testing.assert_allclose(pose_gap(mouth_curves(head), own), 100 * 7 * np.sqrt(2) / HEIGHT, rtol=1e-3)


def test_jerk_is_the_size_of_a_white_jitter_and_blind_to_the_head() -> None:
    track = face_track(400)
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(0, 1, (400, 1, 2)), 0)
    shaken = track.landmarks + walk
    assert box_jerk(mouth_curves(track_of(shaken))) == pytest.approx(0, abs=1e-3)
    shaken[:, (61, 291)] += rng.normal(0, 0.01 * HEIGHT, (400, 1, 2))
    assert box_jerk(mouth_curves(track_of(shaken))) == pytest.approx(1, rel=0.1)
    assert box_jerk(mouth_curves(face_track(3))) is None


def test_windows_lie_inside_the_picture_and_hold_the_lips() -> None:
    track = face_track(5)
    points = track.landmarks.copy()
    points[:, LIPS] = np.random.default_rng(1).uniform([100, 140], [140, 165], (20, 2))
    points[4] += 400
    windows = mouth_windows(track_of(points))
    assert (windows[:, 2] - windows[:, 0] == round(HEIGHT / 2)).all()
    assert (windows >= 0).all()
    assert (windows[:, 2] <= 360).all()
    assert (windows[:, 3] <= 288).all()
    inside = (points[0, LIPS] >= windows[0, :2]) & (points[0, LIPS] < windows[0, 2:])
    assert inside.all()


def test_similarity_is_found_again() -> None:
    points = np.random.default_rng(2).uniform(0, 200, (5, 2))
    wanted = np.array([[0.6, -0.3], [0.3, 0.6]]) @ points.T + np.array([[5.0], [-7.0]])
    np.testing.assert_allclose(fit_similarity(points, wanted.T), [[0.6, -0.3, 5], [0.3, 0.6, -7]], atol=1e-9)


def test_an_aligned_face_has_its_points_in_place() -> None:
    track = face_track(1)
    points = track.landmarks[0]
    frame = np.zeros((288, 360, 3), np.uint8)
    rows, columns = np.mgrid[:288, :360]
    for index in (61, 291):  # bright dots at the corners of the mouth
        x, y = points[index]
        frame[(columns - x + 0.5) ** 2 + (rows - y + 0.5) ** 2 < 9] = 255
    face = align_face(frame, points, ARCFACE, 112)
    assert face.shape == (112, 112, 3)
    assert face.dtype == np.float32
    bright = np.argwhere(face[..., 0] > 0)
    for place in ARCFACE.places[3:]:
        nearest = np.linalg.norm(bright[:, ::-1] + 0.5 - np.array(place) * 112, axis=1).min()
        assert nearest < 6  # five points cannot all be met by one similarity
    lower = align_face(frame, points, LATENTSYNC, 256, LATENTSYNC_SHAPE)
    assert lower.shape == (256, 256, 3)
