"""Statistics of curves: planted lags, ratios and dubs come back at their size."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import OptionError
from musetalk_core.eval.curves import chance_level, correlation, deviation_ratio, dub_scores, find_lag, spread
from musetalk_core.eval.silence import judge_silence, silent_frames
from musetalk_core.timeline import Clock
from musetalk_core.types import AudioClip


def speech_like(frames: int, seed: int) -> np.ndarray:
    """A smooth random curve, as mouths move: white noise over about 5 frames."""
    noise = np.random.default_rng(seed).normal(size=frames + 20)
    kernel = np.hanning(9)
    return np.convolve(noise, kernel / kernel.sum(), "same")[10:-10]


@given(lag=st.integers(-10, 10), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_planted_lag_is_found(lag: int, seed: int) -> None:
    curve = speech_like(320, seed)
    found = find_lag(curve[20 - lag : 300 - lag], curve[20:300], 12)
    assert found is not None
    assert found.frames == pytest.approx(lag, abs=0.02)
    assert found.r == pytest.approx(1)
    assert not found.edge


def test_half_a_frame_of_lag_is_found() -> None:
    time = np.arange(300)
    slow = np.sin(time / 7) + np.sin(time / 3.1 + 1)
    late = np.sin((time - 1.5) / 7) + np.sin((time - 1.5) / 3.1 + 1)
    found = find_lag(late, slow, 8)
    assert found is not None
    assert found.frames == pytest.approx(1.5, abs=0.1)


def test_lag_at_the_end_of_the_range_says_so() -> None:
    curve = speech_like(200, 1)
    found = find_lag(curve[:180], curve[9:189], 5)
    assert found is None or found.edge or found.r < 0.9


def test_a_still_curve_correlates_with_nothing() -> None:
    curve = speech_like(100, 2)
    assert correlation(np.full(100, 0.3), curve) is None
    assert find_lag(np.full(100, 0.3), curve, 5) is None
    assert deviation_ratio(np.full(100, 0.3), curve) == 0
    assert deviation_ratio(curve, np.full(100, 0.3)) is None


def test_missing_frames_are_left_out() -> None:
    curve = speech_like(100, 3)
    holes = curve.copy()
    holes[10:30] = np.nan
    assert correlation(holes, curve) == pytest.approx(1)
    assert correlation(np.where(np.arange(100) < 5, curve, np.nan), curve) is None


def test_deviation_ratio_is_the_gain() -> None:
    curve = speech_like(200, 4)
    assert deviation_ratio(0.8 * curve + 3, curve) == pytest.approx(0.8)


def test_dub_chance_and_leak_tell_apart_who_is_followed() -> None:
    rhythm = speech_like(75, 5)  # what all sentences share
    truths = [0.7 * rhythm + speech_like(75, 10 + i) for i in range(12)]
    sources = [0.7 * rhythm + speech_like(75, 50 + i) for i in range(12)]
    followed = dub_scores([t + 0.1 * speech_like(75, 90 + i) for i, t in enumerate(truths)], truths, sources)
    leaked = dub_scores(sources, truths, sources)
    assert followed.dub is not None
    assert followed.chance is not None
    assert followed.leak is not None
    assert followed.dub.mean > 0.95
    assert followed.dub.count == 12
    assert followed.chance.count == 132
    assert abs(followed.leak.mean - followed.chance.mean) < 0.15
    assert leaked.dub is not None
    assert leaked.chance is not None
    assert leaked.leak is not None
    assert leaked.leak.mean == pytest.approx(1)
    assert abs(leaked.dub.mean - leaked.chance.mean) < 0.15


def test_sets_of_different_size_are_refused() -> None:
    with pytest.raises(OptionError):
        dub_scores([np.zeros(75)], [], None)


def test_chance_of_unrelated_frames_is_about_nothing() -> None:
    curve = speech_like(500, 6)
    chance = chance_level(curve, curve, 25)
    assert chance is not None
    assert abs(chance.mean) < 0.1
    assert chance_level(curve[:60], curve[:60], 25) is None


def test_spread_ignores_what_is_unknown() -> None:
    assert spread([None, None]) is None
    found = spread([1.0, None, 3.0])
    assert found is not None
    assert (found.mean, found.sd, found.count) == (2, 1, 2)


def test_silence_is_found_and_an_open_mouth_in_it() -> None:
    rng = np.random.default_rng(0)
    sound = (0.001 * rng.normal(size=64_000)).astype(np.float32)
    sound[16_000:32_000] += (0.2 * rng.normal(size=16_000) * (1 + np.sin(np.arange(16_000) / 800))).astype(np.float32)
    clock = Clock.regular(125, Fraction(25))  # a second longer than the sound
    silent = silent_frames(AudioClip(sound), clock)
    assert silent[2:17].all()
    assert not silent[24:51].any()
    assert silent[58:].all()
    shut = np.where(silent, 0.003, 0.06)
    found = judge_silence(shut, silent)
    assert found is not None
    assert found.open_share == 0
    half = np.where(silent & (np.arange(125) < 60), 0.06, shut)
    opened = judge_silence(half, silent)
    assert opened is not None
    assert opened.open_share == pytest.approx((silent & (np.arange(125) < 60)).sum() / silent.sum())
    assert judge_silence(shut, np.zeros(125, bool)) is None
