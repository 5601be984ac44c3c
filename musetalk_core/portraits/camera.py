"""A camera's faults: exposure, white balance, softness, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .paint import blur

TILE_MARGIN = 64  # pixels; each frame's noise is another cut of one tile, so that no two neighbours are alike


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """One camera.

    Args:
        gain: (3,) factors of red, green and blue.
        softness: pixels of blur.
        grain: (H + 64, W + 64, 3) float32 noise, 0..255.
        seed: of the cut of the noise in each frame.
    """

    gain: np.ndarray
    softness: float
    grain: np.ndarray
    seed: int

    @classmethod
    def from_seed(cls, seed: int, width: int, height: int, faults: float = 1.0) -> Camera:
        """A camera of ordinary quality.

        Args:
            seed: source of chance.
            width, height: pixels.
            faults: 0 perfect, 1 a webcam's or phone's usual.
        """
        rng = np.random.default_rng([seed, 151])
        gain = 1 + faults * (rng.normal(0, 0.035) + rng.normal(0, 0.018, 3))
        shape = (height + TILE_MARGIN, width + TILE_MARGIN)
        fine = rng.standard_normal(shape, np.float32)[..., None]
        coarse = blur(rng.standard_normal((*shape, 3), np.float32), 1.2) * 2.4
        strength = faults * float(rng.uniform(0.003, 0.012))
        grain = (255 * strength * (0.8 * blur(fine[..., 0], 0.5)[..., None] + 0.35 * coarse)).astype(np.float32)
        return cls(gain.astype(np.float32), faults * float(rng.uniform(0.2, 0.7)), grain, seed)

    def take(self, frame: np.ndarray, index: int) -> np.ndarray:
        """The picture as this camera takes it.

        Args:
            frame: (H, W, 3) float32 display values.
            index: number of the frame, which decides its noise.

        Returns:
            (H, W, 3) uint8.
        """
        import cv2

        y, x, flip = np.random.default_rng([self.seed, 157, index]).integers(0, (TILE_MARGIN, TILE_MARGIN, 4))
        grain = self.grain[y : y + frame.shape[0], x : x + frame.shape[1]]
        grain = grain[:, :: 1 - 2 * (flip & 1)] * (1 - (int(flip) & 2))
        image = cv2.multiply(blur(frame, self.softness), (*(self.gain * 255).tolist(), 0.0))
        return np.asarray(cv2.add(image, np.ascontiguousarray(grain), dtype=cv2.CV_8U))
