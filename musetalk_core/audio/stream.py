"""From sound that is still arriving to `Speech`: the same features as `encode`, on a fixed grid of stream time.

Every 40 ms the encoder hears what is new, and once more the newest quarter second before it, since those steps now know
more of what follows them. Of older steps it keeps what its layers remember, so no work is repeated. A frame reads its
ten steps from the newest hearing. Positions are those of the offline pieces (`encode`): step k has position k in the
first 25 s and then runs from 250 to 1249 again and again; where a piece begins, its last 5 s are heard afresh. So a
live piece is an offline piece of which the future is not known, for hours.

How the sound is cut into pushes changes nothing: every computation has the shape and the place that the grid gives it.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..models.whisper import HOP, MEL_PER_STEP, QUIETEST, WINDOW, normalised
from ..types import ENCODER_HZ, SPEECH_RATE, Speech
from .activity import FADE_IN, FADE_OUT, EnergyDetector, fade, going_on, step_levels
from .encode import CONTEXT_STEPS, HOP_STEPS, PIECE_STEPS, STEP_SAMPLES, SpeechOptions
from .windows import LAYERS, MIDDLE, WINDOW_STEPS

if TYPE_CHECKING:
    import torch

    from ..models.whisper import WhisperEncoder, WhisperMemory

GRID = 2  # steps of 20 ms from one hearing to the next: one frame at 25 frames a second
AGAIN = 12  # steps that are heard again, beyond the look-ahead: a frame reads 10, and 24 buy nothing
BEFORE = 2  # steps before them that only the convolutions hear
SILENCE_AFTER = 10  # steps of silence after the newest sound: Whisper knows that every sound ends in silence
LEVELS = PIECE_STEPS  # how long the voice detector remembers: 30 s
GRID_SAMPLES = GRID * STEP_SAMPLES
EDGE = WINDOW - HOP  # samples that neighbouring grid cells share in their spectra


class SampleQueue:
    """Samples that wait, first in, first out."""

    def __init__(self) -> None:
        self._pieces: deque[np.ndarray] = deque()
        self.received = 0  # samples ever put in
        self.taken = 0  # samples ever taken out

    def put(self, samples: np.ndarray) -> None:
        """Append (n,) float32 samples."""
        if len(samples):
            self._pieces.append(samples)
            self.received += len(samples)

    def take(self, count: int) -> np.ndarray:
        """The oldest `count` samples, which must be there."""
        parts, missing = [np.zeros(0, np.float32)], count
        while missing:
            piece = self._pieces.popleft()
            if len(piece) > missing:
                self._pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            parts.append(piece)
            missing -= len(piece)
        self.taken += count
        return np.concatenate(parts)


class SpeechStream:
    """The features of one sound while it arrives.

    Args:
        encoder: Whisper.
        fps: frames a second of the video.
        options: silence; layout and sync mode do not apply to a stream.
        rest: the window that closes the mouth (`rest.closed_mouth`).
        look_ahead: steps that are heard beyond a window's end before it is read, 0 to 25.
    """

    def __init__(
        self, encoder: WhisperEncoder, fps: Fraction, options: SpeechOptions, rest: torch.Tensor, look_ahead: int = 0
    ) -> None:
        import torch

        self._encoder = encoder
        self._fps = fps
        self._options = options
        self._rest = rest
        self._look_ahead = look_ahead
        self._detector = EnergyDetector(options.silence_level, options.noise_margin)
        self._samples = SampleQueue()
        self._edge = np.zeros(0, np.float32)  # the newest samples that the next cell's spectra share
        self._cells = 0  # of the grid, whose spectra and levels are known
        self._mel: deque[torch.Tensor] = deque(maxlen=(CONTEXT_STEPS + BEFORE) // GRID)
        self._levels: deque[float] = deque(maxlen=LEVELS)
        self._activity: deque[float] = deque([0.0], maxlen=LEVELS)
        self._decided = 0  # steps whose activity is known; the last of them is self._activity[-1]
        self._piece = -1
        self._loudest = float(np.log10(QUIETEST))
        self._memory: WhisperMemory | None = None
        self._heard = 0  # step at which the newest hearing ended
        self._steps = torch.zeros(0, LAYERS, encoder.width)  # of the newest hearing

    def push(self, samples: np.ndarray) -> None:
        """More sound, (n,) float32 at 16 kHz."""
        self._samples.put(samples)

    @property
    def received(self) -> int:
        """Samples pushed so far."""
        return self._samples.received

    def needed(self, start: int) -> int:
        """How many samples must have been pushed before the window of step `start` can be read."""
        return self._end(start) * STEP_SAMPLES + (WINDOW // 2 - HOP)

    def activity(self, start: int) -> float:
        """How much the window of step `start` follows the sound (1) or rests closed (0); needs no network.

        Args:
            start: at most a few seconds old, and not before an earlier call's by more than that.
        """
        self._listen(self._end(start) // GRID)
        return (self._activity_of(start + MIDDLE - 1) + self._activity_of(start + MIDDLE)) / 2

    def speech(self, start: int) -> Speech:
        """The part of the speech that the window of step `start` reads.

        Args:
            start: first step of the window; its sound has been pushed (`needed`), and it is not before an earlier
                call's.
        """
        end = self._end(start)
        self._listen(end // GRID)
        if end > self._heard:
            self._hear(end)
        first = self._heard - len(self._steps)
        activity = [self._activity_of(step) for step in range(first, self._heard)]
        return Speech(
            steps=self._steps,
            activity=np.array(activity, np.float32),
            rest=self._rest,
            seconds=Fraction(self._heard, ENCODER_HZ),
            fps=self._fps,
            sync_mode=self._options.sync_mode,
            encoder=self._encoder.identity,
            first_step=first,
        )

    def _end(self, start: int) -> int:
        """The step at which the hearing ends that the window of step `start` reads: on the grid."""
        return -(-(start + WINDOW_STEPS + self._look_ahead) // GRID) * GRID

    def _activity_of(self, step: int) -> float:
        return self._activity[min(max(0, step), self._decided - 1) - self._decided]

    def _listen(self, cells: int) -> None:
        """Spectra, levels and activity of the sound up to this cell of the grid."""
        while self._cells < cells:
            if self._cells == 0:
                beginning = self._samples.take(GRID_SAMPLES + EDGE - WINDOW // 2)
                # Source: Whisper's spectra begin with the sound mirrored at its first sample.
                samples = np.concatenate([beginning[WINDOW // 2 : 0 : -1], beginning])
            else:
                samples = np.concatenate([self._edge, self._samples.take(GRID_SAMPLES)])
            self._edge = samples[-EDGE:]
            mel = self._encoder.log_mel(samples)
            self._mel.append(mel)
            self._loudest = max(self._loudest, float(mel.max()))
            # The spectrum of a step begins half a window before it.
            self._levels.extend(step_levels(samples[WINDOW // 2 : WINDOW // 2 + GRID_SAMPLES], SPEECH_RATE).tolist())
            self._cells += 1
            self._decide(self._cells * GRID)

    def _decide(self, end: int) -> None:
        """The activity of the steps that a window which has been heard can have at its centre."""
        wanted = np.ones(LEVELS, np.float32)
        if self._options.close_in_silence:
            wanted = fade(going_on(self._detector.speaking(np.array(self._levels))))
        while self._decided <= end - self._look_ahead - MIDDLE:
            last = self._activity[-1]
            value = float(wanted[self._decided - end])
            self._activity.append(min(max(value, last - 1 / (FADE_OUT + 1)), last + 1 / (FADE_IN + 1)))
            self._decided += 1

    def _hear(self, end: int) -> None:
        """Hidden states of the newest steps up to `end`."""
        import torch

        piece = max(0, (end - self._look_ahead - 1 - CONTEXT_STEPS) // HOP_STEPS)
        origin = piece * HOP_STEPS
        first = max(0, (self._heard - AGAIN - self._look_ahead) // GRID * GRID)
        if self._memory is None or piece != self._piece or end - first > CONTEXT_STEPS:
            first = max(0, end - CONTEXT_STEPS)
            self._memory = self._encoder.memory(first - origin)
        before = min(BEFORE, first)
        columns = list(self._mel)[-((end - first + before) // GRID) :]
        if piece != self._piece:
            self._piece = piece
            self._loudest = max(float(column.max()) for column in columns)
        silence = torch.full((len(columns[0]), MEL_PER_STEP * SILENCE_AFTER), float(np.log10(QUIETEST)))
        mel = normalised(torch.cat([*columns, silence], dim=1), self._loudest)
        steps = self._encoder.hear(mel, first - origin, self._memory, before)
        self._steps = steps[: end - first]
        self._heard = end
