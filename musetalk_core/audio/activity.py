"""When somebody speaks, and how far the mouth follows: lips that close when nobody does.

A voice detector says for each step of 20 ms whether there is speech; here that becomes a smooth curve which is fully
open before a word begins and closed soon after it ends. The whole sound is known, so the curve looks ahead: it opens
early instead of clipping the first consonant, and does not close for the short gaps between words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import MediaError
from ..types import ENCODER_HZ, AudioClip

# All in steps of 20 ms.
SHORTEST_PAUSE = 10  # gaps inside a sentence (plosives, a quick breath: up to about 150 ms) keep the mouth going
SHORTEST_SOUND = 2  # a single step is a click; dropped first, so that clicks do not bridge a silence
SHORTEST_SPEECH = 4  # what is still alone after the gaps are closed is a cough or a key, not a word
LEAD = 2  # the mouth follows fully this long before the first sound is loud enough to be detected
FADE_IN = 4  # steps between closed and open, before the lead: 120 ms from the first movement to the sound
HANG = 1  # the mouth follows fully this long after the last loud step
FADE_OUT = 3  # steps between open and closed after it: closed 80 ms after the last loud step, <= 120 ms with rounding

# Levels in dBFS of 20 ms RMS, 0 being a full-scale square wave.
DIGITAL_SILENCE = -120.0
SPEECH_FROM_BIN = 2  # bins of 50 Hz: leaves out the offset, mains hum and rumble
NOISE_SPAN = 80  # steps: a level that is never left for 1.6 s is room noise, not speech (speech has dips)
SMOOTH_SPAN = 3  # steps; the noise floor follows the level of 60 ms
SPEECH_RANGE = 32.0  # dB from the loudest speech to the softest; what is softer is breath, cloth and chairs
NOISE_BELOW_SPEECH = 20.0  # dB below the loudest speech that a noise floor can reach: a held vowel is no noise
LOUDEST_NOISE_GATE = -44.0  # dBFS; a steady level above it counts as sound unless the speech is much louder
HYSTERESIS = 3.0  # dB lower than its beginning that speech may fall before it counts as ended


class VoiceActivity(Protocol):
    """Tells speech from silence: ours by energy, or any other detector."""

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Whether there is speech in each step of 20 ms.

        Args:
            samples: (S,) float32 mono.
            rate: samples a second.

        Returns:
            (T,) bool, T = max(1, S * 50 // rate).
        """


