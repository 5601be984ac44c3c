"""How often each clip is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ..errors import OptionError


@dataclass(frozen=True, slots=True)
class Clip:
    """One prepared clip.

    Args:
        path: its file.
        frames: its length.
        person: who speaks.
        offset: seconds by which its sound comes too late; taken out when it is read.
    """

    path: Path
    frames: int
    person: str
    offset: float


def clip_weights(clips: Sequence[Clip], frames: int, balance: str, shares: str) -> np.ndarray:
    """How often each clip is drawn, (len(clips),).

    Args:
        clips: each at least `frames` long; one counts by its possible first frames.
        frames: length of a sample.
        balance: "frames", or "people": evenly by person.
        shares: see `read_shares`.

    Raises:
        OptionError: the shares cannot be read, or name nobody.
    """
    weights = np.array([clip.frames - frames + 1 for clip in clips], float)
    people = np.array([clip.person for clip in clips])
    if balance == "people":
        for person in np.unique(people):
            weights[people == person] /= weights[people == person].sum()
    left, rest = 1.0, np.ones(len(clips), bool)
    for pattern, share in read_shares(shares):
        chosen = rest & np.array([fnmatchcase(person, pattern) for person in people])
        if not chosen.any():
            raise OptionError(f"data.shares names {pattern!r}, whom the dataset does not have.", "See dataset.json.")
        weights[chosen] *= share / weights[chosen].sum()
        left, rest = left - share, rest & ~chosen
    if rest.any():
        weights[rest] *= max(left, 0.0) / weights[rest].sum()
    return weights


def limited(clips: Sequence[Clip], frames: int) -> list[Clip]:
    """The first clips of each person, until they have this many frames; 0 takes all."""
    found: list[Clip] = []
    seen: dict[str, int] = {}
    for clip in clips:
        if not frames or seen.get(clip.person, 0) < frames:
            found.append(clip)
            seen[clip.person] = seen.get(clip.person, 0) + clip.frames
    return found


def read_shares(text: str) -> list[tuple[str, float]]:
    """People and their shares of the samples: "s1=0.3, portrait_*=0.2".

    Raises:
        OptionError: it cannot be read, or the shares are more than all.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            found.append((name.strip(), float(value)))
        except ValueError as error:
            raise OptionError(f"data.shares = {text!r} cannot be read.", "Write 's1=0.3, portrait_*=0.2'.") from error
    if any(share <= 0 for _, share in found) or sum(share for _, share in found) > 1:
        raise OptionError(f"The shares {text!r} are not parts of 1.", "Give numbers above 0 whose sum is 1 at most.")
    return found
