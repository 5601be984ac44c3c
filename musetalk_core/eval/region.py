"""What the edit did to the picture: the residual (output - source) under the mask, at its edge, in time; outside."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..types import MaskPatch
from .pixels import WHITE, blur, gradient, grey_levels, lab, luma, sharpness, widen

EDGE = 0.5  # alpha at which the mask's contour lies
SEAM_BLUR = 1 / 70  # per root of the mask's area, at least 1 pixel: removes the noise of pixels, keeps an edge
ASIDE = 4  # blur widths between the contour and the two lines beside it that are its control
RIM = 0.04  # half width of the rim around the contour, per root of the mask's area: skin, not lips
INSIDE = 0.01  # alpha below which half precision and feathering leave nothing of the new mouth


@dataclass(frozen=True, slots=True)
class RegionScores:
    """The edit's traces, over all frames that were edited.

    Args:
        sharpness: variance of the Laplacian in the mouth window, output over source; 1 is as sharp.
        seam: how much steeper the blurred residual is on the mask's contour than beside it, as the height of the step
            that would do it, grey levels; 0 is no edge.
        flicker: mean change of the residual from frame to frame under the mask, grey levels.
        colour: L, a, b by which the skin at the mask's rim was shifted, CIE Lab.
        colour_shift: length of that vector (Delta E 1976); about 2 is just seen.
        outside_pixels: pixels outside the mask, of all frames, that differ by more than the tolerance.
        outside_frames: frames with at least one such pixel.
        outside_most: largest difference outside the mask, grey levels.
        frames: frames looked at.
    """

    sharpness: float | None
    seam: float | None
    flicker: float | None
    colour: tuple[float, float, float] | None
    colour_shift: float | None
    outside_pixels: int
    outside_frames: int
    outside_most: float
    frames: int


class RegionMeter:
    """Collects one clip frame by frame; keeps a few numbers a frame and the last residual.

    Args:
        frames: F, length of the clip.
        tolerance: grey levels by which a pixel outside the mask may differ.
    """

    def __init__(self, frames: int, tolerance: float) -> None:
        self.seam = np.full(frames, np.nan)
        self.flicker = np.full(frames, np.nan)
        self._tolerance = tolerance
        self._sharp = np.full((frames, 2), np.nan)
        self._colour = np.full((frames, 4), np.nan)
        self._outside = np.zeros((frames, 2))
        self._last: tuple[int, MaskPatch, np.ndarray] | None = None
        self._seen = 0

    def add(
        self, index: int, source: np.ndarray, output: np.ndarray, mask: MaskPatch | None, window: np.ndarray
    ) -> None:
        """Look at one frame.

        Args:
            index: number of the output frame, rising.
            source, output: (H, W, 3) uint8, or float in 0..1.
            mask: where the new mouth shows; None when the frame has no face.
            window: x1, y1, x2, y2 of the mouth.
        """
        self._seen += 1
        self._outside[index] = self._count_outside(source, output, mask)
        if mask is None or mask.alpha.size == 0:
            return
        x1, y1, x2, y2 = window
        self._sharp[index] = [sharpness(grey_levels(frame[y1:y2, x1:x2])) for frame in (output, source)]
        mask = _padded(mask, source.shape)
        h, w = mask.alpha.shape
        made, old = (grey_levels(frame[mask.y : mask.y + h, mask.x : mask.x + w]) for frame in (output, source))
        alpha = mask.alpha.astype(np.float32)
        residual = luma(made - old)
        inner = alpha >= EDGE
        self.seam[index] = _seam(residual, inner)
        self._colour[index] = _rim_colour(made, old, alpha, inner)
        self.flicker[index] = self._change(index, mask, residual)
        self._last = (index, mask, residual)

    def result(self) -> RegionScores:
        """The means over the frames that have each measure."""
        colour = np.nansum(self._colour, 0)
        shift = colour[:3] / colour[3] if colour[3] > 0 else None
        made, old = np.nansum(self._sharp, 0)
        return RegionScores(
            sharpness=float(made / old) if old > 0 else None,
            seam=_mean(self.seam),
            flicker=_mean(self.flicker),
            colour=None if shift is None else (float(shift[0]), float(shift[1]), float(shift[2])),
            colour_shift=None if shift is None else float(np.linalg.norm(shift)),
            outside_pixels=int(self._outside[:, 0].sum()),
            outside_frames=int((self._outside[:, 0] > 0).sum()),
            outside_most=float(self._outside[:, 1].max(initial=0.0)),
            frames=self._seen,
        )

    def _count_outside(self, source: np.ndarray, output: np.ndarray, mask: MaskPatch | None) -> tuple[int, float]:
        """Number of pixels outside the mask beyond the tolerance, and the largest difference there."""
        if source.dtype == output.dtype == np.uint8:
            difference = np.maximum(source, output) - np.minimum(source, output)  # uint8 without wrapping
        else:
            difference = np.abs(grey_levels(source) - grey_levels(output))
        if mask is not None:
            h, w = mask.alpha.shape
            difference[mask.y : mask.y + h, mask.x : mask.x + w][mask.alpha > 0] = 0
        most = float(difference.max(initial=0))
        if most <= self._tolerance:
            return 0, most
        return int((difference[..., :3] > self._tolerance).any(-1).sum()), most

    def _change(self, index: int, mask: MaskPatch, residual: np.ndarray) -> float:
        """Mean change of the residual since the frame before, under this frame's mask; NaN when there is none."""
        if self._last is None or self._last[0] != index - 1:
            return np.nan
        _, last, before = self._last
        x1, y1 = max(mask.x, last.x), max(mask.y, last.y)
        x2 = min(mask.x + residual.shape[1], last.x + before.shape[1])
        y2 = min(mask.y + residual.shape[0], last.y + before.shape[0])
        if x2 <= x1 or y2 <= y1:
            return np.nan
        now = residual[y1 - mask.y : y2 - mask.y, x1 - mask.x : x2 - mask.x]
        then = before[y1 - last.y : y2 - last.y, x1 - last.x : x2 - last.x]
        weight = mask.alpha[y1 - mask.y : y2 - mask.y, x1 - mask.x : x2 - mask.x].astype(np.float32)
        total = float(weight.sum())
        return float((np.abs(now - then) * weight).sum() / total) if total > 0 else np.nan


