"""What the drawing is made of: a raster with units, soft shapes, noise, strokes, layers.

Everything is drawn in face units: the nasion (where brows and nose meet) is the origin, x grows to the picture's right,
y down, z to the viewer, and 1 is the height of the face from hairline to chin (MediaPipe's points 10 to 152).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GAMMA = 2.2  # display value = light ** (1 / 2.2)
SHIFT = 4  # fractional bits of OpenCV's polygon coordinates


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A raster over a rectangle of the face plane.

    Args:
        left, top: face units of the first pixel's corner.
        scale: pixels per face unit.
        width, height: pixels.
    """

    left: float
    top: float
    scale: float
    width: int
    height: int

    @classmethod
    def over(cls, left: float, top: float, right: float, bottom: float, scale: float) -> Sheet:
        """The smallest sheet that covers a rectangle."""
        return cls(left, top, scale, int(np.ceil((right - left) * scale)), int(np.ceil((bottom - top) * scale)))

    @property
    def x(self) -> np.ndarray:
        """(1, W) float32 face units of the pixel centres."""
        return (self.left + (np.arange(self.width, dtype=np.float32)[None] + 0.5) / self.scale).astype(np.float32)

    @property
    def y(self) -> np.ndarray:
        """(H, 1) float32 face units of the pixel centres."""
        return (self.top + (np.arange(self.height, dtype=np.float32)[:, None] + 0.5) / self.scale).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[Sheet, tuple[slice, slice]]:
        """The part of this sheet that covers a rectangle, and where it lies in this sheet's arrays."""
        x1 = int(np.clip((left - self.left) * self.scale, 0, self.width - 1))
        y1 = int(np.clip((top - self.top) * self.scale, 0, self.height - 1))
        x2 = int(np.clip((right - self.left) * self.scale + 1, x1 + 1, self.width))
        y2 = int(np.clip((bottom - self.top) * self.scale + 1, y1 + 1, self.height))
        part = Sheet(self.left + x1 / self.scale, self.top + y1 / self.scale, self.scale, x2 - x1, y2 - y1)
        return part, (slice(y1, y2), slice(x1, x2))

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Face units (..., 2) as pixel indices (a pixel's centre is a whole number)."""
        return (np.asarray(points, np.float64) - (self.left, self.top)) * self.scale - 0.5


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; falls when low > high."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def bump(dx: np.ndarray, dy: np.ndarray, sx: float, sy: float) -> np.ndarray:
    """A Gaussian hill of height 1."""
    return np.asarray(np.exp(-0.5 * ((dx / sx) ** 2 + (dy / sy) ** 2)), np.float32)


def curve(at: np.ndarray, knots: list[float], values: list[float]) -> np.ndarray:
    """A smooth curve through knots: cubic Hermite with the knots' own central slopes, flat beyond the ends."""
    k, v = np.asarray(knots, np.float64), np.asarray(values, np.float64)
    slopes = np.gradient(v, k)
    i = np.clip(np.searchsorted(k, at) - 1, 0, len(k) - 2)
    h = k[i + 1] - k[i]
    t = np.clip((at - k[i]) / h, 0, 1)
    result = (
        (1 + 2 * t) * (1 - t) ** 2 * v[i]
        + t * (1 - t) ** 2 * h * slopes[i]
        + t * t * (3 - 2 * t) * v[i + 1]
        + t * t * (t - 1) * h * slopes[i + 1]
    )
    return np.asarray(result, np.float32)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of (H, W) or (H, W, C) float32; wide ones run on a smaller copy."""
    import cv2

    if sigma < 0.3:
        return image
    if sigma < 12:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))
    shrink = int(sigma // 6)
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(2, width // shrink), max(2, height // shrink)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise of mean 0 and deviation about 1, the same in all directions: (H, W) float32.

    Args:
        rng: source of chance.
        shape: (H, W).
        cell: pixels between neighbouring lumps, downwards.
        stretch: the same across, over `cell`.
    """
    import cv2

    sigma = (max(cell, 1.0) * 0.45, max(cell * stretch, 1.0) * 0.45)  # down, across
    shrink = [max(1.0, s / 4) for s in sigma]
    rows, columns = (int(np.ceil(n / s)) + 8 for n, s in zip(shape, shrink, strict=True))
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    narrow = [s / k for s, k in zip(sigma, shrink, strict=True)]
    grid = cv2.GaussianBlur(grid, (0, 0), sigmaX=narrow[1], sigmaY=narrow[0])
    grid /= 1 / np.sqrt(4 * np.pi * narrow[0] * narrow[1] + 1)  # what the blur leaves of white noise's deviation
    large = cv2.resize(grid, None, fx=shrink[1], fy=shrink[0], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large[: shape[0], : shape[1]])


def polygon(sheet: Sheet, points: np.ndarray, soft: float = 0.0) -> np.ndarray:
    """Coverage 0..1 of a closed outline, (H, W) float32, antialiased.

    Args:
        sheet: where to draw.
        points: (n, 2) face units.
        soft: blur of the edge, face units.
    """
    import cv2

    mask = np.zeros(sheet.shape, np.uint8)
    fixed = np.round(sheet.pixels(points) * 2**SHIFT).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, SHIFT)
    return blur(mask.astype(np.float32) / 255, soft * sheet.scale)


def strokes(image: np.ndarray, lines: np.ndarray, values: np.ndarray, thickness: int = 1) -> None:
    """Draw n open lines into an image, in order, antialiased.

    Args:
        image: (H, W) or (H, W, C) uint8, written to.
        lines: (n, k, 2) pixel indices.
        values: (n,) or (n, C) 0..255.
        thickness: pixels.
    """
    import cv2

    fixed = np.round(np.clip(lines, -3000, 3000) * 2**SHIFT).astype(np.int32)
    for line, value in zip(fixed, np.atleast_2d(values.T).T.tolist(), strict=True):
        cv2.polylines(image, [line], False, value, thickness, cv2.LINE_AA, SHIFT)


def spline(points: np.ndarray, samples: int) -> np.ndarray:
    """A smooth open line through (n, 2) points, (samples, 2)."""
    points = np.asarray(points, np.float64)
    knots = np.arange(len(points), dtype=np.float64).tolist()
    at = np.linspace(0, len(points) - 1, samples)
    return np.stack([curve(at, knots, points[:, axis].tolist()) for axis in (0, 1)], axis=1)


def to_light(color: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Display colours of 0..255 as linear light 0..1."""
    return np.asarray((np.asarray(color, np.float32) / 255) ** GAMMA, np.float32)


def to_display(light: np.ndarray) -> np.ndarray:
    """Linear light as display values 0..1, with a soft shoulder that keeps highlights from clipping."""
    import cv2

    curved = 1.30 * light * (1 + light * 0.10) / (1 + light * 0.55)
    return np.asarray(cv2.pow(np.clip(curved, 0, 1).astype(np.float32), 1 / GAMMA))


def mix(below: np.ndarray, above: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`above` laid over `below` with coverage (H, W): (H, W, 3)."""
    return np.asarray(below + (above - below) * alpha[..., None], np.float32)
