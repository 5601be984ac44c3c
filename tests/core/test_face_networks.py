"""The embedded networks, the detector's geometry, regions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musetalk_core.errors import ModelError
from musetalk_core.face import networks
from musetalk_core.face.detect import FaceDetector, _anchors, _starts, overlap
from musetalk_core.face.landmarks import LandmarkDetector, Region, cut_region, region_of_box, region_of_landmarks


def test_the_networks_are_whole_and_named_in_their_readme() -> None:
    readme = (networks.WEIGHTS / "README.md").read_text(encoding="utf-8")
    for name, digest in networks.SHA256.items():
        networks.TFLiteNetwork(name, ())  # raises when the content is another
        assert name in readme
        assert digest in readme


def test_a_damaged_or_missing_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "WEIGHTS", tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        FaceDetector()
    (tmp_path / "face_detector.tflite").write_bytes(b"TFL3")
    with pytest.raises(ModelError, match="damaged"):
        FaceDetector()


def test_anchors_are_cell_centres() -> None:
    anchors = _anchors()
    assert anchors.shape == (896, 2)
    assert anchors[0].tolist() == anchors[1].tolist() == [4.0, 4.0]
    assert anchors[2].tolist() == [12.0, 4.0]
    assert anchors[-1].tolist() == [120.0, 120.0]


@given(st.integers(1, 5000), st.integers(80, 2000))
def test_tiles_cover_a_side_and_overlap_by_half(length: int, tile: int) -> None:
    starts = _starts(length, tile)
    assert starts[0] == 0
    assert starts[-1] + tile >= length
    assert all(0 < b - a <= tile // 2 for a, b in pairwise(starts))
    assert length <= tile or starts[-1] + tile == length


def test_overlap_of_boxes() -> None:
    box = np.array([0, 0, 10, 10.0])
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 0, 0]], float)
    np.testing.assert_allclose(overlap(box, others), [1, 1 / 3, 0, 0])


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (120, 97), (700, 901)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pictures_without_a_face_give_none(size: tuple[int, int], dtype: type) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    frame = frame if dtype is np.uint8 else (frame / 255).astype(np.float32)
    detector = FaceDetector()
    assert len(detector.detect(frame)) == 0
    assert len(detector.detect_near(frame, np.array([-50, -50, -20, -20.0]))) == 0


def test_nothing_is_present_in_noise() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    landmarks, presence = LandmarkDetector().locate(frame, region_of_box(np.array([100, 100, 200, 200.0])))
    assert landmarks.shape == (478, 3)
    assert presence < 0.5


@given(st.floats(50, 150), st.floats(50, 150), st.floats(20, 900), st.floats(-3, 3))
def test_a_region_s_matrix_brings_its_centre_to_the_patch_s(x: float, y: float, side: float, roll: float) -> None:
    matrix = Region(x, y, side, roll).matrix(64)
    np.testing.assert_allclose(matrix @ (x - 0.5, y - 0.5, 1), [31.5, 31.5], atol=1e-6)
    along = matrix @ (x - 0.5 + side / 2 * np.cos(roll), y - 0.5 + side / 2 * np.sin(roll), 1)
    np.testing.assert_allclose(along, [63.5, 31.5], atol=1e-6)


@pytest.mark.parametrize("side", [40.0, 64.0, 130.0, 400.0, 1000.0])
@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_a_patch_shows_the_same_place_whatever_its_scale(side: float, roll: float) -> None:
    """A picture whose colours are its coordinates: also the low-pass for large regions must not move it."""
    y, x = np.mgrid[:1200, :1600] + 0.5
    frame = (np.stack([x, y, x * 0], axis=2) / 1600).astype(np.float32)
    patch = cut_region(frame, Region(803.0, 601.0, side, roll), 64) * 1600
    np.testing.assert_allclose(
        patch[32, 32, :2] + patch[31, 31, :2], [2 * 803, 2 * 601], atol=0.1 + side / 1000
    )  # OpenCV 4: 1/32 px
    step = side / 64
    np.testing.assert_allclose(
        patch[32, 40, :2] - patch[32, 32, :2], [8 * step * np.cos(roll), 8 * step * np.sin(roll)], atol=0.2
    )


def test_the_region_of_turned_landmarks_is_turned() -> None:
    face = np.random.default_rng(0).uniform(-40, 40, (478, 2))
    face[33], face[263] = (-20, -10), (20, -10)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    level, turned = region_of_landmarks(face + 100), region_of_landmarks(face @ turn.T + 100)
    assert turned.roll == pytest.approx(0.4)
    assert turned.side == pytest.approx(level.side)
