"""Contact sheets of mouths: single frames, with what a mouth does in each large enough to be judged."""

from __future__ import annotations

import numpy as np

from ..face.preview import tile_images
from ..timeline import Clock

COLUMNS, ROWS = 5, 4
TILE = 240  # pixels, width of a tile
MOUTH_HEIGHT = 160  # pixels of a tile below its frame
MOUTH_WIDTH = 1.7  # what is shown around the mouth, over the width of the lips


def mouth_sheet(frames: np.ndarray, lips: np.ndarray, clock: Clock) -> np.ndarray:
    """A picture of evenly spaced frames of a clip, each with its mouth enlarged below it.

    Args:
        frames: (N, H, W, 3) uint8.
        lips: (N, K, 2) outlines around the lips, in pixels; all mouths are enlarged by the same factor.
        clock: times of the frames.

    Returns:
        (h, w, 3) uint8.
    """
    shown = np.unique(np.linspace(0, len(frames) - 1, COLUMNS * ROWS).round().astype(int))
    zoom = TILE / (MOUTH_WIDTH * float(np.median(np.ptp(lips[..., 0], axis=1))))
    tiles = [np.concatenate([_whole(frames[i]), _mouth(frames[i], lips[i], zoom)]) for i in shown]
    labels = [f"#{i}  {float(clock.ticks[i] * clock.time_base):.2f} s" for i in shown]
    return tile_images(tiles, COLUMNS, labels)


def _whole(frame: np.ndarray) -> np.ndarray:
    import cv2

    height = max(1, round(TILE * frame.shape[0] / frame.shape[1]))
    return np.asarray(cv2.resize(frame, (TILE, height), interpolation=cv2.INTER_AREA))


def _mouth(frame: np.ndarray, lips: np.ndarray, zoom: float) -> np.ndarray:
    import cv2

    x, y = ((lips.min(axis=0) + lips.max(axis=0)) / 2).tolist()
    turn = np.array([[zoom, 0, TILE / 2 - zoom * x], [0, zoom, MOUTH_HEIGHT / 2 - zoom * y]])
    size = (TILE, MOUTH_HEIGHT)
    return np.asarray(cv2.warpAffine(frame, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
