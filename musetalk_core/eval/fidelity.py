"""How near the mouth's pixels come to the true ones, as they are and after the colours are matched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .pixels import WHITE, grey_levels, ssim

RING = 0.2  # share of the window's side that is skin around the mouth, on each side
MOST_GAIN = 2.0  # colour matching may stretch contrast by this much and no more
EQUAL_PSNR = 100.0  # dB given to equal pictures, whose PSNR is infinite


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Distance of the mouth window from the truth's, over all frames compared.

    Args:
        l1: mean absolute difference, grey levels.
        psnr: dB, from the mean squared error of all frames; 100 when equal.
        ssim: structural similarity, mean over frames; 1 is equal.
        matched_l1, matched_psnr, matched_ssim: the same after colour matching.
        frames: number of frames compared.
    """

    l1: float
    psnr: float
    ssim: float
    matched_l1: float
    matched_psnr: float
    matched_ssim: float
    frames: int


class FidelityMeter:
    """Collects the mouth windows of one clip, frame by frame; keeps five numbers a frame.

    Args:
        frames: F, length of the clip.
    """

    def __init__(self, frames: int) -> None:
        self.l1 = np.full(frames, np.nan)  # grey levels, colour-matched: names the worst frames
        self._rows = np.full((frames, 6), np.nan)

    def add(self, index: int, output: np.ndarray, truth: np.ndarray) -> None:
        """Compare one frame's mouth windows, both (h, w, 3), uint8 or float in 0..1."""
        made, real = grey_levels(output), grey_levels(truth)
        matched = match_colour(made, real)
        self._rows[index] = [*_distances(made, real), *_distances(matched, real)]
        self.l1[index] = self._rows[index, 3]

    def result(self) -> Fidelity | None:
        """The means; None when no frame was compared."""
        rows = self._rows[np.isfinite(self._rows[:, 0])]
        if len(rows) == 0:
            return None
        mean = rows.mean(0)
        return Fidelity(
            float(mean[0]), _psnr(mean[1]), float(mean[2]), float(mean[3]), _psnr(mean[4]), float(mean[5]), len(rows)
        )


def match_colour(made: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The made window with the mean and contrast of the real one's skin, per channel.

    Mean and deviation are matched, not the least squared error: that would reward a mouth that has nothing in common
    with the truth by fading it to grey. They are taken from the ring around the mouth, which speech changes least.

    Args:
        made, real: (h, w, 3) float32 grey levels.
    """
    ring = np.ones(made.shape[:2], dtype=bool)
    h, w, _ = made.shape
    ring[round(RING * h) : h - round(RING * h), round(RING * w) : w - round(RING * w)] = False
    a, b = made[ring], real[ring]
    gain = np.clip((b.std(0) + 1e-3) / (a.std(0) + 1e-3), 1 / MOST_GAIN, MOST_GAIN)
    return np.asarray(np.clip((made - a.mean(0)) * gain + b.mean(0), 0, WHITE))


def _distances(made: np.ndarray, real: np.ndarray) -> tuple[float, float, float]:
    """Mean absolute error, mean squared error, SSIM."""
    error = made - real
    return float(np.abs(error).mean()), float(np.square(error).mean()), ssim(made, real)


def _psnr(squared: float) -> float:
    return EQUAL_PSNR if squared == 0 else float(min(EQUAL_PSNR, 10 * np.log10(WHITE**2 / squared)))
