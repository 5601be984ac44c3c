"""Mel spectra of a sound: what the sync probe and SyncNet hear. Computed in pieces, so memory follows the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import AudioClip

PIECE_SECONDS = 30  # spectra are computed for this much sound at a time (about 10 MB)
QUIET_DB = -100.0  # floor of a level; digital silence would be minus infinity


@dataclass(frozen=True, slots=True)
class MelLayout:
    """How a spectrum is cut and weighted.

    Args:
        window: samples of one Hann window, also the length of the transform.
        hop: samples from one window's centre to the next; the first centre is at sample 0.
        bands: number of mel bands.
        low, high: Hz of the outermost band edges.
    """

    window: int
    hop: int
    bands: int
    low: float
    high: float


PROBE_MEL = MelLayout(window=400, hop=160, bands=40, low=60.0, high=7600.0)  # 25 ms every 10 ms
SYNCNET_MEL = MelLayout(window=800, hop=200, bands=80, low=55.0, high=7600.0)  # Wav2Lip's and LatentSync's spectrum
PRE_EMPHASIS = 0.97  # Wav2Lip: y[n] = x[n] - 0.97 x[n - 1]
REFERENCE_DB = 20.0  # Wav2Lip: level that is subtracted before scaling
SYNCNET_LIMIT = 4.0  # Wav2Lip: -100 dB becomes -4, 0 dB becomes +4


def mel_levels(clip: AudioClip, layout: MelLayout = PROBE_MEL) -> np.ndarray:
    """The sound's mel bands in decibels.

    Args:
        clip: S samples.
        layout: windows and bands.

    Returns:
        (S // hop + 1, bands) float32 dB, at least -100; row k is centred at sample k * hop.
    """
    return _mel(clip.samples, clip.rate, layout)


def syncnet_mel(clip: AudioClip) -> np.ndarray:
    """The spectrum that the released SyncNet was trained on.

    Args:
        clip: S samples at 16 kHz.

    Returns:
        (S // 200 + 1, 80) float32 in -4..4, 80 rows a second.

    Source: the audio configuration of LatentSync, which is Wav2Lip's.
    """
    emphasised = clip.samples.copy()
    emphasised[1:] -= PRE_EMPHASIS * clip.samples[:-1]
    level = _mel(emphasised, clip.rate, SYNCNET_MEL) - REFERENCE_DB
    scaled = SYNCNET_LIMIT * (2 * (level - QUIET_DB) / -QUIET_DB - 1)
    return np.clip(scaled, -SYNCNET_LIMIT, SYNCNET_LIMIT)


def _mel(samples: np.ndarray, rate: int, layout: MelLayout) -> np.ndarray:
    """Amplitude spectrum, mel weights, decibels; the sound is padded with zeros by half a window on both sides."""
    import librosa
    from librosa.filters import mel

    weights = mel(sr=rate, n_fft=layout.window, n_mels=layout.bands, fmin=layout.low, fmax=min(layout.high, rate / 2))
    rows = len(samples) // layout.hop + 1
    padded = np.pad(samples, (layout.window // 2, layout.window))
    step = max(1, PIECE_SECONDS * rate // layout.hop)
    result = np.empty((rows, layout.bands), dtype=np.float32)
    for first in range(0, rows, step):
        last = min(rows, first + step)
        piece = padded[first * layout.hop : (last - 1) * layout.hop + layout.window]
        spectrum = librosa.stft(piece, n_fft=layout.window, hop_length=layout.hop, center=False)  # (window/2 + 1, n)
        amplitude = np.maximum((weights @ np.abs(spectrum)).T, 10 ** (QUIET_DB / 20))
        result[first:last] = 20 * np.log10(amplitude)
    return result
