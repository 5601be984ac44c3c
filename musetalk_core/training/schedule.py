"""The learning rate as a function of the update's number: nothing to save, nothing to step twice."""

from __future__ import annotations

from math import cos, pi
from typing import Literal


def rate_at(
    update: int, updates: int, warmup: int, final: float, schedule: Literal["constant", "linear", "cosine"]
) -> float:
    """The share of the highest rate.

    Args:
        update: number of the update that is about to be made, 0 is the first.
        updates: length of the run.
        warmup: updates over which the rate rises.
        final: share at the last update.
        schedule: how it falls.

    Returns:
        More than 0 at most updates, at most 1.
    """
    if update < warmup:
        return (update + 1) / warmup
    if schedule == "constant":
        return 1.0
    done = min(1.0, (update - warmup) / max(1, updates - 1 - warmup))
    left = 1 - done if schedule == "linear" else (1 + cos(pi * done)) / 2
    return final + (1 - final) * left
