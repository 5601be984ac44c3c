"""Which audio steps drive which frame: exact integers, at any frame rate.

Step k is the encoder's feature of the time from k / 50 to (k + 1) / 50 seconds. A frame hears 10 steps, 100 ms before
and 100 ms after its centre.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import GenerationError, OptionError
from ..timeline import Clock
from ..types import ENCODER_HZ, Speech

if TYPE_CHECKING:
    import torch

Layout = Literal["centred", "released"]

WINDOW_STEPS = 10  # steps that drive one frame; the released models' training layout
LAYERS = 5  # hidden states of a step: token = step * 5 + layer
MIDDLE = WINDOW_STEPS // 2  # the window's centre lies between its steps 4 and 5


def count_steps(seconds: Fraction) -> int:
    """How many whole steps a sound has; at least 1.

    Source: the released code cuts the features to floor(seconds * 50).
    """
    return max(1, seconds.numerator * ENCODER_HZ // seconds.denominator)


def window_starts(clock: Clock) -> np.ndarray:
    """The first step of each frame's window, so that the window's centre is at most 10 ms from the frame's centre.

    Args:
        clock: times of the F output frames, regular or variable.

    Returns:
        (F,) int64: floor(centre * 50 + 1/2) - 5. At 25 fps that is 2i - 4. Negative, or past the sound, at its ends.
    """
    base = clock.time_base
    # Python integers: ticks of nanoseconds times an odd rate's denominator leave int64 within minutes.
    twice_centre = (clock.ticks[:-1] + clock.ticks[1:]).astype(object)
    nearest = (twice_centre * (base.numerator * ENCODER_HZ) + base.denominator) // (2 * base.denominator)
    return np.asarray(nearest - MIDDLE).astype(np.int64)


def window_start(centre: Fraction) -> int:
    """The first step of the window of a frame with this centre in seconds: one value of `window_starts`."""
    return (2 * centre.numerator * ENCODER_HZ + centre.denominator) // (2 * centre.denominator) - MIDDLE


def released_frame_count(seconds: Fraction, fps: Fraction) -> int:
    """How many frames the released code makes: the rate is cut to an integer first, which loses 2 s a minute at 29.97.

    Source: floor(seconds * int(fps)).
    """
    return seconds.numerator * _whole_fps(fps) // seconds.denominator


def released_window_starts(frames: int, fps: Fraction) -> np.ndarray:
    """The first step of each frame's window as the released code lays it; right at 25 fps, off-centre elsewhere.

    Args:
        frames: number of frames F.
        fps: cut to an integer, as released; at least 1.

    Returns:
        (F,) int64: floor(i * 50 / fps) - 2 * ceil(50 / fps).

    Raises:
        OptionError: fewer than one frame a second.

    Source: zero vectors stand around the sound, 2 * ceil(50 / fps) of them before; frame i takes padded steps
        floor(i * 50 / fps) and the 9 after it.
    """
    rate = _whole_fps(fps)
    return np.arange(frames, dtype=np.int64) * ENCODER_HZ // rate - 2 * -(-ENCODER_HZ // rate)


def frame_starts(clock: Clock, layout: Layout) -> np.ndarray:
    """The first step of each frame's window in either layout, (F,) int64."""
    if layout == "released":
        return released_window_starts(len(clock), clock.fps)
    return window_starts(clock)


def speech_starts(speech: Speech, clock: Clock) -> np.ndarray:
    """The first step of each frame's window in the layout that this speech was made for, (F,) int64."""
    return frame_starts(clock, speech.layout)


def step_range(starts: np.ndarray, seconds: Fraction) -> tuple[int, int]:
    """The steps that these windows read: all that must be encoded to make their frames.

    Args:
        starts: (n,) int64, n >= 1, in any order.
        seconds: length of the sound.

    Returns:
        first, last (exclusive), within the sound; equal when the windows lie outside it.
    """
    total = count_steps(seconds)
    first = min(max(0, int(starts.min())), total)
    return first, max(first, min(total, max(1, int(starts.max()) + WINDOW_STEPS)))


