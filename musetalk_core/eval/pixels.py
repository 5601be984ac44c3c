"""Small measures on pixels; the only file of the meters that uses OpenCV."""

from __future__ import annotations

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
SSIM_SIGMA = 1.5  # pixels; the Gaussian window of Wang et al. 2004
SSIM_FLOOR = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)  # their K1, K2
WHITE = 255.0


def grey_levels(frame: np.ndarray) -> np.ndarray:
    """A picture as float32 in 0..255, from uint8 or from float in 0..1; channels beyond the third are dropped."""
    scale = 1.0 if frame.dtype == np.uint8 else WHITE
    return frame[..., :3].astype(np.float32) * np.float32(scale)


def luma(picture: np.ndarray) -> np.ndarray:
    """(..., 3) to (...) brightness, in the picture's unit."""
    return np.asarray(picture @ LUMA)


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; the border is repeated."""
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def sharpness(picture: np.ndarray) -> float:
    """Variance of the Laplacian of the brightness, in grey levels squared."""
    import cv2

    return float(cv2.Laplacian(luma(picture), cv2.CV_32F).var())


def gradient(picture: np.ndarray) -> np.ndarray:
    """Steepness in grey levels a pixel, (h, w), by central differences."""
    rows, columns = np.gradient(picture)
    return np.asarray(np.hypot(rows, columns))


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of the brightness of two pictures in grey levels; 1 is equal.

    Source: Wang, Bovik, Sheikh, Simoncelli 2004.
    """
    a, b = luma(first), luma(second)
    mean_a, mean_b = blur(a, SSIM_SIGMA), blur(b, SSIM_SIGMA)
    var_a = blur(a * a, SSIM_SIGMA) - mean_a**2
    var_b = blur(b * b, SSIM_SIGMA) - mean_b**2
    both = blur(a * b, SSIM_SIGMA) - mean_a * mean_b
    light = (2 * mean_a * mean_b + SSIM_FLOOR[0]) / (mean_a**2 + mean_b**2 + SSIM_FLOOR[0])
    texture = (2 * both + SSIM_FLOOR[1]) / (var_a + var_b + SSIM_FLOOR[1])
    return float((light * texture).mean())


def lab(picture: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of an sRGB picture in grey levels: L in 0..100, one unit is about one just noticeable step."""
    import cv2

    return np.asarray(cv2.cvtColor(np.clip(picture / WHITE, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB))


def widen(mask: np.ndarray, radius: int) -> np.ndarray:
    """A boolean mask grown by `radius` pixels in all directions; nothing lies beyond the border."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)) > 0


def warp(frame: np.ndarray, matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """The frame through an affine map (2, 3), frame to result, bilinear; beyond the border it is grey."""
    import cv2

    middle = (127, 127, 127)
    picture = frame[..., :3] if frame.dtype == np.uint8 else grey_levels(frame)
    return np.asarray(cv2.warpAffine(np.ascontiguousarray(picture), matrix, (width, height), borderValue=middle))


def resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture at another size, averaged where it shrinks."""
    import cv2

    shrinks = width < picture.shape[1]
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    )
