"""Fits the colours of a generated crop to the frame that it goes into."""

from __future__ import annotations

import numpy as np

from ..errors import GenerationError

FIT_SHARE = 0.45  # of the rows from the top: the half that is not repainted, less what the decoder smears upwards
FIT_STEP = 3  # every third pixel either way is enough
RIDGE = 0.01**2  # variance, in 0..1: a flat picture says nothing about the gain and pulls it to 1
GAIN_LIMITS = (0.75, 1.33)
SHIFT_LIMIT = 0.15  # of 0..1, of a channel's mean
OUTLIER_SD = 2.0  # pixels further off than this many standard deviations are left out of the next fit
TRIMS = 2  # fits after the first


def match_color(mouth: np.ndarray, source_crop: np.ndarray) -> np.ndarray:
    """Map the colours of a decoded crop to those of the source, by one gain and one offset a channel.

    They are fitted on the upper part, where both show the same picture, and applied everywhere. The fit gives both the
    same mean and spread: as good as least squares where they agree, and where they do not (a blurred or shifted crop)
    it does not take the contrast away, as least squares does.

    Args:
        mouth: (h, w, 3) float32 in 0..1, the decoded crop, at any size.
        source_crop: (h', w', 3), the same crop of the untouched frame, uint8 or float in 0..1.

    Returns:
        (h, w, 3) float32 in 0..1.

    Raises:
        GenerationError: a picture is not RGB.
    """
    import cv2

    if mouth.ndim != 3 or mouth.shape[2:] != source_crop.shape[2:]:
        raise GenerationError(f"A mouth of {mouth.shape} cannot be matched to a crop of {source_crop.shape}.")
    compared = mouth
    if mouth.shape != source_crop.shape:  # a restorer or an upscaler has been at it
        compared = cv2.resize(mouth, source_crop.shape[1::-1], interpolation=cv2.INTER_AREA)
    rows = max(1, round(len(compared) * FIT_SHARE))
    x = np.ascontiguousarray(compared[:rows:FIT_STEP, ::FIT_STEP].transpose(2, 0, 1), np.float32).reshape(3, -1)
    y = np.ascontiguousarray(source_crop[:rows:FIT_STEP, ::FIT_STEP].transpose(2, 0, 1), np.float32).reshape(3, -1)
    if source_crop.dtype == np.uint8:
        y /= 255
    near = np.ones_like(x)
    gain, offset = _fit(x, y, near)
    for _ in range(TRIMS):
        error = (gain * x + offset - y) ** 2
        spread = (near * error).sum(axis=1, keepdims=True) / near.sum(axis=1, keepdims=True)
        near = (error <= OUTLIER_SD**2 * spread).astype(np.float32)
        gain, offset = _fit(x, y, near)
    matched = cv2.transform(mouth, np.hstack([np.diag(gain[:, 0]), offset]).astype(np.float32))
    return np.asarray(np.clip(matched, 0, 1, out=matched))


def _fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset (3, 1) that give x the weighted mean and spread of y, both (3, P), within limits."""
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1)
    mean_x = (weight * x).sum(axis=1, keepdims=True) / total
    mean_y = (weight * y).sum(axis=1, keepdims=True) / total
    variance_x = (weight * (x - mean_x) ** 2).sum(axis=1, keepdims=True) / total
    variance_y = (weight * (y - mean_y) ** 2).sum(axis=1, keepdims=True) / total
    gain = np.clip(np.sqrt((variance_y + RIDGE) / (variance_x + RIDGE)), *GAIN_LIMITS)
    shift = np.clip(mean_y - mean_x, -SHIFT_LIMIT, SHIFT_LIMIT)
    return gain, mean_x + shift - gain * mean_x