def _padded(mask: MaskPatch, shape: tuple[int, ...]) -> MaskPatch:
    """The mask with room around it, inside the frame: an edge at the patch's border must be seen from both sides."""
    h, w = mask.alpha.shape
    room = ASIDE * round(_blur_width(h * w) + 1) + 2
    x1, y1 = max(0, mask.x - room), max(0, mask.y - room)
    x2, y2 = min(shape[1], mask.x + w + room), min(shape[0], mask.y + h + room)
    alpha = np.zeros((y2 - y1, x2 - x1), mask.alpha.dtype)
    alpha[mask.y - y1 : mask.y - y1 + h, mask.x - x1 : mask.x - x1 + w] = mask.alpha
    return MaskPatch(x1, y1, alpha)


def _blur_width(area: float) -> float:
    return max(1.0, SEAM_BLUR * float(np.sqrt(area)))


def _seam(residual: np.ndarray, inner: np.ndarray) -> float:
    """How much steeper the residual is on the contour than just inside and outside of it, as the height of a step.

    A mouth that differs from the source has a steep residual everywhere; only an edge is steep on the contour alone.
    """
    width = _blur_width(float(inner.sum()))
    steep = gradient(blur(residual, width))
    aside = round(ASIDE * width)
    lines = [_border(area) for area in (inner, widen(inner, aside), ~widen(~inner, aside))]
    on, *beside = (float(steep[line].mean()) for line in lines if line.any()) if lines[0].any() else (np.nan,)
    # A step of one level, blurred, by central differences half a pixel beside it.
    step = (math.erf(1.5 / width / math.sqrt(2)) + math.erf(0.5 / width / math.sqrt(2))) / 4
    return max(0.0, on - float(np.mean(beside))) / step if beside else np.nan


def _border(area: np.ndarray) -> np.ndarray:
    """The pixels of an area that touch its outside."""
    return np.asarray(area & widen(~area, 1))


def _rim_colour(made: np.ndarray, old: np.ndarray, alpha: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Sums for the shift s that explains the rim best, where the picture is old + alpha * s: (L, a, b, weight).

    The division by alpha's square gives the shift of the new mouth itself, whatever the feather.
    """
    radius = max(1, round(RIM * float(np.sqrt(max(1, inner.sum())))))
    rim = widen(inner, radius) & widen(~inner, radius) & (alpha > INSIDE)
    if not rim.any():
        return np.full(4, np.nan)
    weight = alpha[rim]
    shift = (lab(made)[rim] - lab(old)[rim]) * weight[:, None]
    return np.append(shift.sum(0), np.square(weight).sum())


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def levels(frame: np.ndarray) -> np.ndarray:
    """A frame as uint8, for showing."""
    return np.asarray(np.clip(np.round(grey_levels(frame)), 0, WHITE).astype(np.uint8))
