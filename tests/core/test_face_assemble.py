"""From sightings to a track: gaps, limits, fades, one entry a frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.face.assemble import Scene, Seen, assemble_track
from musetalk_core.face.crop import CropOptions, crop_boxes
from musetalk_core.face.options import TrackOptions
from musetalk_core.timeline import Clock
from musetalk_core.types import FaceTrack, Skip

FADE = 5  # frames: 0.2 s at 25 fps


def face68(x: float = 320.0, y: float = 240.0, height: float = 120.0) -> np.ndarray:
    points = np.random.default_rng(1).uniform([-0.3, -0.3], [0.3, 0.3], (68, 2))
    points[29], points[8], points[0], points[16] = (0, 0), (0, 0.5), (-0.4, -0.2), (0.4, -0.2)
    points[36], points[45] = (-0.25, -0.15), (0.25, -0.15)  # outer eye corners
    points[48:68] = np.random.default_rng(2).uniform([-0.1, 0.2], [0.1, 0.3], (20, 2))  # lips
    return (points * height + (x, y)).astype(np.float32)


def track(
    seen: np.ndarray,
    *,
    points: np.ndarray | None = None,
    yaw: float | np.ndarray = 0.0,
    cuts: tuple[int, ...] = (),
    others: np.ndarray | None = None,
    fps: int = 25,
    crop: CropOptions | None = None,
    **options: float,
) -> FaceTrack:
    n = len(seen)
    points = np.repeat(face68()[None], n, axis=0) if points is None else points
    starts = np.zeros(n, bool)
    starts[list(cuts)] = True
    person = Seen(points, seen, np.zeros(n) + yaw, np.zeros(n, bool) if others is None else others)
    scene = Scene(Clock.regular(n, Fraction(fps)), starts, 640, 480)
    return assemble_track(person, scene, TrackOptions(**options), crop or CropOptions())


def without(n: int, *gaps: tuple[int, int]) -> np.ndarray:
    seen = np.ones(n, bool)
    for start, stop in gaps:
        seen[start:stop] = False
    return seen


def test_a_face_that_is_always_there_speaks_on_every_frame() -> None:
    result = track(without(30))
    assert len(result) == 30
    assert result.found.all()
    assert (result.strength == 1).all()
    assert (result.skip == Skip.NONE).all()
    assert result.landmarks.dtype == np.float32
    assert result.boxes.dtype == np.int32
    assert result.strength.dtype == np.float32


def test_never_5_frames_30_to_49_without_a_face() -> None:
    """250 frames, 20 of them without a face: 250 entries, those 20 pass through, fades on frames with a face."""
    result = track(without(250, (30, 50)))
    assert len(result) == 250
    gap = slice(30, 50)
    assert not result.found[gap].any()
    assert not result.strength[gap].any()
    assert (result.skip[gap] == Skip.NO_FACE).all()
    assert (result.strength[:25] == 1).all()
    assert (np.diff(result.strength[24:31]) < 0).all()
    assert (result.strength[25:30] > 0).all()
    assert (np.diff(result.strength[49:56]) > 0).all()
    assert (result.strength[55:] == 1).all()
    assert np.isfinite(result.landmarks).all()
    assert (result.boxes == result.boxes[0]).all()


@pytest.mark.parametrize(("fps", "longest"), [(25, 5), (30, 6), (50, 10), (12, 2)])
def test_gaps_up_to_a_fifth_of_a_second_are_held(fps: int, longest: int) -> None:
    held = track(without(60, (20, 20 + longest)), fps=fps)
    assert held.found.all()
    assert (held.strength == 1).all()
    lost = track(without(60, (20, 21 + longest)), fps=fps)
    assert not lost.found[20 : 21 + longest].any()


def test_a_held_box_lies_between_both_sides() -> None:
    points = np.stack([face68(320 + 2 * i) for i in range(40)])
    held = track(without(40, (20, 24)), points=points.copy(), smoothing=0.0)
    np.testing.assert_allclose(held.landmarks, points, atol=1e-3)
    assert (np.diff(held.boxes[:, 0]) == 2).all()


def test_a_gap_over_a_cut_or_a_jump_is_not_held() -> None:
    assert not track(without(40, (20, 23)), cuts=(21,)).found[20:23].any()
    assert not track(without(40, (20, 23)), cuts=(23,)).found[20:23].any()
    away = np.stack([face68(200 if i < 20 else 420) for i in range(40)])
    assert not track(without(40, (20, 23)), points=away).found[20:23].any()
    grown = np.stack([face68(height=100 if i < 20 else 150) for i in range(40)])
    assert not track(without(40, (20, 23)), points=grown).found[20:23].any()


def test_gaps_at_the_ends_are_not_held() -> None:
    result = track(without(40, (0, 2), (38, 40)))
    assert not result.found[[0, 1, 38, 39]].any()
    assert result.strength[2] < result.strength[3] < 1


def test_a_cut_between_two_frames_with_the_face_needs_no_fade() -> None:
    assert (track(without(40), cuts=(20,)).strength == 1).all()


def test_nan_and_flat_landmarks_count_as_absent() -> None:
    points = np.repeat(face68()[None], 60, axis=0)
    points[20:30, 5] = np.nan
    points[40:50] = 7.0
    result = track(without(60), points=points)
    assert np.flatnonzero(~result.found).tolist() == [*range(20, 30), *range(40, 50)]
    assert np.isfinite(result.landmarks).all()


def test_a_head_that_turns_away_fades_on_the_frames_before() -> None:
    yaw = np.radians(np.concatenate([np.linspace(0, 80, 40), np.linspace(80, 0, 40)]))
    result = track(without(80), yaw=yaw, smoothing=0.0)
    turned = result.skip == Skip.TURNED
    assert result.found.all()
    first, last = np.flatnonzero(turned)[[0, -1]]
    assert turned[first : last + 1].all()
    assert np.degrees(yaw[first - 1]) <= 50 < np.degrees(yaw[first])
    assert 43 < np.degrees(yaw[last + 1]) <= 45  # comes back only well inside the limit
    assert (np.diff(result.strength[first - FADE - 1 : first + 1]) < 0).all()
    assert (np.diff(result.strength[last : last + FADE + 2]) > 0).all()


@pytest.mark.parametrize(("degrees", "speaks"), [(0, True), (40, True), (60, False), (-90, False), (180, False)])
def test_a_tilted_head_is_left_alone_unless_the_crop_turns_with_it(degrees: float, speaks: bool) -> None:
    centre = np.array([320, 240], np.float32)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    tilted = centre + (face68() - centre) @ np.array([[cos, sin], [-sin, cos]], np.float32)
    points = np.repeat(tilted.astype(np.float32)[None], 10, axis=0)
    left = track(without(10), points=points.copy())
    assert (left.skip == (Skip.NONE if speaks else Skip.TURNED)).all()
    assert (track(without(10), points=points.copy(), roll_limit=30).skip[0] == Skip.NONE) == (degrees == 0)
    aligned = track(without(10), points=points.copy(), align_roll=True)
    assert (aligned.strength == 1).all()
    assert np.allclose(np.cos(aligned.roll - np.radians(degrees)), 1, atol=1e-3)


def test_small_faces_and_mouths_outside_the_picture_are_skipped() -> None:
    assert (track(without(10), points=np.repeat(face68(height=25)[None], 10, axis=0)).skip == Skip.TOO_SMALL).all()
    low = track(without(10), points=np.repeat(face68(y=470)[None], 10, axis=0))
    assert (low.skip == Skip.OUT_OF_FRAME).all()
    assert low.found.all()
    high = track(without(10), points=np.repeat(face68(y=-5)[None], 10, axis=0))  # the brow is cut, the mouth is not
    assert (high.strength == 1).all()
    assert high.boxes[0, 1] < 0


def test_another_person_s_frames_are_named() -> None:
    others = np.zeros(40, bool)
    others[10:20] = True
    result = track(without(40, (10, 30)), others=others)
    assert (result.skip[10:20] == Skip.OTHER_PERSON).all()
    assert (result.skip[20:30] == Skip.NO_FACE).all()


def test_a_single_frame_is_a_track() -> None:
    result = track(np.ones(1, bool))
    assert result.strength.tolist() == [1.0]


@pytest.mark.parametrize("released", [False, True])
def test_without_smoothing_boxes_are_the_formula_s(released: bool) -> None:
    rng = np.random.default_rng(0)
    points = np.stack([face68(320 + rng.normal()) for _ in range(30)])
    crop = CropOptions(released=released)
    result = track(without(30), points=points.copy(), crop=crop, smoothing=0.0)
    np.testing.assert_array_equal(result.landmarks, points)
    np.testing.assert_array_equal(result.boxes, crop_boxes(points, crop))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=80),
    st.sets(st.integers(0, 79)),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_whatever_is_seen_the_track_is_whole(states: list[int], cuts: set[int], fade: float, hold: float) -> None:
    """One entry a frame; strength above 0 only on found frames without a reason; 0 exactly where a reason is given."""
    n = len(states)
    kinds = np.array(states)
    points = np.repeat(face68()[None], n, axis=0)
    points[kinds == 1] = np.nan
    result = track(
        kinds != 0,
        points=points,
        yaw=np.where(kinds == 2, 1.2, 0.0),
        cuts=tuple(cut for cut in cuts if 0 < cut < n),
        fade_seconds=fade,
        hold_seconds=hold,
    )
    assert all(len(getattr(result, name)) == n for name in ("found", "landmarks", "boxes", "roll", "strength", "skip"))
    assert ((result.strength > 0) == (result.skip == Skip.NONE)).all()
    assert result.found[result.strength > 0].all()
    assert result.strength.min() >= 0
    assert result.strength.max() <= 1
    if result.found.any():
        assert np.isfinite(result.landmarks).all()
        assert (result.boxes[:, 2] > result.boxes[:, 0]).all()
    steps = np.abs(np.diff(result.strength))
    assert steps.max(initial=0) <= 1 / (round(fade * 25) + 1) + 1e-5
