"""The square that the networks see: its box in the frame, and its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FaceError
from ..models.recipe import CHIN_MARGIN
from ..options import Options, option
from .points import HALF_68, points68

RELEASED_MARGIN = 10  # pixels of the source, whatever the face's size: what the released 1.5 adds below the chin


@dataclass(frozen=True, slots=True)
class CropOptions(Options):
    """Which part of the face the networks see."""

    bbox_shift: int = option(
        0,
        "for MuseTalk 1.0: move the middle of the crop down (or up, below 0); raising it opens the mouth more",
        low=-100,
        high=100,
        unit="px",
    )
    chin_margin: float = option(
        CHIN_MARGIN,
        "how far the crop reaches below the chin, as a part of the face's height; MuseTalk 1.0 was trained with 0",
        low=0.0,
        high=0.5,
    )
    released: bool = option(
        False,
        "the released code's box to the pixel: landmarks cut to whole pixels, a margin of 10 px at any size, the top "
        "cut at the picture's edge; for comparisons",
    )


def crop_edges(landmarks: np.ndarray, options: CropOptions) -> np.ndarray:
    """Crop boxes before they are rounded to pixels.

    The nose (point 29 of the 68) lies in the middle between top and chin, so that the hidden lower half begins there;
    left and right are those of the face. Nothing is clipped to the picture: that would move the middle.

    Args:
        landmarks: (N, P, 2), P = 478 or 68, pixels.
        options: shift and margin; `released` is left to `crop_boxes`.

    Returns:
        (N, 4) float64 x1, y1, x2, y2; NaN where landmarks are not finite or have no area.

    Source: the inference box of the released models.
    """
    points = points68(landmarks).astype(np.float64)
    finite = np.isfinite(points).all(axis=(1, 2))
    points[~finite] = 0
    half = points[:, HALF_68, 1] + options.bbox_shift
    low, high = points.min(axis=1), points.max(axis=1)
    reach = high[:, 1] - half
    margin = options.chin_margin * 2 * reach
    edges = np.stack([low[:, 0], half - reach, high[:, 0], high[:, 1] + margin], axis=1)
    usable = finite & (high[:, 0] - low[:, 0] >= 1) & (reach >= 1)
    edges[~usable] = np.nan
    return edges


def crop_boxes(landmarks: np.ndarray, options: CropOptions) -> np.ndarray:
    """Crop boxes of N frames.

    Args:
        landmarks: (N, P, 2), P = 478 or 68, pixels.
        options: shift, margin, and whether to repeat the released boxes exactly.

    Returns:
        (N, 4) int32 x1, y1, x2, y2 (exclusive), not clipped to the picture; all 0 where the landmarks are not finite
        or have no area (`boxes_usable` tells).
    """
    if options.released:
        return _released_boxes(landmarks, options)
    return round_edges(crop_edges(landmarks, options))


def round_edges(edges: np.ndarray) -> np.ndarray:
    """Whole pixels for (N, 4) edges; 0 for NaN. Sides are rounded, not corners, so that they change less often."""
    usable = np.isfinite(edges).all(axis=1)
    safe = np.where(usable[:, None], edges, 0)
    low = np.rint(safe[:, :2])
    size = np.maximum(np.rint(safe[:, 2:] - safe[:, :2]), 1)
    return np.asarray(np.concatenate([low, low + size], axis=1) * usable[:, None]).astype(np.int32)


def boxes_usable(boxes: np.ndarray) -> np.ndarray:
    """Which of (N, 4) boxes have an area, (N,) bool."""
    return np.asarray((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))


def crop_face(frame: np.ndarray, box: np.ndarray, roll: float, size: int, *, released: bool = False) -> np.ndarray:
    """Cut a box out of a frame and bring it to the networks' size.

    Beyond the picture the crop repeats the picture's edge on all four sides: the network then sees a plausible face
    instead of a black one, and those pixels are never shown.

    Args:
        frame: (H, W, 3), uint8 or float32 in 0..1.
        box: (4,) integers x1, y1, x2, y2 (exclusive); may reach beyond the frame or lie outside.
        roll: radians by which the crop is turned about the box's centre.
        size: side of the result in pixels.
        released: resize by Lanczos only, as the released code does, which aliases when it shrinks.

    Returns:
        (size, size, 3), the frame's dtype.

    Raises:
        FaceError: the box has no area.
    """
    import cv2

    x1, y1, x2, y2 = (int(edge) for edge in box)
    if x2 <= x1 or y2 <= y1:
        raise FaceError(f"The crop box {[x1, y1, x2, y2]} has no area.", "Skip this frame, or give another box.")
    patch = _turned(frame, (x1, y1, x2, y2), roll) if roll else _cut(frame, (x1, y1, x2, y2))
    height, width = patch.shape[:2]
    if not released and (height > size or width > size):  # a low-pass where it shrinks
        patch = cv2.resize(patch, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    if patch.shape[:2] != (size, size):
        patch = cv2.resize(patch, (size, size), interpolation=cv2.INTER_LANCZOS4)
    if patch.dtype != np.uint8:
        np.clip(patch, 0, 1, out=patch)  # Lanczos overshoots at edges
    return np.asarray(patch)


def _cut(frame: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x1, y1, x2, y2 = box
    height, width = frame.shape[:2]
    if x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height:
        return frame[y1:y2, x1:x2].copy()
    rows = np.clip(np.arange(y1, y2), 0, height - 1)
    columns = np.clip(np.arange(x1, x2), 0, width - 1)
    return frame[rows[:, None], columns]


def _turned(frame: np.ndarray, box: tuple[int, int, int, int], roll: float) -> np.ndarray:
    """The turned box at its own scale: crop pixel (u, v) from the centre shows the frame at centre + R(roll) (u, v)."""
    import cv2

    x1, y1, x2, y2 = box
    cos, sin = np.cos(roll), np.sin(roll)
    turn = np.array([[cos, -sin], [sin, cos]])
    frame_centre = np.array([x1 + x2 - 1, y1 + y2 - 1]) / 2  # index of the centre
    crop_centre = np.array([x2 - x1 - 1, y2 - y1 - 1]) / 2
    matrix = np.concatenate([turn, (frame_centre - turn @ crop_centre)[:, None]], axis=1)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(frame, matrix, (x2 - x1, y2 - y1), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _released_boxes(landmarks: np.ndarray, options: CropOptions) -> np.ndarray:
    points = points68(landmarks)
    usable = np.isfinite(points).all(axis=(1, 2))
    whole = np.where(usable[:, None, None], points, 0).astype(np.int32)  # cut towards 0, as released
    half = whole[:, HALF_68, 1] + options.bbox_shift
    low, high = whole.min(axis=1), whole.max(axis=1)
    top = np.maximum(0, half - (high[:, 1] - half))
    margin = RELEASED_MARGIN if options.chin_margin > 0 else 0
    boxes = np.stack([low[:, 0], top, high[:, 0], high[:, 1] + margin], axis=1).astype(np.int32)
    boxes[~(usable & boxes_usable(boxes))] = 0
    return boxes
