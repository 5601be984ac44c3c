"""Is the mouth open while nothing is said?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio.activity import EnergyDetector
from ..timeline import Clock
from ..types import ENCODER_HZ, AudioClip

MARGIN_SECONDS = 0.25  # lips part before the sound and close after it: frames so near to a sound are not judged
OPEN = 0.02  # opening per face height that counts as open; closed lips read 0.001 to 0.01, speech 0.04 and more


@dataclass(frozen=True, slots=True)
class Silence:
    """The mouth during silence.

    Args:
        open_share: share of the silent frames on which the mouth is open.
        opening: mean opening there, percent of the face's height.
        frames: number of silent frames with a face.
    """

    open_share: float
    opening: float
    frames: int


def silent_frames(sound: AudioClip, clock: Clock) -> np.ndarray:
    """(F,) bool: no speech within 0.25 s of the frame's centre.

    After the sound's end all is silent.

    Args:
        sound: begins with the first frame.
        clock: times of the F frames.
    """
    speech = EnergyDetector()(sound.samples, sound.rate)  # (T,) every 20 ms
    heard = np.concatenate([[0], np.cumsum(speech)])  # steps of speech before each step
    steps = (clock.ticks[:-1] + clock.ticks[1:]) * float(clock.time_base) / 2 * ENCODER_HZ
    margin = MARGIN_SECONDS * ENCODER_HZ
    first = np.clip(np.floor(steps - margin).astype(int), 0, len(speech))
    last = np.clip(np.ceil(steps + margin).astype(int), 0, len(speech))
    return np.asarray(heard[last] == heard[first])


def judge_silence(opening: np.ndarray, silent: np.ndarray) -> Silence | None:
    """How open the mouth is on the silent frames; None when there are none with a face."""
    values = opening[silent & np.isfinite(opening)]
    if len(values) == 0:
        return None
    return Silence(float((values > OPEN).mean()), float(100 * values.mean()), len(values))
