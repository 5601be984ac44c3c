"""What a live session gives: slots of time with their sound, and finished frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .mouth import Mouth
from .sound import Utterance


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A frame whose sound is cut and whose picture is still to be made.

    Args:
        number: of the frame since the session began.
        time: seconds at which it is shown, number / fps.
        sound: (n,) float32 mono at the session's `sound_rate`, what is heard while it is shown.
        utterance: the sound that drives it, None when there is none.
        epoch: interrupts before it was cut; after another one it leaves no trace.
    """

    number: int
    time: Fraction
    sound: np.ndarray
    utterance: Utterance | None = field(repr=False)
    epoch: int = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """A finished frame.

    Args:
        number, time, sound: as in `Slot`.
        picture: (H, W, 3) uint8 RGB; not to be written to.
        mouth: how its mouth stands; `mouth.share` is 0 where the footage shows its own.
    """

    number: int
    time: Fraction
    sound: np.ndarray
    picture: np.ndarray
    mouth: Mouth
