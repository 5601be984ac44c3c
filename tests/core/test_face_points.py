"""Landmark tables, views and measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musetalk_core.errors import FaceError
from musetalk_core.face import points as tables
from musetalk_core.face.points import POINTS_68, head_yaw, mouth_opening, points68


def test_the_68_point_view_takes_68_different_points_of_the_mesh() -> None:
    assert len(POINTS_68) == len(set(POINTS_68)) == 68
    assert max(POINTS_68) < 468


def test_the_views_of_68_points_cover_them_once() -> None:
    names = [name for name in vars(tables) if name.endswith("_68") and isinstance(getattr(tables, name), tuple)]
    parts = [p for name in names if name not in ("POINTS_68", "RIGID_68", "STABLE_68") for p in getattr(tables, name)]
    assert sorted(parts) == list(range(68))


def test_lips_of_both_views_are_the_same_points() -> None:
    assert {POINTS_68[i] for i in tables.LIPS_OUTER_68} <= set(tables.LIPS_OUTER)
    assert {POINTS_68[i] for i in tables.LIPS_INNER_68} <= set(tables.LIPS_INNER)


def test_points68_takes_478_passes_68_and_refuses_others() -> None:
    mesh = np.arange(2 * 478 * 2, dtype=np.float32).reshape(2, 478, 2)
    view = points68(mesh)
    np.testing.assert_array_equal(view[1, 8], mesh[1, 152])
    assert points68(view) is view
    for shape in ((478,), (3, 5, 2), (3, 106, 2)):
        with pytest.raises(FaceError, match="Landmarks"):
            points68(np.zeros(shape))


def head(yaw: float, roll: float) -> np.ndarray:
    """478 points of a mirror-symmetric head, turned."""
    rng = np.random.default_rng(0)
    face = rng.uniform(-20, 20, (478, 3))
    for left, right in tables.MIRRORED:
        face[left] = rng.uniform([-50, -50, -30], [-10, 50, 30])
        face[right] = face[left] * (-1, 1, 1)
    cos, sin = np.cos(yaw), np.sin(yaw)
    face = face @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]).T  # the nose (-z) goes to the right (+x)
    cos, sin = np.cos(roll), np.sin(roll)
    return face @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T + (300, 200, 0)


@given(st.floats(-1.3, 1.3), st.floats(-1.0, 1.0))
def test_yaw_of_a_turned_head(yaw: float, roll: float) -> None:
    assert head_yaw(head(yaw, roll)) == pytest.approx(yaw, abs=1e-3)


@pytest.mark.parametrize("yaw", [-0.9, -0.3, 0.0, 0.3, 0.9])
def test_yaw_of_68_points_sees_the_nose_move(yaw: float) -> None:
    face = np.zeros((68, 2))
    cos, sin = np.cos(yaw), np.sin(yaw)
    face[36], face[45] = (-40 * cos, 0), (40 * cos, 0)
    face[30] = 40 * tables.NOSE_DEPTH * sin, 30
    assert head_yaw(face + 100) == pytest.approx(yaw, abs=1e-6)


@given(st.floats(0.2, 8), st.floats(-2, 2))
def test_mouth_opening_does_not_depend_on_size_and_tilt(scale: float, angle: float) -> None:
    face = np.random.default_rng(0).uniform(0, 100, (478, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert mouth_opening(face @ turn * scale + 7) == pytest.approx(float(mouth_opening(face)))
    assert mouth_opening(np.stack([face, face])).shape == (2,)
