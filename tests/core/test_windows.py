"""Audio windows: exact at any rate, equal to the released ones where those are right, raw where somebody speaks."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.audio import windows
from musetalk_core.errors import GenerationError, OptionError
from musetalk_core.timeline import Clock, plan
from musetalk_core.types import Speech

RATES = [Fraction(12), Fraction(15), Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001)]
RATES += [Fraction(30), Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60)]
SOUNDS = [Fraction(s) for s in ("0.02", "0.5", "29.99", "30.01", "61", "600")]
D = 6


def make_speech(seconds: Fraction, **changes: Any) -> Speech:
    """Random features of a sound, all active unless changed."""
    total = windows.count_steps(seconds)
    generator = torch.Generator().manual_seed(3)
    values: dict[str, Any] = {
        "steps": torch.randn(total, 5, D, generator=generator),
        "activity": np.ones(total, np.float32),
        "rest": torch.full((50, D), 7.0),
        "seconds": seconds,
        "fps": Fraction(25),
        "sync_mode": "bounce",
        "encoder": "random",
    }
    return Speech(**{**values, **changes})


def released_tokens(steps: torch.Tensor, seconds: float, fps: int) -> torch.Tensor:
    """The released arithmetic, written out: zero vectors around the sound, then slices. (F, 50, D)"""
    per_frame = math.ceil(50 / fps)
    before, after = 2 * per_frame, 6 * per_frame
    width = steps.shape[-1]
    padded = torch.cat([torch.zeros(before, 5, width), steps, torch.zeros(after, 5, width)])
    frames = []
    for i in range(math.floor(seconds * fps)):
        first = i * 50 // fps
        frames.append(padded[first : first + 10].reshape(50, width))
    return torch.stack(frames)


@pytest.mark.parametrize("fps", RATES, ids=str)
@pytest.mark.parametrize("seconds", SOUNDS, ids=str)
def test_the_window_is_never_more_than_10_ms_off_and_never_drifts(fps: Fraction, seconds: Fraction) -> None:
    clock = plan(Clock.regular(1, fps), seconds, "hold").clock
    starts = windows.window_starts(clock)
    assert starts.dtype == np.int64
    errors = [Fraction(int(start) + 5, 50) - clock.centre(i) for i, start in enumerate(starts)]
    assert max(map(abs, errors)) <= Fraction(1, 100)
    third = max(1, len(errors) // 3)
    if len(errors) > 300:  # the mean error of the first and of the last third agree: nothing adds up
        assert abs(sum(errors[:third]) - sum(errors[-third:])) / third < Fraction(1, 1000)


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), st.integers(1, 10**12), st.integers(1, 10**12))
def test_any_clock_gets_the_nearest_window(durations: list[int], numerator: int, denominator: int) -> None:
    clock = Clock(np.concatenate([[0], np.cumsum(np.array(durations))]), Fraction(numerator, denominator))
    if clock.seconds * 50 > 2**62:
        return
    for i, start in enumerate(windows.window_starts(clock)):
        assert int(start) == math.floor(clock.centre(i) * 50 + Fraction(1, 2)) - 5


def test_ten_hours_at_an_odd_rate_do_not_overflow() -> None:
    clock = Clock.regular(100, Fraction(29_970_029, 1_000_001))
    shifted = Clock(np.concatenate([[0], clock.ticks[1:] + 36_000 * 30]), clock.time_base)
    nanoseconds = Clock(np.array([0, 36_000 * 10**9, 36_000 * 10**9 + 40_000_000]), Fraction(1, 10**9))
    for one in (shifted, nanoseconds):
        last = len(one) - 1
        assert abs(Fraction(int(windows.window_starts(one)[last]) + 5, 50) - one.centre(last)) <= Fraction(1, 100)


def test_at_25_fps_both_layouts_are_2i_minus_4() -> None:
    clock = Clock.regular(1500, Fraction(25))
    wanted = 2 * np.arange(1500) - 4
    assert (windows.window_starts(clock) == wanted).all()
    assert (windows.released_window_starts(1500, Fraction(25)) == wanted).all()


@pytest.mark.parametrize("seconds", [Fraction(1, 2), Fraction(3), Fraction(479_999, 16000), Fraction(30)], ids=str)
def test_released_equals_the_released_windows_at_25_fps(seconds: Fraction) -> None:
    speech = make_speech(seconds, layout="released")
    wanted = released_tokens(speech.steps, float(seconds), 25)
    frames = windows.released_frame_count(seconds, Fraction(25))
    assert frames == len(wanted)
    clock = Clock.regular(frames, Fraction(25))
    assert torch.equal(windows.tokens(speech, windows.speech_starts(speech, clock)), wanted)


@pytest.mark.parametrize("fps", [12, 15, 20, 24, 25, 29, 30, 48])
def test_released_repeats_the_released_windows_at_every_rate_it_ran_at(fps: int) -> None:
    speech = make_speech(Fraction(61, 10), layout="released")
    wanted = released_tokens(speech.steps, 6.1, fps)
    starts = windows.released_window_starts(len(wanted), Fraction(fps))
    assert torch.equal(windows.tokens(speech, starts), wanted)


def test_released_cuts_the_rate_to_an_integer() -> None:
    assert windows.released_frame_count(Fraction(60), Fraction(30000, 1001)) == 29 * 60
    ntsc = windows.released_window_starts(99, Fraction(30000, 1001))
    assert (ntsc == windows.released_window_starts(99, Fraction(29))).all()


def test_released_needs_a_frame_a_second() -> None:
    with pytest.raises(OptionError, match=r"0\.5 frames a second"):
        windows.released_window_starts(3, Fraction(1, 2))


def test_the_token_order_is_step_times_5_plus_layer() -> None:
    steps = torch.arange(100 * 5).reshape(100, 5, 1).expand(-1, -1, D).float()
    speech = make_speech(Fraction(2), steps=steps)
    window = windows.tokens(speech, np.array([20]))
    assert torch.equal(window[0, :, 0], torch.arange(100.0, 150.0))


def test_outside_the_sound_are_zero_vectors() -> None:
    speech = make_speech(Fraction(1))
    before, after = windows.tokens(speech, np.array([-4, 46])).reshape(2, 10, 5, D)
    assert (before[:4] == 0).all()
    assert torch.equal(before[4:], speech.steps[:6])
    assert torch.equal(after[:4], speech.steps[46:])
    assert (after[4:] == 0).all()


def test_a_window_after_the_sound_is_closed() -> None:
    speech = make_speech(Fraction(1))
    assert torch.equal(windows.tokens(speech, np.array([50, 51, 900])), speech.rest.expand(3, -1, -1))


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_a_sound_that_speaks_throughout_gives_the_raw_features(fps: Fraction) -> None:
    seconds = Fraction(20_011, 16_000)
    speech = make_speech(seconds)
    clock = plan(Clock.regular(1, fps), seconds, "hold").clock
    starts = windows.speech_starts(speech, clock)
    raw = torch.zeros(len(starts), 10, 5, D)
    for frame, start in enumerate(starts):
        for step in range(10):
            if 0 <= start + step < len(speech.steps):
                raw[frame, step] = speech.steps[start + step]
    assert torch.equal(windows.tokens(speech, starts), raw.reshape(-1, 50, D))
    assert (windows.frame_activity(speech, clock) == 1).all()


def test_activity_mixes_the_whole_window_by_its_centre() -> None:
    activity = np.ones(50, np.float32)
    activity[25:] = 0
    speech = make_speech(Fraction(1), activity=activity)
    starts = np.array([19, 20, 21])  # centres at steps 24, 25 (between an open and a closed step) and 26
    assert windows.window_activity(speech, starts).tolist() == [1, 0.5, 0]
    open_, half, closed = windows.tokens(speech, starts)
    assert torch.equal(open_, speech.steps[19:29].reshape(50, D))
    torch.testing.assert_close(half, (speech.steps[20:30].reshape(50, D) + speech.rest) / 2)
    assert torch.equal(closed, speech.rest)


@settings(deadline=None)
@given(st.fractions(Fraction(1, 16000), 8, max_denominator=16000), st.sampled_from(RATES), st.data(), st.booleans())
def test_a_part_of_the_steps_gives_the_same_tokens(
    seconds: Fraction, fps: Fraction, data: st.DataObject, released: bool
) -> None:
    total = windows.count_steps(seconds)
    activity = np.random.default_rng(0).random(total).astype(np.float32)
    speech = make_speech(seconds, activity=activity, layout="released" if released else "centred")
    clock = Clock.regular(int(10 * fps), fps)
    starts = windows.speech_starts(speech, clock)
    a = data.draw(st.integers(0, len(starts) - 1))
    b = data.draw(st.integers(a + 1, len(starts)))
    first, last = windows.step_range(starts[a:b], seconds)
    assert 0 <= first <= last <= total
    part = make_speech(
        seconds, steps=speech.steps[first:last], activity=activity[first:last], first_step=first, layout=speech.layout
    )
    assert torch.equal(windows.tokens(part, starts[a:b]), windows.tokens(speech, starts)[a:b])
    assert (windows.window_activity(part, starts[a:b]) == windows.frame_activity(speech, clock)[a:b]).all()


def test_steps_that_were_not_encoded_are_refused() -> None:
    speech = make_speech(Fraction(2))
    part = make_speech(Fraction(2), steps=speech.steps[20:60], activity=speech.activity[20:60], first_step=20)
    for start in (19, 51):
        with pytest.raises(GenerationError, match="only 20 to 59 were encoded"):
            windows.tokens(part, np.array([start]))


@pytest.mark.parametrize(
    ("seconds", "steps"), [(Fraction(1, 16000), 1), (Fraction(1, 50), 1), (Fraction(59, 1000), 2), (Fraction(30), 1500)]
)
def test_a_sound_has_whole_steps_but_at_least_one(seconds: Fraction, steps: int) -> None:
    assert windows.count_steps(seconds) == steps
