"""Speed and memory of `musetalk eval`: seconds of evaluation per second of video, and memory against length.

    python scripts/bench/eval.py SOURCE SOUND [--seconds 10 40]

Judges a source against itself at several lengths, cut from the front (the clip runs back and forth when it is shorter),
each in a fresh process so that its peak memory is its own, and prints one line for each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk_core.audio.read import read_audio
from musetalk_core.eval.evaluate import evaluate
from musetalk_core.timeline import Clock
from musetalk_core.types import AudioClip, Footage
from musetalk_core.video.read import open_footage

FPS = Fraction(25)


class Endless:
    """Footage run back and forth to any length, read from its file chunk by chunk."""

    def __init__(self, footage: Footage, frames: int) -> None:
        self._footage, self.width, self.height = footage, footage.width, footage.height
        n = len(footage.clock)
        turn = np.concatenate([np.arange(n), np.arange(n - 2, 0, -1)])
        self._indices = np.resize(turn, frames)
        self.clock = Clock.regular(frames, FPS)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The frames of these indices."""
        return self._footage.read(self._indices[list(indices)].tolist())

    def digest(self) -> str:
        """That of the file."""
        return self._footage.digest()


def main() -> None:
    """Measure every length in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 40])
    args = parser.parse_args()
    print(f"{'video s':>8} {'eval s':>8} {'eval/video':>10} {'peak MB':>8} {'growth MB':>9}")
    context = multiprocessing.get_context("spawn")
    for seconds in args.seconds:
        with context.Pool(1) as pool:
            spent, before, peak = pool.apply(measure, (args.source, args.sound, seconds))
        print(f"{seconds:8d} {spent:8.1f} {spent / seconds:10.2f} {peak:8.0f} {peak - before:9.0f}")


def measure(source: Path, sound: Path, seconds: int) -> tuple[float, float, float]:
    """Seconds spent, memory before and peak memory in MB, of one evaluation."""
    footage, output = (Endless(open_footage(source), int(seconds * FPS)) for _ in range(2))
    clip = read_audio(sound)
    clip = AudioClip(np.resize(clip.samples, seconds * clip.rate), clip.rate)
    before = peak_memory()
    started = time.perf_counter()
    evaluate(footage, output, clip, footage)
    return time.perf_counter() - started, before, peak_memory()


def peak_memory() -> float:
    """Peak memory of this process in MB; 0 where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
