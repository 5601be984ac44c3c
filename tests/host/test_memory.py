"""Memory of the one-node path: it does not grow with the video, nor from run to run (never 12)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musetalk_core.audio.write import Sound
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Clock
from musetalk_core.video.write import VideoWriter, WriteOptions

SIZE = 160  # pixels a side: the networks see 256 whatever it is
DRAWN = 25  # frames, shown back and forth
SHORT, LONG = 20, 80  # seconds
RATE = Fraction(25)


def write_video(path: Path, seconds: int) -> None:
    """A drawn person with noise for a voice."""
    drawn = portrait_footage(3, DRAWN / RATE, RATE, width=SIZE, height=SIZE).read(range(DRAWN))
    there_and_back = np.concatenate([drawn, drawn[::-1]])
    frames = int(seconds * RATE)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, seconds * 16_000)).astype(np.float32)
    sound = Sound(waveform=noise, rate=16_000)
    options = WriteOptions(preset="ultrafast")
    with VideoWriter(path, SIZE, SIZE, Clock.regular(frames, RATE), options, sound=sound) as writer:
        for start in range(0, frames, len(there_and_back)):
            writer.write(there_and_back[: frames - start])


def peak(server: Any) -> float:
    """Bytes of memory of the server at most since the last call; then it counts anew."""
    process = Path("/proc", str(server.process.pid))
    lines = (process / "status").read_text().splitlines()
    most = 1024 * next(float(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    (process / "clear_refs").write_text("5")
    return most


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(server: Any, prompt: Any) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux to measure")
    peaks = {}
    for seconds in (SHORT, SHORT + 1, LONG):  # the first run fills what is kept for ever
        write_video(server.base / "input" / f"long_{seconds}.mp4", seconds)
        peak(server)
        made = prompt(
            load=("LoadVideo", {"file": f"long_{seconds}.mp4"}),
            sound=("LoadAudio", {"audio": f"long_{seconds}.mp4"}),
            dub=("MuseTalkDubVideo", {"video": ["load", 0], "audio": ["sound", 0], "preset": "ultrafast",
                                      "model_name": str(Path("random", "unet.safetensors"))}),
            save=("SaveVideo", {"video": ["dub", 0], "filename_prefix": f"long_{seconds}"}),
        )  # fmt: skip
        outcome = server.run(made)
        assert (outcome.status, outcome.error) == ("success", "")
        peaks[seconds] = peak(server)
        print(f"{seconds} s of video: at most {peaks[seconds] / 1e6:.0f} MB, {outcome.seconds:.0f} s")  # noqa: T201
    assert peaks[LONG] < peaks[SHORT + 1] + 60e6  # bytes; the clip as IMAGE is 600 MB
    assert peaks[LONG] < 1.1 * peaks[SHORT + 1]
