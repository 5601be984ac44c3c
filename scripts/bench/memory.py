"""Peak memory of `musetalk dub` on a clip and on a longer one: it must not grow with length.

    python scripts/bench/memory.py MODEL [--seconds 6] [--times 10] [--width 1920] [--height 1080]

Both clips are a drawn portrait on a frame of the given size, written first; each dub runs in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk_core.audio.write import Sound
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Clock
from musetalk_core.video.write import VideoWriter, WriteOptions

FPS = Fraction(25)
RATE = 16_000
LOOP = 25  # drawn frames, shown again and again
LIMIT = 1.2


def main() -> None:
    """Print both peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what --model takes")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    args = parser.parse_args()
    drawn = portrait_footage(3, LOOP / FPS, FPS, width=args.width, height=args.height).read(range(LOOP))
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in (args.seconds, args.seconds * args.times):
            clip = write_clip(Path(folder) / f"{seconds}.mp4", drawn, seconds)
            megabytes, wall = dub_apart(clip, args.model)
            frames = int(seconds * FPS)
            print(f"{seconds:6d} s  {frames:6d} frames  peak {megabytes:8.0f} MB  {frames / wall:6.1f} frames/s")
            peaks.append(megabytes)
    print(f"ratio {peaks[1] / peaks[0]:.2f} (bar: <= {LIMIT})")


def write_clip(path: Path, drawn: np.ndarray, seconds: int) -> Path:
    """A video of that length, with a buzz for a voice."""
    frames = int(seconds * FPS)
    time = np.arange(seconds * RATE) / RATE
    voice = (0.3 * np.sin(2 * np.pi * 150 * time) * np.sin(2 * np.pi * 2 * time)).astype(np.float32)
    clock = Clock.regular(frames, FPS)
    sound = Sound(waveform=voice[None], rate=RATE)
    height, width = drawn.shape[1:3]
    with VideoWriter(path, width, height, clock, WriteOptions(preset="ultrafast"), sound=sound) as writer:
        for i in range(frames):
            writer.write(drawn[i % LOOP][None])
    return path


def dub_apart(clip: Path, model: str) -> tuple[float, float]:
    """Dub in a process of its own: its peak resident memory in MB, and its seconds."""
    import time

    command = [sys.executable, "-m", "musetalk_core", "dub", clip, clip, "-o", clip.with_suffix(".out.mp4")]
    started = time.perf_counter()
    child = subprocess.Popen([*map(str, command), "--model", model, "--preset", "veryfast", "--quiet"])
    _, status, usage = os.wait4(child.pid, 0)  # Linux and macOS; counts this child alone
    if status != 0:
        raise SystemExit(f"the dub ended with status {status}")
    bytes_a_unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * bytes_a_unit / 1e6, time.perf_counter() - started


if __name__ == "__main__":
    main()
