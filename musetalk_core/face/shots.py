"""Where one shot ends and the next begins."""

from __future__ import annotations

import numpy as np

from .networks import unit_range

GRID = (32, 18)  # cells across and down that a frame is averaged into
MEMORY = 8  # frames whose changes are usual
# A cut changes the picture by this much on average (0..1) and so many times more than the frames before it did.
CUT = 0.08
CUT_RATIO = 4.0
STRIDE = 4  # pixels; enough for cell means, and quick


class ShotDetector:
    """Tells cuts from motion, one frame after another."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._changes: list[float] = []

    def begins_shot(self, frame: np.ndarray) -> bool:
        """Whether the next frame, (H, W, 3), is the first of a new shot; the first frame of all is not."""
        import cv2

        step = STRIDE if min(frame.shape[:2]) >= STRIDE * max(GRID) else 1
        cells = unit_range(cv2.resize(np.ascontiguousarray(frame[::step, ::step]), GRID, interpolation=cv2.INTER_AREA))
        last, self._last = self._last, cells
        if last is None:
            return False
        change = float(np.abs(cells - last).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._changes = [*self._changes, change][-MEMORY:]
        return change > CUT and change > CUT_RATIO * usual
