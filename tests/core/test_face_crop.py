"""The crop: box formulas, boxes beyond the picture, pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import FaceError
from musetalk_core.face.crop import CropOptions, boxes_usable, crop_boxes, crop_edges, crop_face

PLAIN = CropOptions(chin_margin=0.0)
RELEASED = CropOptions(released=True)


def face68(x: float = 100.0, y: float = 80.0, height: float = 120.0) -> np.ndarray:
    """68 points: x is the middle, y the nose (point 29), the chin is half a height lower."""
    rng = np.random.default_rng(1)
    points = rng.uniform([-0.3, -0.3], [0.3, 0.3], (68, 2))
    points[29] = 0, 0
    points[8] = 0, 0.5
    points[0], points[16] = (-0.4, -0.2), (0.4, -0.2)
    return points * height + (x, y)


@pytest.mark.parametrize("shift", [-7, 0, 7])
def test_the_nose_lies_in_the_middle_of_the_box(shift: int) -> None:
    face = face68()
    edges = crop_edges(face[None], CropOptions(chin_margin=0.0, bbox_shift=shift))[0]
    assert (edges[1] + edges[3]) / 2 == pytest.approx(face[29, 1] + shift)
    assert edges[3] == face[:, 1].max()
    assert (edges[0], edges[2]) == (face[:, 0].min(), face[:, 0].max())


def test_the_chin_margin_is_ten_pixels_at_training_scale() -> None:
    face = face68(height=246.0)
    plain, wide = crop_edges(face[None], PLAIN)[0], crop_edges(face[None], CropOptions())[0]
    np.testing.assert_allclose(wide - plain, [0, 0, 0, 10])
    assert wide[3] - wide[1] == pytest.approx(256)


@given(st.floats(-50, 400), st.floats(-50, 400), st.floats(8, 300), st.integers(-9, 9), st.booleans())
def test_released_boxes_are_those_of_the_released_code(
    x: float, y: float, height: float, shift: int, margin: bool
) -> None:
    face = face68(x, y, height)
    whole = [[int(a), int(b)] for a, b in face]
    half = whole[29][1] + shift
    low = max(b for _, b in whole)
    expected = [
        min(a for a, _ in whole),
        max(0, half - (low - half)),
        max(a for a, _ in whole),
        low + (10 if margin else 0),
    ]
    options = CropOptions(bbox_shift=shift, chin_margin=0.1 if margin else 0.0, released=True)
    box = crop_boxes(face[None], options)[0].tolist()
    assert box == (expected if expected[2] > expected[0] and expected[3] > expected[1] else [0, 0, 0, 0])


@given(st.floats(-500, 500), st.floats(-500, 500), st.floats(2, 900))
def test_rounded_boxes_stay_within_a_pixel_of_their_edges(x: float, y: float, height: float) -> None:
    face = face68(x, y, height)[None]
    edges = crop_edges(face, PLAIN)
    if np.isfinite(edges).all():
        assert np.abs(crop_boxes(face, PLAIN) - edges).max() <= 1.0


@pytest.mark.parametrize("options", [PLAIN, RELEASED])
def test_unusable_landmarks_give_no_box(options: CropOptions) -> None:
    nan = face68()
    nan[3, 1] = np.nan
    flat = np.full((68, 2), 50.0)
    infinite = np.full((68, 2), np.inf)
    boxes = crop_boxes(np.stack([face68(), nan, flat, infinite]), options)
    assert boxes.dtype == np.int32
    assert boxes_usable(boxes).tolist() == [True, False, False, False]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "box",
    [
        (-2, -2, 40, 50),
        (30, 20, 90, 70),
        (-30, -30, 130, 110),
        (200, 200, 260, 280),
        (-90, -80, -10, -5),
        (10, 10, 11, 11),
        (5, 5, 45, 45),
    ],
)
@pytest.mark.parametrize("roll", [0.0, 0.3])
def test_boxes_beyond_the_picture_give_a_whole_crop(box: tuple[int, ...], dtype: type, roll: float) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    frame = frame if dtype is np.uint8 else frame.astype(np.float32) / 255
    crop = crop_face(frame, np.array(box), roll, 32)
    assert crop.shape == (32, 32, 3)
    assert crop.dtype == dtype
    assert np.isfinite(crop).all()
    assert crop.max() <= (255 if dtype is np.uint8 else 1.0)
    assert crop.min() >= 0


def test_a_crop_beyond_the_picture_repeats_its_edge() -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[:, 0] = 200
    crop = crop_face(frame, np.array([-32, 0, 0, 32]), 0.0, 32)
    assert (crop == 200).all()


def test_a_box_without_area_is_refused() -> None:
    with pytest.raises(FaceError, match="no area"):
        crop_face(np.zeros((40, 40, 3), np.uint8), np.array([10, 10, 10, 30]), 0.0, 32)


def test_a_crop_of_its_own_size_is_exact_and_a_copy() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    kept = frame.copy()
    crop = crop_face(frame, np.array([8, 4, 40, 36]), 0.0, 32)
    np.testing.assert_array_equal(crop, frame[4:36, 8:40])
    crop[:] = 0
    np.testing.assert_array_equal(frame, kept)


def test_shrinking_is_filtered_unless_released() -> None:
    frame = np.zeros((256, 256, 3), np.uint8)
    frame[:, ::2] = 255  # stripes finer than the crop can show
    box = np.array([0, 0, 256, 256])
    filtered, released = crop_face(frame, box, 0.0, 64), crop_face(frame, box, 0.0, 64, released=True)
    assert np.abs(filtered.astype(int) - 128).max() <= 1
    assert np.abs(released.astype(int) - 128).max() > np.abs(filtered.astype(int) - 128).max()


@settings(max_examples=20)
@given(st.floats(-0.6, 0.6))
def test_a_turned_crop_shows_what_lies_at_its_turned_place(roll: float) -> None:
    y, x = np.mgrid[:200, :200] + 0.5  # pixel centres
    frame = np.repeat((np.stack([x, y, x * 0], axis=2) / 200).astype(np.float32), 1, axis=2)
    crop = crop_face(frame, np.array([60, 50, 140, 150]), roll, 64)
    u, v = (10.5 / 64 - 0.5) * 80, (40.5 / 64 - 0.5) * 100
    expected = (100 + np.cos(roll) * u - np.sin(roll) * v, 100 + np.sin(roll) * u + np.cos(roll) * v)
    np.testing.assert_allclose(crop[40, 10, :2] * 200, expected, atol=0.6)
