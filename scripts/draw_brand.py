"""Draw the icon and the banner: a sound's bars that form a pair of lips. Writes assets/*.svg and *.png.

python scripts/draw_brand.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ASSETS = Path(__file__).resolve().parents[1] / "assets"
ICON = 400  # pixels, the largest that ComfyUI's registry shows
BANNER = (1260, 540)  # 21:9
NIGHT, DUSK = np.array([24, 25, 42]), np.array([52, 38, 74])
QUIET, CORAL, ROSE = np.array([108, 112, 152]), np.array([255, 128, 96]), np.array([226, 62, 118])
SEED = 3  # of the banner's sound


@dataclass(frozen=True)
class Bar:
    """A box with round corners: its middle, half width and half height, corner, colour."""

    x: float
    y: float
    half_width: float
    half_height: float
    corner: float
    colour: np.ndarray


def main() -> None:
    """Draw both, each as SVG and as PNG."""
    ASSETS.mkdir(exist_ok=True)
    save("icon", icon(), (ICON, ICON))
    save("banner", banner(), BANNER)


def lips(side: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outlines of slightly open lips.

    Args:
        side: places from the left corner (-1) to the right one (1).

    Returns:
        Upper edge, height of the opening above and below 0, lower edge; up is negative, in half widths of the mouth.
    """
    arch = np.clip(1 - side**2, 0, 1)
    bow = 0.50 * arch**0.8 - 0.13 * np.exp(-((side / 0.16) ** 2))  # with the dent in its middle
    return -bow - 0.02, 0.13 * arch**1.5, 0.56 * arch**0.9 + 0.02


def lip_bars(x: float, y: float, half: float, count: int) -> list[Bar]:
    """Lips made of bars: one above and one below the opening at each place."""
    bars = []
    step = 2 * half / (count - 1)
    width = 0.3 * step
    for side in np.linspace(-1, 1, count):
        top, opening, bottom = (float(v[0]) * half for v in lips(np.array([side])))
        share = (side + 1) / 2
        colour = CORAL * (1 - share) + ROSE * share
        gap = opening if opening > width * 0.8 else 0
        spans = [(top, -gap), (gap, bottom)] if gap else [(top, bottom)]
        for high, low in spans:
            middle, tall = (high + low) / 2, max((low - high) / 2, width)
            bars.append(Bar(x + side * half, y + middle, width, tall, width, colour))
    return bars


def icon() -> list[Bar]:
    """The mark on a dark tile."""
    half = ICON / 2
    return [Bar(half, half, half, half, 88, NIGHT), *lip_bars(half, half - 2, 148, 13)]


def banner() -> list[Bar]:
    """A sound that runs into the mark and out of it."""
    width, height = BANNER
    strips = 42
    bars = []
    for i in range(strips):
        share = i / (strips - 1)
        x = (i + 0.5) * width / strips
        bars.append(Bar(x, height / 2, width / strips / 2 + 1, height / 2 + 1, 0, NIGHT * (1 - share) + DUSK * share))
    half, count = 250, 19
    step = 2 * half / (count - 1)
    mark = lip_bars(width / 2, height / 2 - 4, half, count)
    outside = np.arange(half + step, width / 2, step)
    random = np.random.default_rng(SEED)
    for sign in (-1, 1):
        loud = np.convolve(random.uniform(0.1, 1, len(outside) + 2), (0.25, 0.5, 0.25), "valid")
        swell = 0.35 + 0.65 * np.sin(np.linspace(0.2, 2.9, len(outside))) ** 2
        for x, high in zip(outside, 150 * loud * swell, strict=True):
            bars.append(Bar(width / 2 + sign * x, height / 2 - 4, 0.3 * step, max(high, 0.3 * step), 0.3 * step, QUIET))
    return bars + mark


def save(name: str, bars: list[Bar], size: tuple[int, int]) -> None:
    """Write NAME.svg and NAME.png."""
    width, height = size
    boxes = "\n".join(
        f'<rect x="{b.x - b.half_width:.1f}" y="{b.y - b.half_height:.1f}" width="{2 * b.half_width:.1f}" '
        f'height="{2 * b.half_height:.1f}" rx="{b.corner:.1f}" fill="#{bytes(b.colour.astype(np.uint8)).hex()}"/>'
        for b in bars
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    (ASSETS / f"{name}.svg").write_text(f"{head}\n{boxes}\n</svg>\n", encoding="utf-8", newline="\n")
    Image.fromarray(pixels(bars, size)).save(ASSETS / f"{name}.png", optimize=True)


def pixels(bars: list[Bar], size: tuple[int, int]) -> np.ndarray:
    """(height, width, 4) uint8: every bar by its distance to each pixel's middle, so that edges are smooth."""
    width, height = size
    y, x = np.mgrid[:height, :width] + 0.5
    colour, alpha = np.zeros((height, width, 3)), np.zeros((height, width))
    for bar in bars:
        across = np.abs(x - bar.x) - bar.half_width + bar.corner
        down = np.abs(y - bar.y) - bar.half_height + bar.corner
        outside = np.hypot(np.maximum(across, 0), np.maximum(down, 0))
        distance = outside + np.minimum(np.maximum(across, down), 0) - bar.corner
        share = np.clip(0.5 - distance, 0, 1)
        colour += (bar.colour - colour) * share[..., None]
        alpha = np.maximum(alpha, share)
    return np.dstack([colour, 255 * alpha]).round().astype(np.uint8)


if __name__ == "__main__":
    main()
