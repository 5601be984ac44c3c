"""A minute through real files at the rates that make others drift: picture, windows and sound stay together."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musetalk_core.audio.read import read_audio
from musetalk_core.audio.windows import MIDDLE, window_starts
from musetalk_core.models.load import load_model
from musetalk_core.models.registry import FolderLocator
from musetalk_core.pipeline.avatar import FaceTools
from musetalk_core.pipeline.dub import DubOptions, DubSettings, dub
from musetalk_core.placement import SingleDevice
from musetalk_core.timeline import Clock
from musetalk_core.types import ENCODER_HZ
from musetalk_core.video.read import open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

SECONDS = 61
RATE = 48_000
BITS = 16
CELL = 4  # pixels of a drawn bit
NTSC = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)]


def numbered_frames(count: int) -> np.ndarray:
    """(count, 8, 64, 3): each frame shows its own number, a bit a cell."""
    bits = np.arange(count)[:, None] >> np.arange(BITS) & 1
    rows = (bits * 255).astype(np.uint8).repeat(CELL, axis=1)  # (count, 64)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None, :, None], (count, 8, BITS * CELL, 3)))


def read_numbers(frames: np.ndarray) -> np.ndarray:
    cells = frames[:, 4, CELL // 2 :: CELL, 0] > 127
    return (cells << np.arange(BITS)).sum(axis=1)


def clicks(path: Path) -> Path:
    """A click at every full second."""
    samples = np.zeros(SECONDS * RATE, np.float32)
    for second in range(1, SECONDS):
        samples[second * RATE : second * RATE + 24] = np.hanning(24) * 0.9  # half a millisecond
    soundfile.write(path, samples, RATE)
    return path


def variable_clock() -> Clock:
    """About 61 s of frames that last 1, 2 or 3 sixtieths of a second."""
    durations = np.random.default_rng(0).integers(1, 4, SECONDS * 30)
    ticks = np.concatenate([[0], np.cumsum(durations)])
    return Clock(ticks[ticks <= SECONDS * 60], Fraction(1, 60))


QUICK = (NTSC[1], ".mp4")
CASES = [(rate, suffix) for rate in (*NTSC, None) for suffix in (".mp4", ".mkv")]  # None: a variable rate


@pytest.mark.parametrize(
    ("rate", "suffix"), [pytest.param(*case, marks=() if case == QUICK else pytest.mark.slow) for case in CASES]
)
def test_a_minute_does_not_drift(rate: Fraction | None, suffix: str, nano_folder: Path, tmp_path: Path) -> None:
    clock = variable_clock() if rate is None else Clock.regular(round(SECONDS * rate), rate)
    source = numbered_frames(len(clock))
    with VideoWriter(tmp_path / "in.mkv", BITS * CELL, 8, clock, WriteOptions(lossless=True)) as writer:
        writer.write(source)
    model = load_model(str(nano_folder), FolderLocator(None), SingleDevice("cpu", "fp32"))
    settings = DubSettings(run=DubOptions(no_face="pass", batch_size=64), write=WriteOptions(lossless=True))
    output = tmp_path / f"out{suffix}"
    dub(
        open_footage(tmp_path / "in.mkv"),
        clicks(tmp_path / "clicks.wav"),
        output,
        model,
        FaceTools(model.vae, model.recipe),
        settings,
    )

    result = open_footage(output)
    assert (read_numbers(result.read(range(len(result.clock)))) == np.arange(len(clock))).all()
    if rate is not None:
        assert result.clock.fps == rate
        assert abs(result.clock.seconds - SECONDS) <= 1 / (2 * rate)
    half_a_step = Fraction(1, 2 * ENCODER_HZ)
    rounding = Fraction(1, 1000) if suffix == ".mkv" and rate is None else 0  # Matroska counts milliseconds
    for i, start in enumerate(window_starts(clock).tolist()):
        heard = Fraction(start + MIDDLE, ENCODER_HZ)
        assert abs(heard - result.clock.centre(i)) <= half_a_step + rounding
    heard_clicks = read_audio(output).samples
    for second in range(1, SECONDS):
        around = heard_clicks[second * 16_000 - 800 : second * 16_000 + 800]
        assert abs(int(np.abs(around).argmax()) - 800) <= 32  # 2 ms: half of it is the click itself
