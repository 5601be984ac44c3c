"""Prints the frame-count law and the worst window error for every rate and length, ours and the released ones.

Run with the library installed: python scripts/bench/timeline.py
"""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np

from musetalk_core.audio.windows import released_frame_count, released_window_starts, window_starts
from musetalk_core.timeline import Clock, plan

RATES = ("12", "15", "24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60")
SECONDS = ("0.02", "0.5", "29.99", "30.01", "61", "600")
HALF_WINDOW = 5  # steps
STEP = Fraction(1, 50)  # seconds
ALLOWED = Fraction(1, 100)  # seconds from a frame's centre to its window's
LAW = Fraction(1, 2)  # frames that picture and sound may differ by (a sound shorter than a frame still gets one)


def errors(starts: np.ndarray, clock: Clock) -> list[Fraction]:
    """Seconds from each frame's centre to its window's centre."""
    return [(int(start) + HALF_WINDOW) * STEP - clock.centre(i) for i, start in enumerate(starts)]


def main() -> int:
    print(f"{'fps':>11} {'sound s':>8} {'frames':>7} {'off by':>7} {'worst ms':>9} {'drift ms':>9}   released:", end="")
    print(f" {'frames':>7} {'lost s':>7} {'worst ms':>9}")
    good = True
    for rate in map(Fraction, RATES):
        for seconds in map(Fraction, SECONDS):
            clock = plan(Clock.regular(1, rate), seconds, "hold").clock
            frames = len(clock)
            ours = errors(window_starts(clock), clock)
            part = max(1, frames // 10)
            drift = sum(ours[-part:]) / part - sum(ours[:part]) / part if frames >= 600 else Fraction(0)
            law = abs(frames - seconds * rate)
            worst = max(map(abs, ours))
            good = good and worst <= ALLOWED and (law <= LAW or frames == 1)
            count = released_frame_count(seconds, rate)
            theirs = errors(released_window_starts(count, rate), Clock.regular(count, rate)) if count else [Fraction(0)]
            print(
                f"{rate!s:>11} {float(seconds):8.2f} {frames:7d} {float(law):7.3f} {float(worst) * 1e3:9.3f} "
                f"{float(drift) * 1e3:9.3f}   {'':9} {count:7d} {float(seconds - count / rate):7.2f} "
                f"{float(max(map(abs, theirs))) * 1e3:9.1f}"
            )
    print("ok" if good else "FAILED: an error above 10 ms, or a count off by more than half a frame")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
