"""The sound features that close the mouth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..types import ENCODER_HZ, SPEECH_RATE
from .windows import LAYERS, WINDOW_STEPS

if TYPE_CHECKING:
    import torch

    from ..models.whisper import WhisperEncoder

SENTENCE_SECONDS = 3  # one babbled sentence with its share of silence
TALK_SECONDS = 1.6  # of which this much is babble
SENTENCES = 10  # fill the 30 s that Whisper hears
ROOM_NOISE = -60.0  # dBFS; a quiet room
LOWEST_HZ = 50.0  # the room's noise falls by 3 dB an octave from here up, as rooms' noise does
CONSONANT = 0.25  # share of a syllable that is hiss before it becomes a vowel
HISS = 0.3  # of the vowel's peak
PEAK = 0.4  # of full scale; a voice close to the microphone


def closed_mouth(encoder: WhisperEncoder) -> torch.Tensor:
    """The window of features that closes the mouth, made with the encoder itself.

    Whisper hears silence as such only beside speech. Six linear readouts of speech and loudness, fitted on 240 s of one
    speaker's features and scaled so that his pauses are 0 and his speech is 1, call thirty seconds of digital silence
    0.3 to 0.5 open and noise alone the same; digital silence pasted into other people's speech 0.15 to 0.3; and the
    pauses of this babble of syllables in a quiet room -0.08 to 0.14. So it is the mean over those pauses. The babble
    was chosen by these readouts, so the last figure is a fit; how far a painted mouth closes, only its model can tell.

    Args:
        encoder: the encoder of the speech to be closed.

    Returns:
        (50, D) float32 on the CPU.
    """
    import torch

    steps = encoder.encode(babble())
    hop = SENTENCE_SECONDS * ENCODER_HZ
    pauses = [steps[at - WINDOW_STEPS // 2 : at + WINDOW_STEPS // 2] for at in range(hop, SENTENCES * hop, hop)]
    return torch.stack(pauses).mean(dim=0).reshape(WINDOW_STEPS * LAYERS, -1)  # (10, 5, D) -> (50, D)


def babble() -> np.ndarray:
    """Sentences of meaningless syllables with pauses between them, in a quiet room; always the same sound.

    Returns:
        (480000,) float32 at 16 kHz: sentence k lies in the middle of seconds 3k to 3k + 3.
    """
    random = np.random.default_rng(1)
    sound = _room(random, SENTENCES * SENTENCE_SECONDS * SPEECH_RATE)
    for sentence in range(SENTENCES):
        start = int((sentence + 0.5) * SENTENCE_SECONDS * SPEECH_RATE - TALK_SECONDS * SPEECH_RATE / 2)
        stop = start + int(TALK_SECONDS * SPEECH_RATE)
        while start < stop:
            syllable = _syllable(random)[: stop - start]
            sound[start : start + len(syllable)] += syllable
            start += len(syllable)
    return sound.astype(np.float32)


def _room(random: np.random.Generator, samples: int) -> np.ndarray:
    """The noise of a quiet room, (samples,)."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1 / SPEECH_RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies / LOWEST_HZ, 1)), samples)
    return np.asarray(noise * 10 ** (ROOM_NOISE / 20) / noise.std())


def _syllable(random: np.random.Generator) -> np.ndarray:
    """A hiss, then harmonics of a man's pitch under two formants; it swells and fades."""
    samples = int(random.uniform(0.15, 0.3) * SPEECH_RATE)
    pitch, low, high = random.uniform(100, 140), random.uniform(350, 800), random.uniform(900, 2200)  # Hz
    frequencies = pitch * np.arange(1, int(4000 / pitch))[:, None]  # (harmonics, 1) Hz
    gains = 1 / (1 + ((frequencies - low) / 120) ** 2) + 0.6 / (1 + ((frequencies - high) / 160) ** 2) + 0.02
    phases = 2 * np.pi * frequencies * np.arange(samples) / SPEECH_RATE + random.uniform(
        0, 2 * np.pi, frequencies.shape
    )
    wave = (gains * np.sin(phases)).sum(axis=0)
    wave /= np.abs(wave).max()
    hiss = int(CONSONANT * samples)
    wave[:hiss] = HISS * random.standard_normal(hiss)
    wave *= np.hanning(samples)
    return np.asarray(wave * (PEAK / np.abs(wave).max()))