@dataclass(frozen=True)
class EnergyDetector:
    """Finds speech by its level above the room's noise.

    The threshold follows the noise floor of the surrounding second, so speech over an air conditioner and whispering
    in a quiet room are both found.

    Args:
        silence_level: dBFS, below it is always silence.
        noise_margin: dB above the noise floor at which speech begins.
    """

    silence_level: float = -58.0
    noise_margin: float = 9.0

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Whether there is speech in each step (see `VoiceActivity`)."""
        return self.speaking(step_levels(samples, rate))

    def speaking(self, level: np.ndarray) -> np.ndarray:
        """Whether there is speech in each step, by its level (`step_levels`); (T,) bool."""
        smooth = 10 * np.log10(_sliding(10 ** (level / 10), SMOOTH_SPAN, np.mean))
        noise = _sliding(
            _sliding(smooth, NOISE_SPAN, np.min), NOISE_SPAN, np.max
        )  # the level that a second never leaves
        loudest = float(np.percentile(smooth, 99))
        lower = max(self.silence_level, loudest - SPEECH_RANGE)
        upper = max(loudest - NOISE_BELOW_SPEECH, LOUDEST_NOISE_GATE)
        begins = np.maximum(lower, np.minimum(noise + self.noise_margin, upper))
        return _hysteresis(level >= begins, level >= begins - HYSTERESIS)


def step_levels(samples: np.ndarray, rate: int) -> np.ndarray:
    """The sound's level in each step of 20 ms, from 100 Hz up.

    Args:
        samples: (S,) float32 mono.
        rate: samples a second, a multiple of 50.

    Returns:
        (T,) dBFS, T = max(1, S * 50 // rate).

    Raises:
        MediaError: the rate is no multiple of 50.
    """
    if rate % ENCODER_HZ:
        raise MediaError(f"A sound of {rate} samples a second has no whole steps of 20 ms.", "Resample it to 16000.")
    size = rate // ENCODER_HZ
    count = max(1, len(samples) // size)
    whole = np.zeros(count * size, np.float32)
    whole[: len(samples)] = samples[: count * size]
    bins = np.fft.rfft(whole.reshape(count, size))[:, SPEECH_FROM_BIN:]
    power = 2 * (np.abs(bins) ** 2).sum(axis=1) / size**2
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (DIGITAL_SILENCE / 10))))


def mouth_activity(clip: AudioClip, voice: VoiceActivity) -> np.ndarray:
    """How far the mouth follows the sound at each step.

    Args:
        clip: the whole sound; a part of it would move the noise floor.
        voice: tells speech from silence.

    Returns:
        (T,) float32 in 0..1: 1 from 40 ms before each stretch of speech, 0 from 80 ms after it, fades beside them.

    Raises:
        MediaError: the detector gives another number of steps than the sound has.
    """
    speaking = np.asarray(voice(clip.samples, clip.rate), bool)
    steps = max(1, len(clip.samples) * ENCODER_HZ // clip.rate)
    if speaking.shape != (steps,):
        raise MediaError(f"The voice detector gave {speaking.shape} values for a sound of {steps} steps of 20 ms.")
    return fade(bridge(speaking))


def bridge(speaking: np.ndarray) -> np.ndarray:
    """Speech without its short gaps and without lone clicks, (T,) bool."""
    clean = _drop_short(speaking, SHORTEST_SOUND)
    for start, stop in _runs(~clean):
        if stop - start < SHORTEST_PAUSE and start > 0 and stop < len(clean):
            clean[start:stop] = True
    return _drop_short(clean, SHORTEST_SPEECH)


def going_on(speaking: np.ndarray) -> np.ndarray:
    """`bridge` for speech whose end is not there yet, (T,) bool: what may still become speech counts as speech.

    The newest pause may be a short one, and the newest sound the beginning of a word, unless it is a lone click.
    """
    heard = np.concatenate([speaking, np.ones(SHORTEST_SPEECH, bool)])
    newest = heard[-SHORTEST_SPEECH - SHORTEST_SOUND : -SHORTEST_SPEECH]
    if not newest[:-1].any():
        newest[-1] = False  # a click, until a second step follows
    return bridge(heard)[: len(speaking)]


def fade(speaking: np.ndarray) -> np.ndarray:
    """Speech or silence as a curve that moves without jumps, (T,) float32 in 0..1."""
    count = len(speaking)
    steps = np.arange(count)
    # Far away is any distance at which both fades have ended.
    far = LEAD + FADE_IN + HANG + FADE_OUT + 2
    last = np.maximum.accumulate(np.where(speaking, steps, -far))
    following = np.minimum.accumulate(np.where(speaking, steps, count + far)[::-1])[::-1]
    opening = 1 - (following - steps - LEAD) / (FADE_IN + 1)
    closing = 1 - (steps - last - HANG) / (FADE_OUT + 1)
    return np.asarray(np.clip(np.maximum(opening, closing), 0, 1)).astype(np.float32)


def _hysteresis(begins: np.ndarray, goes_on: np.ndarray) -> np.ndarray:
    """Stretches that go on, as far as they hold a step loud enough to begin, (T,) bool."""
    speaking = np.zeros_like(begins)
    for start, stop in _runs(goes_on):
        speaking[start:stop] = begins[start:stop].any()
    return speaking


def _drop_short(flags: np.ndarray, shortest: int) -> np.ndarray:
    """The flags without stretches shorter than `shortest`; a sound that is shorter as a whole is left alone."""
    kept = flags.copy()
    for start, stop in _runs(flags):
        if stop - start < min(shortest, len(flags)):
            kept[start:stop] = False
    return kept


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and end (exclusive) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _sliding(values: np.ndarray, span: int, reduce: Callable[..., Any]) -> np.ndarray:
    """`reduce` over `span` values around each value; the ends are repeated outwards."""
    padded = np.pad(values, (span // 2, span - 1 - span // 2), mode="edge")
    return np.asarray(reduce(np.lib.stride_tricks.sliding_window_view(padded, span), axis=1))
