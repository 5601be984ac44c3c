"""References and crops: what the network may know of the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musetalk_core.errors import FaceError
from musetalk_core.face.points import JAW_68, LIPS_INNER_68
from musetalk_core.portraits.footage import PortraitFootage
from musetalk_core.training.framing import FramingOptions, draw_framing, frame_segment, in_crop
from musetalk_core.training.sampling import (
    SamplingOptions,
    Shapes,
    draw_references,
    reference_candidates,
    segment_shapes,
)


def _random_shapes(frames: int, seed: int) -> Shapes:
    random = np.random.default_rng(seed)
    return Shapes(random.normal(size=(frames, 6, 2)), random.normal(size=(frames, 8, 2)))


@given(
    st.integers(2, 60),
    st.integers(0, 9999),
    st.sampled_from(["random", "pose", "mouth", "intersection"]),
    st.floats(0.01, 1.0),
)
def test_defect_16_a_reference_is_never_the_target_and_far_enough_wherever_that_is_possible(
    frames, seed, method, ratio
):
    shapes = _random_shapes(frames, seed)
    options = SamplingOptions(method=method, ratio=ratio)
    for target in {0, 1, frames // 2, frames - 1}:
        found = reference_candidates(shapes, target, options)
        assert len(found) >= 1
        assert target not in found
        gap = np.abs(found - target)
        assert (gap >= min(options.apart, max(target, frames - 1 - target))).all()


def test_candidates_are_those_of_the_papers_two_sets():
    shapes = _random_shapes(100, 3)
    target = 40
    pose = np.linalg.norm(shapes.pose - shapes.pose[target], axis=-1).mean(-1)
    mouth = np.linalg.norm(shapes.mouth - shapes.mouth[target], axis=-1).mean(-1)
    near = set(np.argsort(pose)[1:52].tolist())  # the first is the target itself
    unlike = set(np.argsort(-mouth)[:51].tolist())
    far = {i for i in range(100) if abs(i - target) >= 5}
    expected = {"pose": near & far, "mouth": unlike & far, "intersection": near & unlike & far, "random": far}
    for method, frames in expected.items():
        assert set(reference_candidates(shapes, target, SamplingOptions(method=method)).tolist()) == frames, method


@given(st.integers(12, 80), st.integers(0, 999))
def test_a_ratio_above_one_half_always_meets_before_the_distance_rule(frames, seed):
    shapes = _random_shapes(frames, seed)
    k = int(0.51 * frames)
    options = SamplingOptions(apart=1)
    if 2 * k > frames - 1:
        found = reference_candidates(shapes, frames // 2, options)
        both = 2 * k - (frames - 1)
        assert len(found) >= both


def test_the_fallback_takes_the_best_of_both_ranks():
    # Pose and mouth are the same curve here, so at a small ratio nothing is alike in one and unlike in the other.
    line = np.arange(60, dtype=float)[:, None, None] * np.ones((1, 4, 2))
    found = reference_candidates(Shapes(line, line), 30, SamplingOptions(ratio=0.1))
    assert len(found) == 5  # a tenth of the 51 frames that are far enough away
    assert (np.abs(found - 30) >= 5).all()


def test_one_frame_has_no_reference():
    with pytest.raises(FaceError, match="one frame"):
        reference_candidates(_random_shapes(1, 0), 0, SamplingOptions())


def test_references_are_drawn_one_by_one_and_again_by_the_same_seed():
    shapes = _random_shapes(200, 1)
    targets = np.arange(50, 66)
    first = draw_references(shapes, targets, SamplingOptions(), np.random.default_rng(5))
    assert np.array_equal(first, draw_references(shapes, targets, SamplingOptions(), np.random.default_rng(5)))
    assert len(set(first.tolist())) > 8


@pytest.fixture(scope="module")
def landmarks(portrait_clip: PortraitFootage) -> np.ndarray:
    return portrait_clip.truth().landmarks


def test_the_crop_does_not_know_how_far_the_mouth_is_open(landmarks):
    reach = landmarks[..., 1].max(1) - landmarks[:, 29, 1]
    size = np.linalg.norm(landmarks[:, 27] - landmarks[:, 30], axis=-1)
    widest = int((reach / size).argmax())  # pushing the largest further leaves the median where it is
    opened = landmarks.copy()
    opened[widest, list(JAW_68[5:12]), 1] += 25
    opened[widest, list(LIPS_INNER_68[5:]), 1] += 20
    frames = np.arange(len(landmarks))
    before, after = (frame_segment(points).edges(frames, 0.04, 1.0) for points in (landmarks, opened))
    assert np.abs(before - after).max() < 1e-6
    assert np.allclose(
        before[:, 1] + before[:, 3] - 0.04 * (before[:, 3] - before[:, 1]) / 1.04, 2 * landmarks[:, 29, 1]
    )


def test_the_steady_pose_ignores_the_jaw_and_the_contour_does_not(landmarks):
    opened = landmarks.copy()
    opened[3, list(JAW_68[5:12]), 1] += 25
    moved = {}
    for pose in ("steady", "contour"):
        before, after = (
            segment_shapes(points, frame_segment(landmarks), pose).pose[3] for points in (landmarks, opened)
        )
        moved[pose] = np.abs(before - after).max()
    assert moved["steady"] < 1e-9
    assert moved["contour"] > 3


def test_targets_share_a_margin_that_is_relative_to_the_face_and_references_have_their_own():
    draw = draw_framing(FramingOptions(), 16, np.random.default_rng(0))
    assert len(np.unique(draw.margins)) > 8
    assert (draw.margins >= 0).all()
    assert (draw.margins <= FramingOptions().margin_most).all()
    assert draw_framing(FramingOptions(shared_margin=True), 4, np.random.default_rng(0)).margins.std() == 0
    assert draw_framing(FramingOptions(scale_jitter=0), 1, np.random.default_rng(0)).scale == 1


@given(st.floats(0.2, 5.0))
def test_a_margin_scales_with_the_face(zoom):
    random = np.random.default_rng(1)
    points = random.uniform(50, 150, (5, 68, 2))
    small, large = (frame_segment(points * factor).edges(np.arange(5), 0.05, 1.1) for factor in (1.0, zoom))
    assert np.allclose(small * zoom, large)


def test_defect_06_points_take_each_axis_own_scale():
    points = np.array([[[30.0, 80.0], [50.0, 100.0]]])
    edges = np.array([[10.0, 20.0, 90.0, 120.0]])  # 80 wide, 100 high
    assert np.allclose(in_crop(points, edges, 256), [[[64, 153.6], [128, 204.8]]])


def test_defect_07_all_points_of_a_group_count(landmarks):
    shapes = segment_shapes(landmarks, frame_segment(landmarks), "contour")
    assert shapes.pose.shape[1] == 17
    assert shapes.mouth.shape[1] == 8


def test_defect_16_the_training_crop_is_the_inference_crop(landmarks):
    from musetalk_core.face.crop import CropOptions, crop_edges

    options = CropOptions()
    frames = np.arange(len(landmarks))
    ours = frame_segment(landmarks).edges(frames, options.chin_margin, 1.0)
    theirs = crop_edges(landmarks, options)
    height = theirs[:, 3] - theirs[:, 1]
    assert np.abs(np.median((ours - theirs) / height[:, None], axis=0)).max() < 0.02  # no steady difference
    assert np.abs((ours - theirs) / height[:, None]).max() < 0.12  # only the jaw's own motion is left