def tokens(speech: Speech, starts: np.ndarray) -> torch.Tensor:
    """The audio tokens of each frame: its window of the sound, or the closed mouth where nobody speaks.

    Where activity is 1 the tokens are the encoder's own values, bit for bit; in between they are mixed. One activity
    counts for a whole window, that at its centre: mixed step by step, a mouth could not be closed sooner than 100 ms
    after its frame's own activity has ended, because the window reaches that far back.

    Args:
        speech: features of the sound, or of the part of it that these windows read (`step_range`).
        starts: (n,) int64 first step of each window (`speech_starts`, or a slice of it).

    Returns:
        (n, 50, D) float32 on the CPU; zero vectors for steps outside the sound.

    Raises:
        GenerationError: a window reads steps that were not encoded.

    Source: the released models were trained with zero vectors, not with features of silence, around the sound.
    """
    import torch

    width = speech.steps.shape[-1]
    wanted = starts[:, None] + np.arange(WINDOW_STEPS)  # (n, 10)
    inside = (wanted >= 0) & (wanted < count_steps(speech.seconds))
    encoded = wanted[inside] - speech.first_step
    _check_encoded(speech, encoded)
    windows = torch.zeros(len(starts), WINDOW_STEPS, LAYERS, width)
    windows[torch.from_numpy(inside)] = speech.steps[torch.from_numpy(encoded)]
    windows = windows.reshape(-1, WINDOW_STEPS * LAYERS, width)  # (n, 10, 5, D) -> (n, 50, D), token = step * 5 + layer
    activity = torch.from_numpy(window_activity(speech, starts))
    mixed = activity < 1
    if mixed.any():
        windows[mixed] = torch.lerp(speech.rest.expand_as(windows[mixed]), windows[mixed], activity[mixed, None, None])
    return windows


def window_activity(speech: Speech, starts: np.ndarray) -> np.ndarray:
    """How much each window follows the sound (1) or rests closed (0).

    It is the activity at the window's centre, which lies between two steps: their mean. A window whose centre lies
    outside the sound takes the activity of that end, and one that begins after the sound is closed.

    Args:
        speech: the sound, or the part of it that these windows read.
        starts: (n,) int64 first step of each window.

    Returns:
        (n,) float32 in 0..1.

    Raises:
        GenerationError: the centre of a window lies in a part that was not encoded.
    """
    total = count_steps(speech.seconds)
    touching = starts < total
    middle = starts[touching, None] + np.array([MIDDLE - 1, MIDDLE])
    encoded = np.clip(middle, 0, total - 1) - speech.first_step
    _check_encoded(speech, encoded)
    activity = np.zeros(len(starts), np.float32)
    activity[touching] = speech.activity[encoded].mean(axis=1)
    return activity


def frame_activity(speech: Speech, clock: Clock) -> np.ndarray:
    """How much each frame's mouth follows the sound: for closing it with the source's own frames, not with features.

    Args:
        speech: the whole sound.
        clock: times of the F output frames.

    Returns:
        (F,) float32 in 0..1.
    """
    return window_activity(speech, speech_starts(speech, clock))


def _check_encoded(speech: Speech, steps: np.ndarray) -> None:
    if steps.size and (steps.min() < 0 or steps.max() >= len(speech.steps)):
        first, last = speech.first_step, speech.first_step + len(speech.steps)
        raise GenerationError(
            f"Frames need the sound's steps {int(steps.min()) + first} to {int(steps.max()) + first}, "
            f"but only {first} to {last - 1} were encoded.",
            "Encode the whole sound, or the range that step_range gives for these frames.",
        )


def _whole_fps(fps: Fraction) -> int:
    if fps < 1:
        raise OptionError(f"The released layout cannot lay windows at {float(fps):g} frames a second.", "Use centred.")
    return int(fps)
