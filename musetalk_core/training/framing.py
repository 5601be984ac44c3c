"""Where training crops lie: the inference box, with a scale that does not know how far the mouth is open.

The inference box reaches from the nose to the chin, so its scale follows the jaw; a network would read the opening from
it. Here the scale comes from eyes and nose, times the segment's own median ratio of jaw to eyes and nose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FaceError
from ..face.points import (
    BROW_LEFT_68,
    BROW_RIGHT_68,
    EYE_LEFT_68,
    EYE_RIGHT_68,
    HALF_68,
    JAW_68,
    NOSE_BASE_68,
    NOSE_BRIDGE_68,
    RIGID_68,
    points68,
)
from ..models.recipe import CHIN_MARGIN
from ..options import Options, option

UPPER_JAW_68 = (*JAW_68[:4], *JAW_68[-4:])  # beside the ears: the jaw's opening does not move them
UPPER_68 = (*UPPER_JAW_68, *BROW_LEFT_68, *BROW_RIGHT_68, *NOSE_BRIDGE_68, *NOSE_BASE_68, *EYE_LEFT_68, *EYE_RIGHT_68)


@dataclass(frozen=True, slots=True)
class FramingOptions(Options):
    """How training crops vary. All parts are of the height of the face's box."""

    margin_mean: float = option(
        CHIN_MARGIN, "mean of the margin below the chin; inference uses the mean", low=0.0, high=0.5
    )
    margin_spread: float = option(
        CHIN_MARGIN,
        "standard deviation of that margin, so that the nose's height does not tell the opening; 0 draws none",
        low=0.0,
        high=0.5,
    )
    margin_most: float = option(2 * CHIN_MARGIN, "draws are clipped to 0 and this", low=0.0, high=0.5)
    shared_margin: bool = option(
        False, "references take the targets' margin instead of one draw each (the paper's other variant)"
    )
    scale_jitter: float = option(
        0.05, "the crop's scale varies by this much up and down, one draw for all frames of a sample", low=0.0, high=0.3
    )


@dataclass(frozen=True, slots=True, eq=False)
class Framing:
    """The inference box's parts over the N frames of a segment, free of the mouth's opening.

    Args:
        centre: (N,) x of the face's middle, pixels.
        half: (N,) y of point 29, where the hidden half begins.
        reach: (N,) from there to the chin, were the jaw at the segment's median.
        width: (N,) half of the face's width.
    """

    centre: np.ndarray
    half: np.ndarray
    reach: np.ndarray
    width: np.ndarray

    def edges(self, frames: np.ndarray, margin: np.ndarray | float, scale: float) -> np.ndarray:
        """Crop boxes of some frames, (n, 4) float64 x1, y1, x2, y2, not clipped to the picture.

        Args:
            frames: (n,) indices.
            margin: below the chin, relative to the face's height; one, or (n,) one a frame.
            scale: 1 is the inference box's.
        """
        centre, half = self.centre[frames], self.half[frames]
        reach, width = self.reach[frames] * scale, self.width[frames] * scale
        bottom = half + reach + np.asarray(margin) * 2 * reach
        return np.stack([centre - width, half - reach, centre + width, bottom], axis=1)


def frame_segment(landmarks: np.ndarray) -> Framing:
    """The framing of one segment.

    Args:
        landmarks: (N, P, 2), P = 478 or 68, pixels, finite.

    Raises:
        FaceError: a face has no area.

    Source: the inference box of the released models; the scale is ours.
    """
    points = points68(landmarks)[..., :2].astype(np.float64)
    rigid = points[:, RIGID_68]
    size = np.sqrt(((rigid - rigid.mean(axis=1, keepdims=True)) ** 2).sum(-1).mean(-1))  # (N,) RMS radius
    if not np.isfinite(size).all() or (size < 1e-3).any():
        raise FaceError("Face points of a segment lie on one spot or are not finite.", "Prepare the footage again.")
    upper = points[:, UPPER_68, 0]
    half = points[:, HALF_68, 1]
    reach = np.median((points[..., 1].max(axis=1) - half) / size) * size
    width = np.median(np.ptp(points[..., 0], axis=1) / 2 / size) * size
    return Framing((upper.min(axis=1) + upper.max(axis=1)) / 2, half, reach, width)


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """The random part of one sample's crops: `margin` of all targets, `margins` (T,) of the references, `scale`."""

    margin: float
    margins: np.ndarray
    scale: float


def draw_framing(options: FramingOptions, references: int, random: np.random.Generator) -> Draw:
    """Draw margins and scale of one sample: the targets share theirs, every reference has its own.

    Source: the paper's dynamic margin (normal, clipped), relative to the face instead of in source pixels.
    """
    draws = random.normal(options.margin_mean, options.margin_spread, references + 1)
    margins = np.clip(draws, 0.0, options.margin_most)
    scale = 1 + options.scale_jitter * random.uniform(-1, 1)
    own = np.full(references, margins[0]) if options.shared_margin else margins[1:]
    return Draw(float(margins[0]), own, float(scale))


def in_crop(points: np.ndarray, edges: np.ndarray, size: int) -> np.ndarray:
    """Points of the frame in the pixels of its crop: each axis by its own scale.

    Args:
        points: (n, P, 2) pixels of the frame.
        edges: (n, 4) crop boxes.
        size: side of the crop in pixels.

    Returns:
        (n, P, 2) pixels of the crop.
    """
    low, high = edges[:, None, :2], edges[:, None, 2:]
    return np.asarray((points - low) * (size / (high - low)))
