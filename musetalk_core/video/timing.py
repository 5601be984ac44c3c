"""From presentation times to a clock: which rate a file really has, however its container rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from ..timeline import Clock

NTSC = Fraction(1000, 1001)
STANDARD_RATES = tuple(
    rate for base in (24, 25, 30, 48, 50, 60, 120, 15, 12, 10, 20, 100) for rate in (Fraction(base), base * NTSC)
)
# Containers round times to ticks of 1 ms (Matroska) or 1/600 s (QuickTime) at the coarsest. On a coarser grid (AVI
# counts frames) a time that is off by a tick is a missing frame, not rounding.
COARSEST_ROUNDING = Fraction(1, 500)  # seconds
# Times that were rounded to ms once and then stored finer, all a multiple of 1 ms: no finer rounding is undone.
FINEST_LEFTOVER = Fraction(1, 900)  # seconds
FALLBACK_FPS = Fraction(25)  # of one picture without a rate: it only says how finely a still is repeated


def frame_clock(pts: np.ndarray, time_base: Fraction, declared: Sequence[Fraction], last: int | None) -> Clock:
    """The clock of frames with known presentation times.

    It is regular, with an exact rational rate, when all times lie within rounding of one rate; else every frame keeps
    its own time.

    Args:
        pts: (N,) int64 ticks, strictly increasing, any start.
        time_base: seconds of one tick.
        declared: rates that the container names, best first.
        last: ticks that the last frame lasts, None where unknown (then the median of the others).
    """
    if len(pts) == 1:
        shown = [1 / (last * time_base)] if last else []
        return Clock.regular(1, [*declared, *shown, FALLBACK_FPS][0])
    rate = constant_rate(pts, time_base, declared)
    if rate is not None:
        return Clock.regular(len(pts), rate)
    durations = np.diff(pts)
    last = last if last and last > 0 else round(float(np.median(durations)))
    return Clock(np.concatenate([pts - pts[0], [pts[-1] - pts[0] + last]]), time_base)


def constant_rate(pts: np.ndarray, time_base: Fraction, declared: Sequence[Fraction] = ()) -> Fraction | None:
    """The rate that all times follow up to the container's rounding; None when there is none.

    Args:
        pts: (N,) int64 ticks, strictly increasing, N >= 2.
        time_base: seconds of one tick.
        declared: rates that the container names.
    """
    step = int(np.gcd.reduce(np.diff(pts)))
    tolerance = step if step * time_base <= FINEST_LEFTOVER else 1
    exact = tolerance * time_base > COARSEST_ROUNDING
    for rate in _candidates(pts, time_base, declared):
        per_frame = 1 / (rate * time_base)
        p, q = per_frame.numerator, per_frame.denominator
        drift = (pts - pts[0]) * q - np.arange(len(pts), dtype=np.int64) * p
        spread = int(drift.max() - drift.min())
        # Rounding of exact times, to nearest or down, spreads over one tick at most.
        if spread == 0 or (not exact and spread <= tolerance * q):
            return rate
    return None


def _candidates(pts: np.ndarray, time_base: Fraction, declared: Sequence[Fraction]) -> Iterator[Fraction]:
    """Rates to try: what is stated and exactly so or usual, then what is usual, then what is simple."""
    average = (len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    yield from (rate for rate in declared if rate == average or rate in STANDARD_RATES)
    yield from sorted(STANDARD_RATES, key=lambda rate: abs(rate - average))[:3]
    yield from declared
    simple = (average.limit_denominator(limit) for limit in (1, 10, 100, 1001, 100_000))
    yield from (rate for rate in simple if rate > 0)
    yield average
