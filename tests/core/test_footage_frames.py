"""All frames of footage at once: as they are read one by one, with every frame reported."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from musetalk_core.types import all_frames
from musetalk_core.video.read import ArrayFootage


class Heard:
    """Keeps what is reported; cancels after `limit` frames."""

    def __init__(self, limit: int) -> None:
        self.limit, self.done, self.shown = limit, 0, []

    def start(self, stage: str, total: int | None) -> None:
        self.stage, self.total = stage, total

    def advance(self, count: int = 1, preview: np.ndarray | None = None) -> None:
        self.done += count
        self.shown.append(preview)
        if self.done > self.limit:
            raise KeyboardInterrupt


@pytest.mark.parametrize("n", [1, 8, 19])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_all_frames(n: int, dtype: type) -> None:
    frames = np.random.default_rng(n).uniform(0, 1 if dtype is np.float32 else 255, (n, 6, 8, 3)).astype(dtype)
    heard = Heard(100)
    assert np.array_equal(all_frames(ArrayFootage(frames, Fraction(25)), "reading", heard), frames)
    assert (heard.stage, heard.total, heard.done) == ("reading", n, n)
    if dtype is np.uint8:
        assert np.array_equal(heard.shown[-1], frames[-1])


def test_a_cancel_ends_it() -> None:
    footage = ArrayFootage(np.zeros((99, 4, 4, 3), np.uint8), Fraction(25))
    heard = Heard(10)
    with pytest.raises(KeyboardInterrupt):
        all_frames(footage, "reading", heard)
    assert heard.done <= 24
