"""Sound as it is pushed: at once for the features (16 kHz) and for the listener, on one time line."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..audio.resample import StreamResampler, mono
from ..audio.stream import SampleQueue, SpeechStream
from ..audio.windows import window_start
from ..errors import MediaError
from ..types import SPEECH_RATE

RATES = 4_000, 384_000  # samples a second that are taken


def checked(pcm: np.ndarray, rate: int) -> np.ndarray:
    """Sound as it is pushed, as mono.

    Args:
        pcm: (n,) or (C, n), float in -1..1 or integer; NaN and infinite samples become silence.
        rate: samples a second.

    Returns:
        (n,) float32 in -1..1.

    Raises:
        MediaError: another shape, type or rate.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise MediaError(f"Sound of {rate} samples a second cannot be used.", f"Use {RATES[0]} to {RATES[1]}.")
    return mono(np.asarray(pcm))


class SoundIn:
    """One stretch of sound without end, from its first sample on; where nothing was pushed in time there is silence.

    Args:
        stream: hears it.
        rate: samples a second for the listener.
    """

    def __init__(self, stream: SpeechStream, rate: int) -> None:
        self.stream = stream
        self._rate = rate
        self._heard = StreamResampler(SPEECH_RATE, SPEECH_RATE)
        self._played = StreamResampler(rate, rate)
        self._pushed_rate = 0  # of the resamplers; 0 before the first push and after silence
        self._queue = SampleQueue()
        self.silence = 0  # samples at 16 kHz that were put in since the last push

    def push(self, samples: np.ndarray, rate: int) -> None:
        """More sound (`checked`); a new rate begins where the old one ends."""
        if rate != self._pushed_rate:
            self._finish()
            self._heard = StreamResampler(rate, SPEECH_RATE)
            self._played = StreamResampler(rate, self._rate)
            self._pushed_rate = rate
        self.silence = 0
        self.stream.push(self._heard.push(samples))
        self._queue.put(self._played.push(samples))

    def pad(self, until: int) -> None:
        """Silence, so that `until` samples at 16 kHz are there for the features."""
        self._finish()
        missing = until - self.stream.received
        if missing > 0:
            self.silence += missing
            self.stream.push(np.zeros(missing, np.float32))
        # Both sides keep the same time, to the sample.
        played = -(-self.stream.received * self._rate // SPEECH_RATE)
        self._queue.put(np.zeros(max(0, played - self._queue.received), np.float32))

    def take(self, until: Fraction) -> np.ndarray:
        """The listener's sound up to a time in seconds, from where the last call ended; (n,) float32."""
        stop = until * self._rate
        count = stop.numerator // stop.denominator - self._queue.taken
        return self._queue.take(count)

    def _finish(self) -> None:
        """Let the samples out that the resamplers keep back."""
        if self._pushed_rate:
            self.stream.push(self._heard.finish())
            self._queue.put(self._played.finish())
            self._pushed_rate = 0


class Utterance:
    """Sound that goes on without end, from a frame on.

    Args:
        sound: what was pushed.
        fps: frames a second.
    """

    def __init__(self, sound: SoundIn, fps: Fraction) -> None:
        self.sound = sound
        self.origin: int | None = None  # its first frame, once that has been cut
        self.waited = 0  # frames that went by before it began
        self._fps = fps

    def window(self, number: int) -> int:
        """The first step of a frame's window."""
        first = number if self.origin is None else self.origin
        return window_start((number - first + Fraction(1, 2)) / self._fps)
