"""Which source frame is shown when, and for how long the sound drives it. All arithmetic is exact.

A frame is driven by the sound when its centre lies within the sound. At a constant rate that is
floor(seconds * fps + 1/2) frames, so picture and sound differ by half a frame at most, at any length and any rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from .errors import MediaError

SyncMode = Literal["bounce", "loop", "hold", "remap", "cut_off", "silence"]


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """When each frame of a clip is shown.

    Args:
        ticks: (N + 1,) int64, strictly increasing, the first is 0: frame i is shown from ticks[i] to ticks[i + 1].
        time_base: seconds of one tick.
    """

    ticks: np.ndarray
    time_base: Fraction

    @classmethod
    def regular(cls, frames: int, fps: Fraction) -> Clock:
        """The clock of `frames` frames at a constant rate."""
        return cls(np.arange(frames + 1, dtype=np.int64), 1 / fps)

    def __post_init__(self) -> None:
        if len(self.ticks) < 2 or self.ticks[0] != 0 or (np.diff(self.ticks) <= 0).any():
            raise MediaError("The frame times do not begin at 0 or do not increase.", "Re-encode the video.")

    def __len__(self) -> int:
        return len(self.ticks) - 1

    @property
    def seconds(self) -> Fraction:
        """Length of the clip."""
        return int(self.ticks[-1]) * self.time_base

    @property
    def fps(self) -> Fraction:
        """Frames per second; the average of a variable rate."""
        return len(self) / self.seconds

    @property
    def variable(self) -> bool:
        """Whether frames differ in duration."""
        durations = np.diff(self.ticks)
        return bool((durations != durations[0]).any())

    def centre(self, frame: int) -> Fraction:
        """Seconds at which `frame` is half over."""
        return int(self.ticks[frame] + self.ticks[frame + 1]) * self.time_base / 2


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The output: F frames, the source frame that each shows, and when.

    Args:
        source: (F,) int64 index of the source frame shown.
        clock: times of the F output frames.
        driven: frames 0 .. driven - 1 are spoken by the sound; later ones keep the source's own mouth, or, with
            `sync_mode` "silence", are driven by silence (then driven == F).
    """

    source: np.ndarray
    clock: Clock
    driven: int

    def __len__(self) -> int:
        return len(self.source)


def frames_within(clock: Clock, seconds: Fraction) -> int:
    """How many frames of a clip have their centre within the first `seconds`, at least 1."""
    limit = _floor(2 * seconds / clock.time_base)
    return max(1, int(np.searchsorted(clock.ticks[:-1] + clock.ticks[1:], limit, side="right")))


def plan(footage: Clock, seconds: Fraction, sync_mode: SyncMode) -> Timeline:
    """Lay N source frames under a sound.

    Args:
        footage: times of the N source frames.
        seconds: length of the sound, more than 0.
        sync_mode: what happens when sound and footage differ in length. The sound is longer: "bounce" runs the footage
            back and forth (end frames not doubled), "loop" starts it again, "hold" keeps its last frame, "remap"
            stretches it, "cut_off" and "silence" end with the footage. It is shorter: "bounce", "loop" and "hold" let
            the rest pass untouched, "remap" squeezes the footage, "cut_off" ends with the sound, "silence" closes the
            mouth for the rest.

    Raises:
        MediaError: the sound is empty.
    """
    if seconds <= 0:
        raise MediaError("The sound has no samples.", "Give a sound that is longer than 0 seconds.")
    n = len(footage)
    if sync_mode == "remap":
        return _remap(footage, seconds)
    if seconds > footage.seconds and sync_mode in ("bounce", "loop", "hold"):
        return _extend(footage, seconds, sync_mode)
    driven = frames_within(footage, seconds)
    if sync_mode == "cut_off":
        return Timeline(np.arange(driven), Clock(footage.ticks[: driven + 1], footage.time_base), driven)
    return Timeline(np.arange(n), footage, n if sync_mode == "silence" else driven)


class Cycle:
    """Footage that runs on for ever, as `plan` lays it under a longer sound.

    Args:
        footage: times of the N source frames.
        sync_mode: "bounce" runs it back and forth (end frames not doubled), "loop" starts it again.
    """

    def __init__(self, footage: Clock, sync_mode: Literal["bounce", "loop"] = "bounce") -> None:
        forth = np.arange(len(footage))
        back = forth[-2:0:-1] if sync_mode == "bounce" else forth[:0]
        self._source = np.concatenate([forth, back])
        self._ticks = np.concatenate([[0], np.cumsum(np.diff(footage.ticks)[self._source])])
        self._time_base = footage.time_base

    def at(self, time: Fraction) -> int:
        """The source frame that is shown at a time in seconds, 0 or later."""
        tick = _floor(time / self._time_base) % int(self._ticks[-1])
        return int(self._source[np.searchsorted(self._ticks, tick, side="right") - 1])


def _extend(footage: Clock, seconds: Fraction, sync_mode: SyncMode) -> Timeline:
    """Footage that goes on, by its own frame durations, until the sound ends."""
    n = len(footage)
    if sync_mode == "hold":
        period = np.array([n - 1])
    elif sync_mode == "loop":
        period = np.arange(n)
    else:
        period = np.concatenate([np.arange(n - 2, -1, -1), np.arange(1, n)]) if n > 1 else np.array([0])
    durations = np.diff(footage.ticks)
    missing = _floor(seconds / footage.time_base) - int(footage.ticks[-1]) + int(durations.max())
    repeats = missing // int(durations[period].sum()) + 1
    source = np.concatenate([np.arange(n), np.tile(period, repeats)])
    clock = Clock(np.concatenate([[0], np.cumsum(durations[source])]), footage.time_base)
    frames = max(n, frames_within(clock, seconds))
    return Timeline(source[:frames], Clock(clock.ticks[: frames + 1], clock.time_base), frames)


def _remap(footage: Clock, seconds: Fraction) -> Timeline:
    """Footage stretched or squeezed to the sound: output frame i shows what stood at the same share of the footage."""
    fps = footage.fps
    frames = max(1, _floor(seconds * fps + Fraction(1, 2)))
    # Python integers: nanoseconds of hours times a number of frames leave int64.
    twice = 2 * np.arange(frames).astype(object) + 1
    centres = (twice * int(footage.ticks[-1]) // (2 * frames)).astype(np.int64)
    source = np.searchsorted(footage.ticks, centres, side="right") - 1
    return Timeline(source, Clock.regular(frames, fps), frames)


def _floor(value: Fraction) -> int:
    return value.numerator // value.denominator
