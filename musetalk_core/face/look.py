"""How cameras, light and codecs change a face: drawn once for a whole sample, the same for all its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..options import Options, option

GREY = (0.299, 0.587, 0.114)  # BT.601 luma of RGB
WORST_QUALITY, BEST_QUALITY = 25, 95  # JPEG's
SMALLEST = 0.35  # size to which a crop is shrunk before it is enlarged again, at full strength
WIDEST_BLUR = 1.6  # pixels of a 256 px crop, standard deviation
MOST_NOISE = 8.0  # levels of 255, standard deviation
CHANCE = 0.5  # of each fault


@dataclass(frozen=True, slots=True)
class LookOptions(Options):
    """How training pictures vary beyond what was filmed."""

    strength: float = option(
        0.0, "of changes of colour, sharpness, resolution, compression and noise; 0 leaves pictures as they are",
        low=0.0, high=1.0,
    )  # fmt: skip
    mirror: float = option(0.0, "share of the samples that are mirrored left to right", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class Look:
    """One draw.

    Args:
        mirror: left and right change places.
        gains: of red, green, blue.
        gamma: exponent of the tone curve.
        lift: level that is added, of 0..1.
        saturation: 1 leaves colours, 0 makes them grey.
        scale: size to which a crop is shrunk, and enlarged again.
        blur: standard deviation in pixels of a 256 px crop; 0 none.
        quality: of JPEG; 0 none.
        noise: standard deviation in levels of 255.
    """

    mirror: bool = False
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    lift: float = 0.0
    saturation: float = 1.0
    scale: float = 1.0
    blur: float = 0.0
    quality: int = 0
    noise: float = 0.0


def draw_look(options: LookOptions, random: np.random.Generator) -> Look:
    """Draw what one sample looks like."""
    mirror = bool(random.random() < options.mirror)
    strength = options.strength
    if strength == 0:
        return Look(mirror)
    spread = random.uniform(-1, 1, 6) * strength
    faults, amounts = random.random(4) < CHANCE, random.random(4) * strength
    bright = 1 + 0.35 * spread[0]
    red, green, blue = (bright * (1 + 0.15 * spread[k]) for k in (1, 2, 3))
    return Look(
        mirror=mirror,
        gains=(float(red), float(green), float(blue)),
        gamma=float(np.exp(0.4 * spread[4])),
        lift=float(0.08 * spread[5]),
        saturation=float(1 + random.uniform(-0.6, 0.4) * strength),
        scale=float(1 - (1 - SMALLEST) * amounts[0]) if faults[0] else 1.0,
        blur=float(WIDEST_BLUR * amounts[1]) if faults[1] else 0.0,
        quality=round(BEST_QUALITY - (BEST_QUALITY - WORST_QUALITY) * amounts[2]) if faults[2] else 0,
        noise=float(MOST_NOISE * amounts[3]) if faults[3] else 0.0,
    )


def apply_look(crop: np.ndarray, look: Look, seed: int) -> np.ndarray:
    """A crop as this look shows it.

    Args:
        crop: (S, S, 3) uint8 RGB.
        look: of its sample.
        seed: of its noise, another for every frame.

    Returns:
        (S, S, 3) uint8.
    """
    import cv2

    size = crop.shape[0]
    if look.mirror:
        crop = np.ascontiguousarray(crop[:, ::-1])
    if look == Look(look.mirror):
        return crop
    grey = (1 - look.saturation) * np.array(GREY)
    mixed = cv2.transform(crop, np.eye(3) * look.saturation + grey)  # rounds and clips to 0..255
    levels = np.clip(np.arange(256) / 255 * np.array(look.gains)[:, None], 0, 1) ** look.gamma + look.lift  # (3, 256)
    table = np.clip(np.round(levels * 255), 0, 255).astype(np.uint8).T[None]  # (1, 256, 3)
    shown = cv2.LUT(mixed, np.ascontiguousarray(table))
    if look.scale < 1:
        side = max(8, round(size * look.scale))
        small = cv2.resize(shown, (side, side), interpolation=cv2.INTER_AREA)
        shown = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    if look.blur:
        shown = cv2.GaussianBlur(shown, (0, 0), look.blur * size / 256)
    if look.noise:
        noise = np.random.default_rng(seed).normal(0, look.noise, shown.shape).astype(np.float32)
        shown = np.clip(shown + noise, 0, 255).astype(np.uint8)
    if look.quality:
        coded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, look.quality])[1]
        shown = cv2.imdecode(coded, cv2.IMREAD_COLOR)  # channels stay in the order they were given
    return np.asarray(shown)
