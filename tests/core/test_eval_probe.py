"""The sync probe: it finds a planted shift, calls noise noise, and reads real speech as published."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk_core.audio.mel import PROBE_MEL, SYNCNET_MEL, mel_levels, syncnet_mel
from musetalk_core.errors import MediaError
from musetalk_core.eval.probe import Recording, clip_lags, sync_probe
from musetalk_core.timeline import Clock
from musetalk_core.types import AudioClip

FPS = Fraction(25)


def talk(seconds: int, seed: int, late_ms: int = 0) -> Recording:
    """A mouth whose opening is the loudness of its sound, which comes `late_ms` after it."""
    rng = np.random.default_rng(seed)
    frames = seconds * 25
    knots = np.clip(rng.normal(0.5, 0.5, seconds * 6 + 2), 0, 1)
    fine = np.interp(np.arange(seconds * 16_000) / 16_000 * 6, np.arange(len(knots)), knots)
    sound = np.roll(fine, late_ms * 16) * rng.normal(0, 0.2, len(fine))
    opening = 0.08 * fine[320::640][:frames] + rng.normal(0, 0.003, frames)
    return Recording(opening, Clock.regular(frames, FPS), AudioClip(sound.astype(np.float32)))


@pytest.mark.parametrize("late_ms", [0, 120, -80])
def test_planted_shift_is_found(late_ms: int) -> None:
    result = sync_probe([talk(30, 1, late_ms)])
    assert result is not None
    assert result.peak_ms == pytest.approx(late_ms, abs=20)
    assert result.peak_r2 > 0.5
    assert result.chance < 0.1


def test_a_mouth_that_ignores_the_sound_gets_nothing() -> None:
    told, other = talk(30, 2), talk(30, 3)
    result = sync_probe([Recording(told.opening, told.clock, other.sound)])
    assert result is not None
    assert result.peak_ms is None
    assert result.peak_r2 < 0.1


def test_short_or_still_clips_are_not_judged() -> None:
    short = talk(5, 4)
    assert sync_probe([short]) is None
    assert sync_probe([short, talk(5, 5)]) is not None
    still = talk(30, 6)
    assert sync_probe([Recording(np.full(750, 0.01), still.clock, still.sound)]) is None
    with pytest.raises(MediaError):
        sync_probe([])


def test_missing_frames_change_little() -> None:
    whole = talk(30, 7)
    holes = whole.opening.copy()
    holes[100:300] = np.nan
    result = sync_probe([Recording(holes, whole.clock, whole.sound)])
    assert result is not None
    assert result.frames == 550
    assert result.peak_ms == pytest.approx(0, abs=20)


def test_clip_lags_names_the_clip_that_is_off() -> None:
    clips = [talk(3, 20 + k) for k in range(9)] + [talk(3, 40, 160)]
    lags = clip_lags(clips)
    assert all(lag is not None and abs(lag) <= 40 for lag in lags[:9])
    assert lags[9] == pytest.approx(160, abs=40)
    with pytest.raises(MediaError):
        clip_lags(clips[:2])


def test_spectra_do_not_depend_on_their_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from musetalk_core.audio import mel

    clip = talk(3, 8).sound
    whole = [mel_levels(clip), syncnet_mel(clip)]
    monkeypatch.setattr(mel, "PIECE_SECONDS", 1)
    for one, pieces in zip(whole, [mel_levels(clip), syncnet_mel(clip)], strict=True):
        np.testing.assert_allclose(one, pieces, atol=1e-3)
    assert whole[0].shape == (301, PROBE_MEL.bands)
    assert whole[1].shape == (241, SYNCNET_MEL.bands)
    assert np.abs(whole[1]).max() <= 4


def test_a_tone_lies_in_its_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    level = mel_levels(AudioClip(tone))[50]
    from librosa import mel_frequencies

    centres = mel_frequencies(n_mels=PROBE_MEL.bands + 2, fmin=PROBE_MEL.low, fmax=PROBE_MEL.high)[1:-1]
    assert abs(centres[level.argmax()] - 1000) < 100


@pytest.mark.slow
def test_real_speech_reads_as_published(assets: Path) -> None:
    from musetalk_core.audio.read import read_audio
    from musetalk_core.eval.mouth import mouth_curves
    from musetalk_core.face.crop import CropOptions
    from musetalk_core.face.track import TrackOptions, track_faces
    from musetalk_core.progress import SilentProgress
    from musetalk_core.video.read import open_footage

    footage = open_footage(assets / "video" / "grid_s1_heldout.mp4")
    sound = read_audio(assets / "video" / "grid_s1_heldout.flac")
    opening = mouth_curves(track_faces(footage, TrackOptions(), CropOptions(), SilentProgress())[0]).opening
    result = sync_probe([Recording(opening, footage.clock, sound)])
    assert result is not None
    assert 0.5 < result.r2_at_zero < 0.75
    assert result.peak_ms == pytest.approx(0, abs=20)
    assert max(result.r2[0], result.r2[-1]) < 0.3
    for late in (120, -120):
        moved = AudioClip(np.roll(sound.samples, late * 16))
        shifted = sync_probe([Recording(opening, footage.clock, moved)])
        assert shifted is not None
        assert shifted.peak_ms == pytest.approx(result.peak_ms + late, abs=20)
