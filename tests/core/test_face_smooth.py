"""Steadiness without lag, and without touching what the face itself does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.face.crop import CropOptions, crop_edges
from musetalk_core.face.points import mouth_opening
from musetalk_core.face.smooth import smooth, smooth_run, steady_runs, true_runs

FPS = 25.0
CROP = CropOptions()


def moving_head(frames: int, noise: float = 0.0, nod: float = 0.0) -> np.ndarray:
    """(frames, 68, 2) float32: a head that drifts, trembles and speaks."""
    rng = np.random.default_rng(0)
    face = rng.uniform([-40, -40], [40, 40], (68, 2))
    face[29], face[8], face[0], face[16] = (0, 0), (0, 60), (-50, -20), (50, -20)
    time = np.arange(frames) / FPS
    head = np.repeat(face[None], frames, axis=0)
    head[:, 66, 1] += 6 * np.sin(2 * np.pi * 5 * time)  # the lower lip, 5 times a second
    head += np.stack([200 + 10 * time, 150 + nod * np.sin(2 * np.pi * time)], axis=1)[:, None]
    head += rng.normal(0, noise, (frames, 1, 2))
    return head.astype(np.float32)


def signals() -> st.SearchStrategy[np.ndarray]:
    values = st.lists(st.floats(-100, 100), min_size=3, max_size=60)
    return values.map(lambda items: np.array(items)[:, None])


@given(signals(), st.floats(0.3, 5))
def test_smoothing_has_no_direction_in_time(signal: np.ndarray, frames: float) -> None:
    np.testing.assert_allclose(smooth(signal[::-1], frames)[::-1], smooth(signal, frames), atol=1e-9)


@given(st.integers(3, 80), st.floats(-5, 5), st.floats(0.3, 5))
def test_steady_motion_is_kept(frames: int, speed: float, width: float) -> None:
    line = speed * np.arange(frames)[:, None]
    np.testing.assert_allclose(smooth(line, width), line, atol=1e-8)


@given(signals(), st.floats(0.3, 5), st.floats(0.1, 5))
def test_the_limit_holds(signal: np.ndarray, frames: float, limit: float) -> None:
    assert np.abs(smooth(signal, frames, limit) - signal).max() <= limit + 1e-9


def test_tremble_falls_and_the_box_stays_on_the_face() -> None:
    still = moving_head(100, nod=5)
    shaken = moving_head(100, noise=0.5, nod=5)
    raw = crop_edges(shaken, CROP)
    edges, roll = smooth_run(shaken, FPS, 1.0, CROP, align_roll=False)
    tremble = [np.diff(boxes, 2, axis=0).std() for boxes in (raw, edges)]
    assert tremble[1] < tremble[0] / 2
    assert np.abs(edges - crop_edges(still, CROP)).max() < np.abs(raw - crop_edges(still, CROP)).max()
    assert not roll.any()


def test_the_mouth_keeps_its_motion() -> None:
    shaken = moving_head(50, noise=0.5)
    before = mouth_opening(shaken.copy())
    smooth_run(shaken, FPS, 2.0, CROP, align_roll=False)
    np.testing.assert_allclose(mouth_opening(shaken), before, rtol=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 3, 50])
def test_strength_0_changes_nothing(frames: int) -> None:
    seen = moving_head(frames, noise=1.0)
    kept = seen.copy()
    edges, _ = smooth_run(seen, FPS, 0.0, CROP, align_roll=False)
    np.testing.assert_array_equal(seen, kept)
    np.testing.assert_allclose(edges, crop_edges(kept, CROP), atol=1e-6)


@settings(max_examples=25)
@given(st.floats(-0.7, 0.7))
def test_roll_alignment_gives_the_upright_face_s_box(angle: float) -> None:
    upright = moving_head(5)[:1]
    upright[:, 45, 1] = upright[:, 36, 1]  # level eyes
    upright[:, 45, 0], upright[:, 36, 0] = 230, 170
    expected = crop_edges(upright, CROP)
    centre = upright[0].mean(axis=0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = ((upright - centre) @ turn.T + centre).astype(np.float32)
    edges, roll = smooth_run(turned, FPS, 1.0, CROP, align_roll=True)
    assert roll[0] == pytest.approx(angle, abs=1e-4)
    np.testing.assert_allclose(edges[0, 2:] - edges[0, :2], expected[0, 2:] - expected[0, :2], atol=1e-2)
    middle = (expected[0, :2] + expected[0, 2:]) / 2
    np.testing.assert_allclose((edges[0, :2] + edges[0, 2:]) / 2, turn @ (middle - centre) + centre, atol=1e-2)


def test_runs_break_at_gaps_cuts_and_jumps() -> None:
    head = moving_head(60)
    head[40:] += 30  # a cut that looks like none
    found = np.ones(60, bool)
    found[10:12] = False
    cuts = np.zeros(60, bool)
    cuts[25] = True
    assert list(steady_runs(head, found, cuts)) == [(0, 10), (12, 25), (25, 40), (40, 60)]


@given(st.lists(st.booleans()))
def test_true_runs_are_where_it_is_true(flags: list[bool]) -> None:
    again = np.zeros(len(flags), bool)
    for start, stop in true_runs(np.array(flags, bool)):
        again[start:stop] = True
    assert again.tolist() == flags
