"""Frame counts, source maps and clocks: exact at any rate and any length."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import MediaError
from musetalk_core.timeline import Clock, frames_within, plan

RATES = [Fraction(12), Fraction(15), Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001)]
RATES += [Fraction(30), Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60)]
SOUNDS = [Fraction(s) for s in ("0.02", "0.5", "29.99", "30.01", "61", "600")]
EXTENDING = ("bounce", "loop", "hold")

rates = st.one_of(st.sampled_from(RATES), st.fractions(Fraction(1, 2), 240, max_denominator=100_000))
lengths = st.fractions(Fraction(1, 16000), 900, max_denominator=16000)
time_bases = st.sampled_from([Fraction(1, 90000), Fraction(1, 1000), Fraction(1001, 30000), Fraction(1, 10**9)])


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    """Regular and variable clocks of 1 to 60 frames, of 1 ms to 0.4 s each."""
    if draw(st.booleans()):
        return Clock.regular(draw(st.integers(1, 60)), draw(rates))
    base = draw(time_bases)
    durations = draw(st.lists(st.integers(1, 400), min_size=1, max_size=60))
    ticks = [max(1, math.ceil(Fraction(d, 1000) / base)) for d in durations]
    return Clock(np.concatenate([[0], np.cumsum(np.array(ticks, np.int64))]), base)


@pytest.mark.parametrize("fps", RATES, ids=str)
@pytest.mark.parametrize("seconds", SOUNDS, ids=str)
def test_a_sound_drives_the_nearest_whole_number_of_frames(fps: Fraction, seconds: Fraction) -> None:
    footage = Clock.regular(7, fps)
    wanted = max(1, math.floor(seconds * fps + Fraction(1, 2)))
    for mode in EXTENDING:
        timeline = plan(footage, seconds, mode)
        assert timeline.driven == wanted
        assert len(timeline) == max(7, wanted)
    assert len(plan(footage, seconds, "remap")) == wanted
    if wanted > 1:
        assert abs(wanted / fps - seconds) <= 1 / (2 * fps)


@given(clocks(), lengths)
def test_the_driven_frames_are_those_whose_centre_lies_within_the_sound(clock: Clock, seconds: Fraction) -> None:
    centres = [clock.centre(i) for i in range(len(clock))]
    assert frames_within(clock, seconds) == max(1, sum(centre <= seconds for centre in centres))


@settings(deadline=None)
@given(clocks(), lengths, st.sampled_from(["bounce", "loop", "hold", "remap", "cut_off", "silence"]))
def test_every_plan_is_whole(clock: Clock, seconds: Fraction, mode: str) -> None:
    n = len(clock)
    timeline = plan(clock, seconds, mode)  # type: ignore[arg-type]
    assert len(timeline.source) == len(timeline.clock)
    assert 0 <= timeline.source.min() <= timeline.source.max() < n
    assert 1 <= timeline.driven <= len(timeline)
    if mode in ("cut_off", "silence"):
        assert len(timeline) <= n
        assert (timeline.source == np.arange(len(timeline))).all()
    if mode == "silence":
        assert timeline.driven == len(timeline) == n
    if mode in EXTENDING:
        assert len(timeline) >= n
        assert (timeline.source[:n] == np.arange(n)).all()
        assert timeline.driven == frames_within(timeline.clock, seconds)
    if mode in EXTENDING and seconds > clock.seconds:
        shortest, longest = np.diff(clock.ticks).min() * clock.time_base, np.diff(clock.ticks).max() * clock.time_base
        assert shortest > 0
        assert abs(timeline.clock.seconds - seconds) <= max(longest / 2, clock.seconds - seconds)


@settings(deadline=None)
@given(clocks(), lengths, st.sampled_from(EXTENDING))
def test_an_extended_clip_keeps_each_frames_own_duration(clock: Clock, seconds: Fraction, mode: str) -> None:
    timeline = plan(clock, seconds, mode)  # type: ignore[arg-type]
    assert timeline.clock.time_base == clock.time_base
    assert (np.diff(timeline.clock.ticks) == np.diff(clock.ticks)[timeline.source]).all()


@given(st.integers(1, 9), st.integers(1, 60))
def test_the_three_ways_to_go_on(n: int, frames: int) -> None:
    footage = Clock.regular(n, Fraction(25))
    seconds = Fraction(n + frames, 25)
    total = n + frames
    there_and_back = [*range(n), *range(n - 2, 0, -1)] if n > 1 else [0]
    assert plan(footage, seconds, "bounce").source.tolist() == [
        there_and_back[i % len(there_and_back)] for i in range(total)
    ]
    assert plan(footage, seconds, "loop").source.tolist() == [i % n for i in range(total)]
    assert plan(footage, seconds, "hold").source.tolist() == [min(i, n - 1) for i in range(total)]


@given(clocks(), lengths)
def test_remap_shows_what_stood_at_the_same_share_of_the_footage(clock: Clock, seconds: Fraction) -> None:
    timeline = plan(clock, seconds, "remap")
    frames = len(timeline)
    assert (np.diff(timeline.source) >= 0).all()
    for i in {0, frames // 2, frames - 1}:
        share = Fraction(2 * i + 1, 2 * frames) * clock.seconds
        n = int(timeline.source[i])
        assert int(clock.ticks[n]) * clock.time_base <= share < int(clock.ticks[n + 1]) * clock.time_base


def test_remap_of_hours_in_nanoseconds_stays_exact() -> None:
    base = Fraction(1, 10**9)
    clock = Clock(np.array([0, 5 * 3600 * 10**9, 10 * 3600 * 10**9]), base)
    timeline = plan(clock, Fraction(36_000), "remap")
    assert timeline.source.tolist() == [0, 1][: len(timeline)]
    long = Clock(np.arange(400_001, dtype=np.int64) * 40_000_000, base)  # 4.4 hours at 25 fps
    source = plan(long, long.seconds, "remap").source
    assert (source == np.arange(400_000)).all()


def test_remap_at_the_same_length_is_the_footage_itself() -> None:
    for fps in RATES:
        footage = Clock.regular(333, fps)
        assert (plan(footage, footage.seconds, "remap").source == np.arange(333)).all()


@pytest.mark.parametrize(
    ("sound", "footage", "counts"),
    [
        (3, 10, {"bounce": 250, "loop": 250, "hold": 250, "remap": 75, "cut_off": 75, "silence": 250}),
        (10, 3, {"bounce": 250, "loop": 250, "hold": 250, "remap": 250, "cut_off": 75, "silence": 75}),
    ],
)
def test_sound_and_footage_of_different_length(sound: int, footage: int, counts: dict[str, int]) -> None:
    clock = Clock.regular(footage * 25, Fraction(25))
    assert {mode: len(plan(clock, Fraction(sound), mode)) for mode in counts} == counts  # type: ignore[arg-type]
    assert plan(clock, Fraction(sound), "bounce").driven == sound * 25
    assert plan(clock, Fraction(sound), "cut_off").driven == min(sound, footage) * 25


def test_a_still_image_stands_for_the_whole_sound() -> None:
    for mode in ("bounce", "loop", "hold", "remap"):
        timeline = plan(Clock.regular(1, Fraction(25)), Fraction(4), mode)  # type: ignore[arg-type]
        assert timeline.source.tolist() == [0] * 100


def test_no_drift_over_ten_minutes_of_variable_rate() -> None:
    durations = np.tile([33, 34, 33, 50, 17], 3600)
    clock = Clock(np.concatenate([[0], np.cumsum(durations)]), Fraction(1, 1000))
    timeline = plan(clock, clock.seconds, "bounce")
    assert len(timeline) == len(clock) == timeline.driven
    assert (timeline.clock.ticks == clock.ticks).all()


def test_a_clock_knows_its_rate() -> None:
    ntsc = Clock.regular(300, Fraction(30000, 1001))
    assert ntsc.fps == Fraction(30000, 1001)
    assert ntsc.seconds == Fraction(1001, 100)
    assert not ntsc.variable
    assert Clock(np.array([0, 1, 3]), Fraction(1, 25)).variable
    assert ntsc.centre(0) == Fraction(1001, 60000)


@pytest.mark.parametrize("ticks", [[0], [1, 2], [0, 2, 2], [0, 3, 1]])
def test_a_clock_that_stands_or_runs_back_is_refused(ticks: list[int]) -> None:
    with pytest.raises(MediaError, match="frame times"):
        Clock(np.array(ticks), Fraction(1, 25))


@pytest.mark.parametrize("seconds", [Fraction(0), Fraction(-1)])
def test_no_sound_is_refused(seconds: Fraction) -> None:
    with pytest.raises(MediaError, match="no samples"):
        plan(Clock.regular(3, Fraction(25)), seconds, "bounce")
