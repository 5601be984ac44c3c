"""When somebody speaks: speech of any loudness is found, noise is not, and the curve never cuts or flaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musetalk_core.audio import activity
from musetalk_core.audio.activity import EnergyDetector, bridge, fade, mouth_activity, step_levels
from musetalk_core.errors import MediaError
from musetalk_core.types import AudioClip

RATE = 16_000
STEP = RATE // 50
DETECT = EnergyDetector()
flags = st.lists(st.booleans(), min_size=1, max_size=200).map(np.array)


def noise(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    """White noise of an RMS level in dBFS."""
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * 10 ** (level / 20)


def words(lengths: list[float], gap: float, level: float = -20.0) -> np.ndarray:
    """Buzzing words with digital silence between, before and after; the silence around them is 1 s."""
    parts = [np.zeros(RATE)]
    for length in lengths:
        t = np.arange(int(length * RATE)) / RATE
        tone = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20))
        parts += [tone / np.sqrt((tone**2).mean()) * 10 ** (level / 20), np.zeros(int(gap * RATE))]
    return np.concatenate([*parts, np.zeros(RATE)])


def read_mono(path: Path) -> np.ndarray:
    import librosa

    return librosa.load(path, sr=RATE, mono=True)[0]


def clip(samples: np.ndarray) -> AudioClip:
    return AudioClip(samples.astype(np.float32))


@pytest.mark.parametrize("level", [-100, -80, -65, -50])
def test_a_room_is_silent(level: float) -> None:
    assert not DETECT(noise(10, level), RATE).any()


def test_digital_silence_is_silent() -> None:
    assert (mouth_activity(clip(np.zeros(5 * RATE)), DETECT) == 0).all()


def test_an_offset_and_mains_hum_are_silent() -> None:
    t = np.arange(5 * RATE) / RATE
    assert not DETECT(0.1 + 0.1 * np.sin(2 * np.pi * 50 * t), RATE).any()


@pytest.mark.parametrize("level", [-40, -30, -20, -6])
def test_words_of_any_loudness_are_found_and_the_silence_around_them_is_not(level: float) -> None:
    sound = words([0.3, 0.5, 0.4], 0.1, level)
    speaking = bridge(DETECT(sound, RATE))
    assert speaking[50 : len(speaking) - 55].all()
    assert not speaking[:50].any()
    assert not speaking[-48:].any()


@pytest.mark.parametrize("level", [-30, -20])
def test_words_in_a_noisy_room_are_found(level: float) -> None:
    sound = words([0.3, 0.5, 0.4], 0.6, level)
    speaking = bridge(DETECT(sound + noise(len(sound) / RATE, -50), RATE))
    loud = step_levels(sound, RATE) > -60
    assert (speaking[1:-1] == loud[1:-1]).mean() > 0.98
    assert speaking[loud].mean() > 0.98


@pytest.mark.parametrize(("pause", "open_"), [(0.04, True), (0.14, True), (0.4, False)])
def test_a_short_pause_does_not_close_the_mouth(pause: float, open_: bool) -> None:
    curve = mouth_activity(clip(words([0.5, 0.5], pause)), DETECT)
    middle = curve[80 : 70 + round(pause * 50) + 20]
    assert bool((middle == 1).all()) == open_
    assert bool((middle == 0).any()) != open_


def test_a_click_opens_nothing() -> None:
    sound = np.zeros(3 * RATE)
    sound[RATE : RATE + 40] = 0.5
    assert (mouth_activity(clip(sound), DETECT) == 0).all()


def test_a_held_vowel_is_not_taken_for_noise() -> None:
    speaking = DETECT(words([6.0], 0.1), RATE)
    assert speaking[51:349].all()


@given(flags)
def test_the_curve_is_open_in_speech_leads_it_and_closes_in_time(speaking: np.ndarray) -> None:
    curve = fade(speaking)
    assert curve.dtype == np.float32
    assert ((curve >= 0) & (curve <= 1)).all()
    for k, value in enumerate(curve):
        if speaking[max(0, k - 1) : k + 3].any():  # in speech, 20 ms after it, 40 ms before it
            assert value == 1
        if not speaking[max(0, k - 4) : k + 7].any():  # 80 ms after it, 120 ms before it
            assert value == 0
    assert (np.abs(np.diff(curve)) <= 0.25 + 1e-6).all()


@given(flags)
def test_bridging_leaves_only_long_pauses_and_long_speech(speaking: np.ndarray) -> None:
    joined = bridge(speaking)
    edges = np.flatnonzero(np.diff(joined.astype(int))) + 1
    runs = np.split(joined, edges)
    for run in runs[1:-1]:
        assert len(run) >= (activity.SHORTEST_SPEECH if run[0] else activity.SHORTEST_PAUSE)
    assert (bridge(joined) == joined).all()


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 639, 16_000])
def test_a_sound_of_any_length_has_whole_steps(samples: int) -> None:
    assert mouth_activity(clip(np.zeros(samples)), DETECT).shape == (max(1, samples // 320),)


def test_a_very_short_loud_sound_is_speech() -> None:
    assert (mouth_activity(clip(noise(0.02, -20)), DETECT) == 1).all()


def test_any_detector_can_be_used_and_is_checked() -> None:
    sound = clip(np.zeros(RATE))
    assert (mouth_activity(sound, lambda samples, rate: np.ones(50, bool)) == 1).all()
    with pytest.raises(MediaError, match=r"\(49,\)"):
        mouth_activity(sound, lambda samples, rate: np.ones(49, bool))


def test_a_rate_without_whole_steps_is_refused() -> None:
    with pytest.raises(MediaError, match="22051"):
        DETECT(np.zeros(1000), 22_051)


SPEECH = [
    "audio/jfk.flac",
    "audio/librispeech_198-209-0000.ogg",
    "audio/librispeech_3436-172162-0000.ogg",
    "audio/librispeech_5703-47212-0000.ogg",
    "video/grid_s1_heldout.flac",
]


@pytest.mark.parametrize("name", SPEECH)
@pytest.mark.parametrize("level", [None, -40.0])
def test_inserted_silence_and_room_noise_close_the_mouth_and_cost_no_speech(
    assets: Path, name: str, level: float | None
) -> None:
    speech = read_mono(assets / name)[: 20 * RATE]
    if level is not None:
        speech = speech * 10 ** (level / 20) / np.sqrt((speech**2).mean())
    at, then = len(speech) // 3 // STEP * STEP, len(speech) // 2 // STEP * STEP
    holed = [speech[:at], np.zeros(2 * RATE), speech[at:then], noise(2, -50), speech[then:]]
    curve = mouth_activity(clip(np.concatenate(holed)), DETECT)
    before = bridge(DETECT(speech, RATE))
    quiet, noisy = at // STEP, then // STEP + 100
    for start in (quiet, noisy):
        assert (curve[start + 4 : start + 94] == 0).all()  # closed 80 ms in, until 120 ms before the speech goes on
    kept = np.concatenate([curve[:quiet], curve[quiet + 100 : noisy], curve[noisy + 100 :]])
    still_open = (kept[: len(before)][before] == 1).mean()
    print(f"{name} at {level or 'its own level'}: {before.mean():.0%} speech, {still_open:.1%} of it open")  # noqa: T201
    assert still_open > 0.96


def test_the_onsets_of_real_sentences_are_not_clipped(assets: Path) -> None:
    """Before each sentence's first loud 40 ms (25 dB below its peak) the mouth has been open for 40 ms."""
    sound = read_mono(assets / "video/grid_s1_heldout.flac")
    curve, level = mouth_activity(clip(sound), DETECT), step_levels(sound, RATE)
    for sentence in range(20):
        part = slice(150 * sentence, 150 * sentence + 150)
        loud = level[part] > level[part].max() - 25
        first, last = np.flatnonzero(loud[:-1] & loud[1:])[[0, -1]] + 150 * sentence
        assert (curve[first - 2 : first + 3] == 1).all()
        assert curve[last] == 1
    print(f"GRID: {(curve == 0).mean():.0%} of the steps closed, {(curve == 1).mean():.0%} open")  # noqa: T201
    assert 0.3 < (curve == 0).mean() < 0.6
