"""What travels in the package to try things out with."""

from __future__ import annotations

import numpy as np

from musetalk_core.audio.activity import EnergyDetector
from musetalk_core.audio.read import read_audio
from musetalk_core.portraits.sample import sample_speech
from musetalk_core.types import ENCODER_HZ, SPEECH_RATE


def test_the_speech_is_six_seconds_with_silence_around_the_words() -> None:
    clip = read_audio(sample_speech())
    assert len(clip.samples) == 6 * SPEECH_RATE
    assert 0.3 < np.abs(clip.samples).max() < 0.95
    speaks = EnergyDetector()(clip.samples, SPEECH_RATE)
    assert not speaks[: ENCODER_HZ // 10].any()
    assert not speaks[-ENCODER_HZ // 5 :].any()
    assert speaks.mean() > 0.7
